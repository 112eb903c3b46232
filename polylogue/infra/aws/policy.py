"""Who may read the bucket: nobody without TLS, and everybody or the CDN as far as `media/`."""

from __future__ import annotations

import json
from typing import Any

from polylogue.infra.aws.blueprint import LATER, Blueprint, Document, Known
from polylogue.infra.aws.resource import Clients, Found, unless_missing

_NONE = ("NoSuchBucketPolicy", "NoSuchBucket")


class BucketPolicy:
    name = "bucket policy"

    def wanted(self, blueprint: Blueprint, known: Known) -> Document | None:
        bucket, media = blueprint.bucket_arn, f"{blueprint.bucket_arn}/media/*"
        statements: list[dict[str, Any]] = [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [bucket, f"{bucket}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ]
        if blueprint.distributed:
            statements.append(
                {
                    "Sid": "CloudFrontReadsMedia",
                    "Effect": "Allow",
                    "Principal": {"Service": "cloudfront.amazonaws.com"},
                    "Action": "s3:GetObject",
                    "Resource": media,
                    # Without it any distribution of anybody could be pointed at this bucket.
                    "Condition": {"StringEquals": {"AWS:SourceArn": known.get("distribution_arn", LATER)}},
                }
            )
        elif blueprint.open_to_all:
            statements.append(
                {
                    "Sid": "EverybodyReadsMedia",
                    "Effect": "Allow",
                    "Principal": "*",
                    "Action": "s3:GetObject",
                    "Resource": media,
                }
            )
        return {"Version": "2012-10-17", "Statement": statements}

    def read(self, clients: Clients, blueprint: Blueprint) -> Found:
        text = unless_missing(lambda: clients.s3.get_bucket_policy(Bucket=blueprint.bucket)["Policy"], *_NONE)
        return Found(json.loads(text) if text else None)

    def write(self, clients: Clients, blueprint: Blueprint, wanted: Document, found: Found) -> None:  # noqa: ARG002
        clients.s3.put_bucket_policy(Bucket=blueprint.bucket, Policy=json.dumps(wanted))

    def remove(self, clients: Clients, blueprint: Blueprint) -> None:
        unless_missing(lambda: clients.s3.delete_bucket_policy(Bucket=blueprint.bucket), *_NONE)

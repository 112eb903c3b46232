"""The bucket itself: encrypted, without versions, owned by one account, closed as far as the URL mode lets it be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from polylogue.infra.aws.blueprint import Blueprint, Document, Known
from polylogue.infra.aws.resource import Clients, Found, unless_missing

ENCRYPTION = "AES256"
OWNERSHIP = "BucketOwnerEnforced"  # access lists are off: the policy alone decides
OFF, ON = "off", "Enabled"
GONE = ("NoSuchBucket", "404")


class Bucket:
    name = "bucket"

    def wanted(self, blueprint: Blueprint, known: Known) -> Document | None:  # noqa: ARG002
        closed = not blueprint.open_to_all
        return {
            "Name": blueprint.bucket,
            "Encryption": ENCRYPTION,
            "Versioning": OFF,
            "Ownership": OWNERSHIP,
            "PublicAccessBlock": {
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": closed,
                "RestrictPublicBuckets": closed,
            },
        }

    def read(self, clients: Clients, blueprint: Blueprint) -> Found:
        s3, name = clients.s3, blueprint.bucket
        if unless_missing(lambda: s3.head_bucket(Bucket=name), *GONE) is None:
            return Found(None)
        rules = unless_missing(
            lambda: s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"],
            "ServerSideEncryptionConfigurationNotFoundError",
        )
        owners = unless_missing(
            lambda: s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"],
            "OwnershipControlsNotFoundError",
        )
        block = unless_missing(
            lambda: s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"],
            "NoSuchPublicAccessBlockConfiguration",
        )
        versions = s3.get_bucket_versioning(Bucket=name).get("Status")
        return Found(
            {
                "Name": name,
                "Encryption": _encryption(rules),
                "Versioning": ON if versions == ON else OFF,
                "Ownership": owners[0]["ObjectOwnership"] if owners else None,
                "PublicAccessBlock": dict(block) if block else None,
            }
        )

    def write(self, clients: Clients, blueprint: Blueprint, wanted: Document, found: Found) -> None:
        s3, name = clients.s3, blueprint.bucket
        there = found.document
        if there is None:
            if blueprint.region == "us-east-1":
                s3.create_bucket(Bucket=name)
            else:
                s3.create_bucket(
                    Bucket=name,
                    CreateBucketConfiguration={"LocationConstraint": blueprint.region},  # type: ignore[typeddict-item]  # any region
                )
            there = {}
        if there.get("PublicAccessBlock") != wanted["PublicAccessBlock"]:
            s3.put_public_access_block(
                Bucket=name, PublicAccessBlockConfiguration=wanted["PublicAccessBlock"]
            )
        if there.get("Encryption") != ENCRYPTION:
            rule: Any = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": ENCRYPTION}}
            s3.put_bucket_encryption(
                Bucket=name,
                ServerSideEncryptionConfiguration={"Rules": [rule]},
            )
        if there.get("Ownership") != OWNERSHIP:
            s3.put_bucket_ownership_controls(
                Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
            )
        if there.get("Versioning", OFF) != OFF:
            # Once on, versions can only be suspended; that is what off means from then on.
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})

    def remove(self, clients: Clients, blueprint: Blueprint) -> None:
        unless_missing(lambda: clients.s3.delete_bucket(Bucket=blueprint.bucket), *GONE)


def is_empty(clients: Clients, bucket: str) -> bool:
    """Also where there is no bucket."""
    found = unless_missing(lambda: clients.s3.list_objects_v2(Bucket=bucket, MaxKeys=1), *GONE)
    if found is None:
        return True
    return not found.get("Contents") and next(_versions(clients, bucket), None) is None


def empty(clients: Clients, bucket: str) -> int:
    """Deletes every object, every version that an earlier life of the bucket left, and every upload begun."""
    if unless_missing(lambda: clients.s3.head_bucket(Bucket=bucket), *GONE) is None:
        return 0
    deleted = 0
    for page in clients.s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            clients.s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    for batch in _versions(clients, bucket):
        answer = clients.s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        if answer.get("Errors"):
            raise RuntimeError(f"S3 did not delete {len(answer['Errors'])} objects of the bucket")
        deleted += len(batch)
    return deleted


def _versions(clients: Clients, bucket: str) -> Iterator[list[Any]]:
    """In batches of at most a thousand, as S3 lists and deletes them; without versions each object is one."""
    for page in clients.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        batch = [
            {"Key": one["Key"], "VersionId": one["VersionId"]}
            for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        ]
        if batch:
            yield batch


def _encryption(rules: Any) -> str | None:
    if not rules:
        return None
    return str(rules[0].get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm"))

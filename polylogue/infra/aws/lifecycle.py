"""What becomes of objects with time: media expire, old films lie cheaper, begun uploads are given up."""

from __future__ import annotations

from typing import Any

from polylogue.infra.aws.blueprint import Blueprint, Document, Known
from polylogue.infra.aws.resource import Clients, Found, unless_missing

FILMS_MOVE_AFTER_DAYS = 30  # S3 moves nothing to STANDARD_IA sooner
UPLOADS_END_AFTER_DAYS = 1
_NONE = ("NoSuchLifecycleConfiguration", "NoSuchBucket")


class Lifecycle:
    name = "lifecycle"

    def wanted(self, blueprint: Blueprint, known: Known) -> Document | None:  # noqa: ARG002
        days = blueprint.lifecycle_days
        rules: list[dict[str, Any]] = [
            {
                "ID": "expire-media",
                "Status": "Enabled",
                "Filter": {"Prefix": "media/"},
                "Expiration": {"Days": days},
            },
            {
                "ID": "end-incomplete-uploads",
                "Status": "Enabled",
                "Filter": {"Prefix": ""},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOADS_END_AFTER_DAYS},
            },
        ]
        if days > FILMS_MOVE_AFTER_DAYS:
            rules.append(
                {
                    "ID": "films-to-infrequent-access",
                    "Status": "Enabled",
                    "Filter": {"Prefix": "media/video/"},
                    "Transitions": [{"Days": FILMS_MOVE_AFTER_DAYS, "StorageClass": "STANDARD_IA"}],
                }
            )
        return {"Rules": rules}

    def read(self, clients: Clients, blueprint: Blueprint) -> Found:
        rules = unless_missing(
            lambda: clients.s3.get_bucket_lifecycle_configuration(Bucket=blueprint.bucket)["Rules"], *_NONE
        )
        return Found({"Rules": [_plain(rule) for rule in rules]} if rules else None)

    def write(self, clients: Clients, blueprint: Blueprint, wanted: Document, found: Found) -> None:  # noqa: ARG002
        clients.s3.put_bucket_lifecycle_configuration(
            Bucket=blueprint.bucket, LifecycleConfiguration={"Rules": wanted["Rules"]}
        )

    def remove(self, clients: Clients, blueprint: Blueprint) -> None:
        unless_missing(lambda: clients.s3.delete_bucket_lifecycle(Bucket=blueprint.bucket), *_NONE)


def _plain(rule: Any) -> dict[str, Any]:
    """An empty filter and one with an empty prefix mean the same: everything."""
    return {**rule, "Filter": dict(rule.get("Filter") or {"Prefix": ""})}

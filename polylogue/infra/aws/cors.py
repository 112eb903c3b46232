"""Which web pages may read media from the bucket: exact origins, and the headers that players need."""

from __future__ import annotations

from polylogue.infra.aws.blueprint import Blueprint, Document, Known
from polylogue.infra.aws.resource import Clients, Found, unless_missing

_NONE = ("NoSuchCORSConfiguration", "NoSuchBucket")


class Cors:
    name = "cors"

    def wanted(self, blueprint: Blueprint, known: Known) -> Document | None:  # noqa: ARG002
        if not blueprint.origins:
            return None
        return {
            "Rules": [
                {
                    "ID": "browsers",
                    "AllowedHeaders": ["*"],
                    "AllowedMethods": ["GET", "HEAD"],
                    "AllowedOrigins": list(blueprint.origins),
                    "ExposeHeaders": ["Content-Length", "Content-Range", "ETag"],
                    "MaxAgeSeconds": 3000,
                }
            ]
        }

    def read(self, clients: Clients, blueprint: Blueprint) -> Found:
        rules = unless_missing(
            lambda: clients.s3.get_bucket_cors(Bucket=blueprint.bucket)["CORSRules"], *_NONE
        )
        # One that a person has made has no name; it is shown as what it is and replaced.
        return Found({"Rules": [{"ID": "", **rule} for rule in rules]} if rules else None)

    def write(self, clients: Clients, blueprint: Blueprint, wanted: Document, found: Found) -> None:  # noqa: ARG002
        clients.s3.put_bucket_cors(Bucket=blueprint.bucket, CORSConfiguration={"CORSRules": wanted["Rules"]})

    def remove(self, clients: Clients, blueprint: Blueprint) -> None:
        unless_missing(lambda: clients.s3.delete_bucket_cors(Bucket=blueprint.bucket), *_NONE)

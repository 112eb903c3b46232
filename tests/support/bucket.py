"""What lies in a test's bucket, asked of the storage itself."""

from __future__ import annotations

from typing import Any

from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import Settings


def keys_in_bucket(settings: Settings) -> list[str]:
    client = create_s3_client(settings)
    found = client.list_objects_v2(Bucket=settings.s3_media_bucket).get("Contents", [])
    client.close()
    return [entry["Key"] for entry in found]


def originals_in_bucket(settings: Settings) -> list[str]:
    """Without the smaller versions, whose names have two dots."""
    return [key for key in keys_in_bucket(settings) if key.rpartition("/")[2].count(".") == 1]


def half_done_uploads(settings: Settings) -> list[str]:
    """The keys of uploads that were begun and neither completed nor aborted."""
    client = create_s3_client(settings)
    found = client.list_multipart_uploads(Bucket=settings.s3_media_bucket).get("Uploads", [])
    client.close()
    return [entry["Key"] for entry in found]


def stored_object(settings: Settings, key: str) -> dict[str, Any]:
    client = create_s3_client(settings)
    found = client.get_object(Bucket=settings.s3_media_bucket, Key=key)
    data = found["Body"].read()
    found["Body"].close()
    client.close()
    return {"data": data} | dict(found)

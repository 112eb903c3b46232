"""Makes the media bucket where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import Settings
from polylogue.media.faults import code_of, status_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_OURS = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


def ensure_bucket(settings: Settings) -> None:
    """Blocking and idempotent. Raises botocore's errors where the bucket can be neither found nor made."""
    client = create_s3_client(settings)
    try:
        try:
            # HeadBucket would need the right to list everything; the application may list below its prefixes only.
            client.list_objects_v2(Bucket=settings.s3_media_bucket, Prefix="media/", MaxKeys=1)
        except ClientError as error:
            if status_of(error) != 404:
                raise
            _create(client, settings)
    finally:
        client.close()


def _create(client: S3Client, settings: Settings) -> None:
    try:
        if settings.s3_endpoint_url or settings.aws_region == "us-east-1":
            client.create_bucket(Bucket=settings.s3_media_bucket)
        else:
            client.create_bucket(
                Bucket=settings.s3_media_bucket,
                CreateBucketConfiguration={"LocationConstraint": settings.aws_region},  # type: ignore[typeddict-item]  # any region
            )
    except ClientError as error:
        if code_of(error) not in _OURS:  # made by another process meanwhile
            raise

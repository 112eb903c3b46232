"""The boto3 client for the media bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polylogue import __version__
from polylogue.infra.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def create_s3_client(settings: Settings, *, concurrency: int = 10, sign_bodies: bool = True) -> S3Client:
    """A client for AWS or for S3_ENDPOINT_URL. boto3 blocks: call it in a bounded thread pool of `concurrency`.

    `sign_bodies=False` is for bodies that carry their SHA-256 as a checksum, which is signed as every header is: to hash
    them once more for the signature, as boto3 does without TLS, costs both sides as much as sending them.
    """
    import boto3
    from botocore.config import Config

    secret = settings.aws_secret_access_key
    return boto3.client(
        "s3",
        region_name=settings.aws_region,
        endpoint_url=str(settings.s3_endpoint_url) if settings.s3_endpoint_url else None,
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        config=Config(
            signature_version="s3v4",
            # A server of one's own has no host name per bucket.
            s3={
                "addressing_style": "path" if settings.s3_endpoint_url else "virtual",
                **({} if sign_bodies else {"payload_signing_enabled": False}),
            },
            max_pool_connections=concurrency,
            connect_timeout=5,
            read_timeout=20,
            # What boto3 says of itself and its host it puts together anew for each request, which is a tenth of its work.
            user_agent=f"polylogue/{__version__}",
            # Retries are the caller's, with its own deadline.
            retries={"total_max_attempts": 1, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )

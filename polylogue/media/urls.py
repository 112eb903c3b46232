"""URLs of stored media: the unsigned one that events carry, and the one a reader is given."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from polylogue.infra.settings import Settings
from polylogue.media.keys import PRIVATE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SIGNED_URLS_KEPT = 10_000  # about 5 MB


def public_url(settings: Settings, key: str) -> str:
    """The unsigned URL of an object; it opens only where the bucket or the CDN lets everybody read."""
    # The key may hold percent signs of its own; they are part of the name.
    path = quote(key, safe="/~")
    bucket, region = settings.s3_media_bucket, settings.aws_region
    if settings.cloudfront_domain:
        return f"https://{settings.cloudfront_domain.removeprefix('https://').rstrip('/')}/{path}"
    if settings.s3_endpoint_url:
        return f"{str(settings.s3_endpoint_url).rstrip('/')}/{bucket}/{path}"
    host = f"s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    # The wildcard certificate of AWS covers no dots in the bucket's name.
    return f"https://{host}/{bucket}/{path}" if "." in bucket else f"https://{bucket}.{host}/{path}"


class SignedUrls(ABC):
    """Signs locally, and gives the same URL again until half of its life is over, so that browsers can cache.

    Signed URLs live here and in the reader's answer; they are never logged or stored.
    """

    def __init__(self, life_s: int, clock: Callable[[], float]) -> None:
        self.life_s = life_s
        self._clock = clock
        self._signed: OrderedDict[str, tuple[float, str]] = OrderedDict()  # key → signed at, URL

    @abstractmethod
    def make(self, key: str) -> str:
        """A URL that opens for `life_s` seconds from now."""

    def sign(self, key: str) -> str:
        now = self._clock()
        known = self._signed.get(key)
        if known is not None and now - known[0] < self.life_s / 2:
            return known[1]
        url = self.make(key)
        self._signed.pop(key, None)
        self._signed[key] = (now, url)
        if len(self._signed) > SIGNED_URLS_KEPT:
            self._signed.popitem(last=False)
        return url


class UrlSigner(SignedUrls):
    """Presigned by S3's own rules: whoever has the URL may get the object, and nothing else."""

    def __init__(
        self, settings: Settings, client: S3Client, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(settings.media_url_life_s, clock)
        self._bucket = settings.s3_media_bucket
        self._client = client

    def make(self, key: str) -> str:
        return self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=self.life_s
        )


def url_for_read(settings: Settings, signer: SignedUrls, key: str, cdn: SignedUrls | None = None) -> str:
    """The URL that a reader who may see the object is given, as MEDIA_URL_MODE says; `cdn` signs for CloudFront.

    A private one is always presigned by S3: the CDN does not reach it.
    """
    if key.startswith(PRIVATE):
        return signer.sign(key)
    match settings.media_url_mode:
        case "public":
            return public_url(settings, key)
        case "cloudfront-signed" if cdn is not None:
            return cdn.sign(key)
    return signer.sign(key)

"""What somebody wants to have at AWS: names, modes and limits, checked before anything is asked of AWS."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Document = dict[str, Any]  # one resource in the words of AWS
Known = Mapping[str, str]  # ids that AWS has given, by our names for them

UrlMode = Literal["public", "presigned", "cloudfront-signed"]
PRICE_CLASSES = ("PriceClass_100", "PriceClass_200", "PriceClass_All")
LATER = "(known after apply)"
_PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))  # of AWS; by how their regions begin

_ORIGIN = re.compile(r"https?://[^\s/@,?#]+")
_HOST = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
_CERTIFICATE = re.compile(r"arn:[a-z-]+:acm:([a-z0-9-]+):[0-9]{12}:certificate/[A-Za-z0-9-]+")
_TOPIC = re.compile(r"arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+(\.fifo)?")


class BlueprintError(Exception):
    """What is wanted cannot be built; the message is one sentence that names the key."""


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """Raises BlueprintError for what AWS would refuse later, half-way."""

    bucket: str
    region: str
    url_mode: UrlMode
    cdn: bool = False  # a distribution in front of the bucket; cloudfront-signed has one anyway
    origins: tuple[str, ...] = ()
    lifecycle_days: int = 90
    user: str | None = None  # None: the application runs under a role
    with_key: bool = True
    price_class: str = "PriceClass_100"
    domain: str | None = None
    certificate_arn: str | None = None
    public_key_pem: str | None = None
    size_alarm_gb: int = 500
    egress_alarm_gb: int = 100  # a day; 0: no alarm, here as above
    alarm_topic_arn: str | None = None

    def __post_init__(self) -> None:
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise BlueprintError(f"origins: {origin} is not an origin such as https://example.com.")
        if self.price_class not in PRICE_CLASSES:
            raise BlueprintError(f"price_class is none of {', '.join(PRICE_CLASSES)}.")
        if self.url_mode == "cloudfront-signed" and self.public_key_pem is None:
            raise BlueprintError("public_key is needed where MEDIA_URL_MODE is cloudfront-signed.")
        if self.url_mode == "presigned" and self.cdn:
            raise BlueprintError(
                "cdn does not go with MEDIA_URL_MODE=presigned: its URLs name the bucket itself."
            )
        self._check_domain()
        if self.alarm_topic_arn and not _TOPIC.fullmatch(self.alarm_topic_arn):
            raise BlueprintError(f"alarm_topic_arn: {self.alarm_topic_arn} is not the ARN of an SNS topic.")
        for key, limit in (
            ("size_alarm_gb", self.size_alarm_gb),
            ("egress_alarm_gb", self.egress_alarm_gb),
        ):
            if limit < 0:
                raise BlueprintError(f"{key} cannot be below zero.")

    def _check_domain(self) -> None:
        if (self.domain is None) != (self.certificate_arn is None):
            raise BlueprintError("domain and certificate_arn go together.")
        if self.domain is None or self.certificate_arn is None:
            return
        if not self.distributed:
            raise BlueprintError("domain needs a distribution: set cdn = true.")
        if not _HOST.fullmatch(self.domain):
            raise BlueprintError(f"domain: {self.domain} is not a host name.")
        found = _CERTIFICATE.fullmatch(self.certificate_arn)
        if not found or found[1] != "us-east-1":
            raise BlueprintError("certificate_arn has to be the ARN of an ACM certificate in us-east-1.")

    @property
    def distributed(self) -> bool:
        return self.cdn or self.url_mode == "cloudfront-signed"

    @property
    def open_to_all(self) -> bool:
        """Whether everybody may read media from the bucket itself."""
        return self.url_mode == "public" and not self.distributed

    @property
    def bucket_arn(self) -> str:
        partition = next((one for begin, one in _PARTITIONS if self.region.startswith(begin)), "aws")
        return f"arn:{partition}:s3:::{self.bucket}"

    @property
    def label(self) -> str:
        """Names whatever belongs to this bucket, and finds it again."""
        return f"polylogue-{self.bucket}"

    @property
    def public_key_name(self) -> str:
        """Another key has another name: CloudFront lets nobody change the key itself."""
        normal = "\n".join((self.public_key_pem or "").split())
        return f"{self.label}-{hashlib.sha256(normal.encode()).hexdigest()[:12]}"

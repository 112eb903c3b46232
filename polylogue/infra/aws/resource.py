"""What each resource offers to plan, apply and destroy, and the clients it works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError

from polylogue.infra.aws.blueprint import Blueprint, Document, Known

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_cloudfront import CloudFrontClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client

GLOBAL_REGION = "us-east-1"  # where CloudFront keeps its metrics and its certificates


@dataclass(frozen=True)
class Clients:
    s3: S3Client
    iam: IAMClient
    cloudfront: CloudFrontClient
    cloudwatch: CloudWatchClient  # of the bucket's region
    cloudwatch_global: CloudWatchClient

    @classmethod
    def of(cls, session: Session, region: str) -> Clients:
        from botocore.config import Config

        patient = Config(retries={"mode": "standard", "total_max_attempts": 5})
        return cls(
            s3=session.client("s3", region_name=region, config=patient),
            iam=session.client("iam", region_name=region, config=patient),
            cloudfront=session.client("cloudfront", region_name=GLOBAL_REGION, config=patient),
            cloudwatch=session.client("cloudwatch", region_name=region, config=patient),
            cloudwatch_global=session.client("cloudwatch", region_name=GLOBAL_REGION, config=patient),
        )


@dataclass(frozen=True)
class Found:
    """What AWS has: None where there is nothing. `ids` are for the resources that refer to this one."""

    document: Document | None
    ids: Mapping[str, str] = field(default_factory=dict)


class Resource(Protocol):
    """Writing and removing may be cut off anywhere; doing them again ends where doing them once does."""

    @property
    def name(self) -> str: ...

    def wanted(self, blueprint: Blueprint, known: Known) -> Document | None:
        """Pure. None: it shall not be there."""
        ...

    def read(self, clients: Clients, blueprint: Blueprint) -> Found: ...

    def write(self, clients: Clients, blueprint: Blueprint, wanted: Document, found: Found) -> None: ...

    def remove(self, clients: Clients, blueprint: Blueprint) -> None:
        """Nothing there is fine."""
        ...


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def unless_missing(call: Callable[[], Any], *missing: str) -> Any:
    """What the call answers; None where AWS says by one of these codes that there is nothing."""
    try:
        return call()
    except ClientError as error:
        if code_of(error) in missing:
            return None
        raise

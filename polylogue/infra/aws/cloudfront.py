"""The CDN: an identity with which it reads the bucket, and the distribution itself."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from polylogue.infra.aws.blueprint import LATER, Blueprint, Document, Known
from polylogue.infra.aws.difference import restricted
from polylogue.infra.aws.resource import Clients, Found, unless_missing

if TYPE_CHECKING:
    from mypy_boto3_cloudfront import CloudFrontClient

ORIGIN_ID = "media-bucket"
SECURITY_HEADERS = "67f7725c-6f97-4210-82d7-5512b31e9d03"  # managed by AWS: nosniff, HSTS and their like
# CloudFront answers each origin of a page with its own CORS headers only if these are part of the cache's key.
CORS_HEADERS = ("Access-Control-Request-Headers", "Access-Control-Request-Method", "Origin")
DAY_S, YEAR_S = 86_400, 31_536_000
DISABLE_POLLS, DISABLE_POLL_S = 60, 30  # CloudFront takes some minutes to tell all its places


class OriginAccess:
    """An origin access control: the distribution signs what it asks of the bucket."""

    name = "cloudfront origin access"

    def wanted(self, blueprint: Blueprint, known: Known) -> Document | None:  # noqa: ARG002
        if not blueprint.distributed:
            return None
        return {
            "Name": blueprint.label,
            "SigningProtocol": "sigv4",
            "SigningBehavior": "always",
            "OriginAccessControlOriginType": "s3",
        }

    def read(self, clients: Clients, blueprint: Blueprint) -> Found:
        found = _origin_access(clients.cloudfront, blueprint)
        if found is None:
            return Found(None)
        keys = ("Name", "SigningProtocol", "SigningBehavior", "OriginAccessControlOriginType")
        return Found({key: found[key] for key in keys}, {"origin_access_id": found["Id"]})

    def write(self, clients: Clients, blueprint: Blueprint, wanted: Document, found: Found) -> None:  # noqa: ARG002
        cloudfront = clients.cloudfront
        config: Any = {**wanted, "Description": "Reads the media bucket of Polylogue"}
        if found.document is None:
            cloudfront.create_origin_access_control(OriginAccessControlConfig=config)
            return
        access_id = found.ids["origin_access_id"]
        etag = cloudfront.get_origin_access_control(Id=access_id)["ETag"]
        cloudfront.update_origin_access_control(Id=access_id, IfMatch=etag, OriginAccessControlConfig=config)

    def remove(self, clients: Clients, blueprint: Blueprint) -> None:
        cloudfront = clients.cloudfront
        found = _origin_access(cloudfront, blueprint)
        if found is not None:
            etag = cloudfront.get_origin_access_control(Id=found["Id"])["ETag"]
            cloudfront.delete_origin_access_control(Id=found["Id"], IfMatch=etag)


class Distribution:
    """Found again by its comment: its id is CloudFront's own."""

    name = "cloudfront distribution"

    def wanted(self, blueprint: Blueprint, known: Known) -> Document | None:
        if not blueprint.distributed:
            return None
        groups = [known.get("key_group_id", LATER)] if blueprint.url_mode == "cloudfront-signed" else []
        aliases = [blueprint.domain] if blueprint.domain else []
        return {
            "Comment": blueprint.label,
            "Enabled": True,
            "Aliases": {"Items": aliases},
            "PriceClass": blueprint.price_class,
            "HttpVersion": "http2",
            "IsIPV6Enabled": True,
            "Origins": {
                "Items": [
                    {
                        "Id": ORIGIN_ID,
                        "DomainName": f"{blueprint.bucket}.s3.{blueprint.region}.amazonaws.com",
                        "S3OriginConfig": {"OriginAccessIdentity": ""},
                        "OriginAccessControlId": known.get("origin_access_id", LATER),
                    }
                ],
            },
            "DefaultCacheBehavior": {
                "TargetOriginId": ORIGIN_ID,
                "ViewerProtocolPolicy": "redirect-to-https",
                "AllowedMethods": {
                    "Items": ["GET", "HEAD", "OPTIONS"],
                    "CachedMethods": {"Items": ["GET", "HEAD"]},
                },
                "Compress": False,  # media are compressed as they are
                # The query of a signed URL is read, and removed, by CloudFront itself. Nothing else may reach S3,
                # where parameters such as response-content-type would change what a browser makes of an object.
                "ForwardedValues": {
                    "QueryString": False,
                    "Cookies": {"Forward": "none"},
                    "Headers": {"Items": list(CORS_HEADERS)},
                },
                "MinTTL": 0,
                "DefaultTTL": DAY_S,
                "MaxTTL": YEAR_S,
                "ResponseHeadersPolicyId": SECURITY_HEADERS,
                "TrustedKeyGroups": {"Enabled": bool(groups), "Items": groups},
            },
            "ViewerCertificate": _certificate(blueprint),
        }

    def read(self, clients: Clients, blueprint: Blueprint) -> Found:
        summary = _distribution(clients.cloudfront, blueprint)
        if summary is None:
            return Found(None)
        config = clients.cloudfront.get_distribution_config(Id=summary["Id"])["DistributionConfig"]
        # Of the many fields those that are ours to say, whichever ids stand in them.
        document = restricted(_plain(config), self.wanted(blueprint, {}) or {"Comment": ""})
        return Found(
            document,
            {
                "distribution_id": summary["Id"],
                "distribution_arn": summary["ARN"],
                "distribution_domain": summary["DomainName"],
            },
        )

    def write(self, clients: Clients, blueprint: Blueprint, wanted: Document, found: Found) -> None:
        cloudfront = clients.cloudfront
        if found.document is None:
            reference = f"{blueprint.label}-{secrets.token_hex(4)}"
            new: Any = {"CallerReference": reference, **_counted(wanted)}
            cloudfront.create_distribution(DistributionConfig=new)
            return
        distribution_id = found.ids["distribution_id"]
        present = cloudfront.get_distribution_config(Id=distribution_id)
        config = _merged(present["DistributionConfig"], _counted(wanted))
        config["ViewerCertificate"] = wanted[
            "ViewerCertificate"
        ]  # the fields of two kinds exclude each other
        for other_way in ("CachePolicyId", "OriginRequestPolicyId"):
            config["DefaultCacheBehavior"].pop(other_way, None)
        cloudfront.update_distribution(Id=distribution_id, IfMatch=present["ETag"], DistributionConfig=config)

    def remove(self, clients: Clients, blueprint: Blueprint) -> None:
        """CloudFront deletes only what is disabled everywhere, which takes it some minutes."""
        cloudfront = clients.cloudfront
        summary = _distribution(cloudfront, blueprint)
        if summary is None:
            return
        distribution_id = summary["Id"]
        present = cloudfront.get_distribution_config(Id=distribution_id)
        if present["DistributionConfig"]["Enabled"]:
            disabled: Any = {**present["DistributionConfig"], "Enabled": False}
            cloudfront.update_distribution(
                Id=distribution_id, IfMatch=present["ETag"], DistributionConfig=disabled
            )
        cloudfront.get_waiter("distribution_deployed").wait(
            Id=distribution_id, WaiterConfig={"MaxAttempts": DISABLE_POLLS, "Delay": DISABLE_POLL_S}
        )
        etag = cloudfront.get_distribution(Id=distribution_id)["ETag"]
        unless_missing(
            lambda: cloudfront.delete_distribution(Id=distribution_id, IfMatch=etag), "NoSuchDistribution"
        )


def _origin_access(cloudfront: CloudFrontClient, blueprint: Blueprint) -> Any:
    for page in pages(cloudfront.list_origin_access_controls, "OriginAccessControlList"):
        for item in page:
            if item["Name"] == blueprint.label:
                return item
    return None


def _distribution(cloudfront: CloudFrontClient, blueprint: Blueprint) -> Any:
    for page in pages(cloudfront.list_distributions, "DistributionList"):
        for item in page:
            if item["Comment"] == blueprint.label:
                return item
    return None


def pages(call: Any, inside: str) -> Any:
    """CloudFront's lists, which only partly have paginators."""
    marker: dict[str, str] = {}
    while True:
        answer = call(**marker)[inside]
        yield answer.get("Items") or []
        following = answer.get("NextMarker")
        if not following:
            return
        marker = {"Marker": following}


def _counted(value: Any) -> Any:
    """Lists as CloudFront takes them: with their length, and without items where they are empty."""
    if isinstance(value, dict):
        inner = {key: _counted(part) for key, part in value.items()}
        if "Items" in inner:
            inner["Quantity"] = len(inner["Items"])
            if not inner["Items"]:
                del inner["Items"]
        return inner
    return [_counted(part) for part in value] if isinstance(value, list) else value


def _certificate(blueprint: Blueprint) -> dict[str, Any]:
    if blueprint.certificate_arn is None:
        return {"CloudFrontDefaultCertificate": True}
    return {
        "ACMCertificateArn": blueprint.certificate_arn,
        "SSLSupportMethod": "sni-only",
        "MinimumProtocolVersion": "TLSv1.2_2021",
    }


def _plain(value: Any) -> Any:
    """Without the counts that repeat a list's length, and with the lists themselves even where they are empty."""
    if isinstance(value, dict):
        inner = {key: _plain(part) for key, part in value.items() if key != "Quantity"}
        if "Quantity" in value:
            inner["Items"] = inner.get("Items") or []
        return inner
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _merged(present: Any, wanted: Any) -> Any:
    """What is there with what is wanted over it: an update has to name every field."""
    if isinstance(present, dict) and isinstance(wanted, dict):
        if "Quantity" in wanted:
            present = {key: part for key, part in present.items() if key != "Items" or "Items" in wanted}
        return {**present, **{key: _merged(present.get(key), part) for key, part in wanted.items()}}
    if isinstance(present, list) and isinstance(wanted, list) and len(present) == len(wanted):
        return [_merged(one, other) for one, other in zip(present, wanted, strict=True)]
    return wanted

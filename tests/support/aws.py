"""AWS as moto plays it, with what moto leaves out put right, and a call that can be cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.cloudfront import models as cloudfront_models
from moto.iam import access_control

from polylogue.infra.aws.blueprint import Blueprint
from polylogue.infra.aws.resource import Clients

SEED_ORIGINS = ("https://compareintel.com", "https://www.compareintel.com")

PEM = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo
4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onLRnrq0/IzW7yWR7QkrmBL7jTKEn5u
+qKhbwKfBstIs+bMY2Zkp18gnTxKLxoS2tFczGkPLPgizskuemMghRniWaoLcyeh
kd3qqGElvW/VDL5AaWTg0nLVkjRo9z+40RQzuVaE8AkAFmxZzow3x+VJYKdjykkJ
0iT9wCS0DRTXu269V264Vf/3jvredZiKRkgwlL9xNAwxXFg0x/XFw005UWVRIkdg
cKWTjpBP2dPwVZ4WWC+9aGVd+Gyn1o0CLelf4rEjGoXbAAEgAqeGUxrcIlbjXfbc
mwIDAQAB
-----END PUBLIC KEY-----
"""


def blueprint(**changed: Any) -> Blueprint:
    wanted: dict[str, Any] = {
        "bucket": "media-of-mine",
        "region": "eu-central-1",
        "url_mode": "presigned",
        "origins": SEED_ORIGINS,
        "user": "media-of-mine-uploader",
    }
    return Blueprint(**wanted | changed)


MODES: dict[str, dict[str, Any]] = {
    "public": {"url_mode": "public"},
    "public behind the CDN": {"url_mode": "public", "cdn": True},
    "presigned": {},
    "cloudfront-signed": {"url_mode": "cloudfront-signed", "public_key_pem": PEM},
}


class CutError(Exception):
    """The process died here, as far as the code under test can tell."""


class Calls:
    """Counts the calls that change something, and cuts off after the one that is named."""

    READING = ("Get", "List", "Describe", "Head")

    def __init__(self) -> None:
        self.made: list[str] = []
        self._cut_at: int | None = None

    def cut_at(self, number: int | None) -> None:
        self.made.clear()
        self._cut_at = number

    def watch(self) -> None:
        """Until the next AWS."""
        _WATCHING.append(self)

    def begun(self, name: str) -> None:
        if not name.startswith(self.READING):
            self.made.append(name)

    def ended(self, name: str) -> None:
        if not name.startswith(self.READING) and len(self.made) == self._cut_at:
            raise CutError(name)


_WATCHING: list[Calls] = []
_METRICS: dict[tuple[str, str], Any] = {}  # the request metrics of buckets


@contextmanager
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    """A fresh AWS without anything in it."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        _METRICS.clear()
        _WATCHING.clear()
        _remember_origin_access(monkeypatch)
        _judge_as_aws_does(monkeypatch)
        yield _clients()


@cache
def _clients() -> Clients:
    """Made once, since making them takes longer than most tests."""
    clients = Clients.of(
        boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing"), "eu-central-1"
    )
    _serve_missing_calls(clients)
    for client in vars(clients).values():
        client.meta.events.register_last("before-call", _begun)
        client.meta.events.register_last("after-call", _ended)
    return clients


def _begun(model: Any, **_: Any) -> None:
    for calls in _WATCHING:
        calls.begun(model.name)


def _ended(model: Any, **_: Any) -> None:
    for calls in _WATCHING:
        calls.ended(model.name)


def _remember_origin_access(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto keeps an origin's other fields but not these."""
    original = cloudfront_models.Origin.__init__

    def init(self: Any, origin: dict[str, Any]) -> None:
        original(self, origin)
        self.origin_access_control_id = origin.get("OriginAccessControlId", "")
        self.s3_origin_config = origin.get("S3OriginConfig")

    monkeypatch.setattr(cloudfront_models.Origin, "__init__", init)


def _judge_as_aws_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto takes a Deny with a condition for one without, and a service of AWS for everybody.

    Its own requests count as sent over TLS, and none of them comes from a service.
    """
    statement = access_control.IAMPolicyStatement
    original = statement.is_action_permitted

    def permitted(self: Any, *arguments: Any, **named: Any) -> access_control.PermissionResult:
        condition = self._statement.get("Condition", {})
        principal = self._statement.get("Principal")
        over_tls = condition.get("Bool", {}).get("aws:SecureTransport") == "false"
        if over_tls or (isinstance(principal, dict) and "Service" in principal):
            return access_control.PermissionResult.NEUTRAL
        return original(self, *arguments, **named)

    monkeypatch.setattr(statement, "is_action_permitted", permitted)


def _serve_missing_calls(clients: Clients) -> None:
    """The calls that moto has not: changing and deleting key groups, and request metrics."""
    metrics = _METRICS

    def answer(client: Any, operation: str, reply: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        asked: dict[str, Any] = {}

        def remember(params: dict[str, Any], **_: Any) -> None:
            asked.clear()
            asked.update(params)

        def reply_now(**_: Any) -> tuple[Any, dict[str, Any]]:
            body = reply(dict(asked))
            status = 404 if body is None else 200
            http = type("Answer", (), {"status_code": status, "headers": {}})()
            failure = {"Error": {"Code": "NoSuchConfiguration", "Message": "There is none."}}
            metadata = {"ResponseMetadata": {"HTTPStatusCode": status}}
            return http, {**(failure if body is None else body), **metadata}

        service = client.meta.service_model.service_name
        client.meta.events.register_first(f"provide-client-params.{service}.{operation}", remember)
        client.meta.events.register_last(f"before-call.{service}.{operation}", reply_now)

    def update_group(params: dict[str, Any]) -> dict[str, Any]:
        group = _cloudfront_backend().key_groups[params["Id"]]
        group.items = params["KeyGroupConfig"]["Items"]
        return {"KeyGroup": {"Id": group.id}}

    def delete_group(params: dict[str, Any]) -> dict[str, Any]:
        used = [
            distribution
            for distribution in _cloudfront_backend().distributions.values()
            if params["Id"]
            in (distribution.distribution_config.DefaultCacheBehavior.trusted_key_groups.items or [])
        ]
        assert not used, "CloudFront keeps a group that a distribution trusts"
        del _cloudfront_backend().key_groups[params["Id"]]
        return {}

    def put_metrics(params: dict[str, Any]) -> dict[str, Any]:
        metrics[params["Bucket"], params["Id"]] = params["MetricsConfiguration"]
        return {}

    def get_metrics(params: dict[str, Any]) -> dict[str, Any] | None:
        found = metrics.get((params["Bucket"], params["Id"]))
        return {"MetricsConfiguration": found} if found else None

    def delete_metrics(params: dict[str, Any]) -> dict[str, Any]:
        metrics.pop((params["Bucket"], params["Id"]), None)
        return {}

    answer(clients.cloudfront, "UpdateKeyGroup", update_group)
    answer(clients.cloudfront, "DeleteKeyGroup", delete_group)
    answer(clients.s3, "PutBucketMetricsConfiguration", put_metrics)
    answer(clients.s3, "GetBucketMetricsConfiguration", get_metrics)
    answer(clients.s3, "DeleteBucketMetricsConfiguration", delete_metrics)


def _cloudfront_backend() -> Any:
    from moto.core import DEFAULT_ACCOUNT_ID

    return cloudfront_models.cloudfront_backends[DEFAULT_ACCOUNT_ID]["aws"]

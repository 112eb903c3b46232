"""Errors of gateways, in every form, become one class and one sentence that holds no secret."""

from __future__ import annotations

import json
from typing import Any

import pytest

from polylogue.schemas.pricing import price_micros
from polylogue.streams.gateway import errors
from polylogue.streams.gateway.events import UpstreamError
from polylogue.streams.gateway.usage import cost_micros

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("status", "body", "failure_class", "retryable", "message"),
    [
        (
            401,
            {"error": {"message": "Incorrect key sk-abc", "code": 401}},
            "auth",
            False,
            "refused the API key",
        ),
        (
            401,
            {"error": {"message": "no", "type": "invalid_request_error"}},
            "auth",
            False,
            "refused the API key",
        ),
        (403, "", "auth", False, "refused the API key"),
        (
            403,
            {"error": {"code": 403, "message": "Flagged", "metadata": {"reasons": ["x"]}}},
            "content_filter",
            False,
            "Flagged",
        ),
        (
            402,
            {"error": {"code": 402, "message": "Insufficient credits"}},
            "auth",
            False,
            "run out of credit",
        ),
        (429, {"error": {"code": "insufficient_quota", "message": "x"}}, "auth", False, "run out of credit"),
        (429, {"error": {"message": "Slow", "type": "requests"}}, "rate_limited", True, "Slow"),
        (400, {"error": "bad model"}, "invalid_request", False, "bad model"),
        (404, {"detail": "Not Found"}, "invalid_request", False, "Not Found"),
        (
            422,
            {"detail": [{"loc": ["body"], "msg": "field required"}]},
            "invalid_request",
            False,
            "field required",
        ),
        (
            400,
            {"error": {"message": "Too long", "code": "context_length_exceeded"}},
            "invalid_request",
            False,
            "Too long",
        ),
        (408, {}, "timeout", True, "too long"),
        (500, "<html>oops</html>", "upstream", True, "HTTP 500"),
        (503, {"message": "Down", "code": "service_unavailable"}, "upstream", True, "Down"),
        (
            529,
            {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}},
            "upstream",
            True,
            "Busy",
        ),
        (
            502,
            {
                "error": {
                    "message": "Provider returned error",
                    "code": 502,
                    "metadata": {"raw": '{"error":{"message":"why"}}'},
                }
            },
            "upstream",
            True,
            "Provider returned error: why",
        ),
    ],
)
def test_http_error(status: int, body: Any, failure_class: str, retryable: bool, message: str):
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    error = errors.from_http(status, {}, raw, now=NOW)
    assert (error.failure_class, error.retryable) == (failure_class, retryable)
    assert message in error.message
    assert "sk-abc" not in error.message


def test_message_is_one_line_of_bounded_length():
    error = errors.from_document({"error": {"message": "a\r\n" * 5000}})
    assert len(error.message) == errors.MESSAGE_LENGTH
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "1500", "Retry-After": "9"}, 1.5),
        ({"Retry-After": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30.0),
        ({"X-RateLimit-Reset": "1800000020"}, 20.0),
        ({"X-RateLimit-Reset": "1800000020000"}, 20.0),
        ({"x-ratelimit-reset-requests": "1m30s"}, 90.0),
        ({"x-ratelimit-reset-requests": "250ms"}, 0.25),
        ({"X-RateLimit-Reset": "1700000000"}, 0.0),
        ({"Retry-After": "9" * 400}, 86_400.0),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_wait_is_read_from_seconds_milliseconds_durations_and_dates(
    headers: dict[str, str], seconds: float | None
):
    assert errors.retry_after_s(headers, NOW) == seconds


def test_wait_may_stand_in_the_body():
    body = {
        "error": {
            "code": 429,
            "message": "x",
            "metadata": {"headers": {"X-RateLimit-Reset": "1800000005000"}},
        }
    }
    error = errors.from_http(429, {}, json.dumps(body).encode(), now=NOW)
    assert error == UpstreamError("rate_limited", "x", retryable=True, retry_after_s=5.0)


@pytest.mark.parametrize(
    ("usage", "micros"),
    [
        ({"cost": 0.001234}, 1234),
        ({"cost": "0.5"}, 500_000),
        ({"cost": 0}, 0),
        ({"cost": {"total_cost": 0.25}}, 250_000),
        ({"cost_in_usd_ticks": 37_756_000}, 3776),
        ({"cost_details": {"upstream_inference_cost": 0.1}}, 100_000),
        ({"cost": -1}, None),
        ({"cost": True}, None),
        ({"cost": "1e999999999"}, None),
        ({"cost": "free"}, None),
        ({}, None),
    ],
)
def test_cost_in_every_form_is_micro_dollars(usage: dict[str, Any], micros: int | None):
    assert cost_micros(usage) == micros


def test_price_is_micro_dollars_per_million_tokens():
    assert price_micros("0.0000025") == 2_500_000
    assert price_micros("-1") is None

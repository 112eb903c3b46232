"""From a gateway's error, in any of its forms, to one class and one sentence."""

from __future__ import annotations

import email.utils
import json
import re
from collections.abc import Mapping
from typing import Any

from polylogue.schemas.events import FailureClass
from polylogue.streams.gateway import large_json
from polylogue.streams.gateway.events import UpstreamError
from polylogue.streams.gateway.sse import SseEvent

TRUNCATED = UpstreamError("truncated", "The answer broke off before its end.", retryable=True)
GARBAGE = UpstreamError("protocol", "The gateway sent something that is not JSON.", retryable=True)

MESSAGE_LENGTH = 400
_REFUSED_KEY = "The gateway refused the API key; check OPENROUTER_API_KEY."
_NO_CREDIT = "The gateway's account has run out of credit."

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_EPOCH_SECONDS = 10**9  # a reset above this is a date, not a duration
EPOCH_MILLISECONDS = 10**12
_LONGEST_WAIT_SECONDS = 86_400.0

# Words in an error's code or type. These say more than a number does; the first that occurs decides.
_TELLING: tuple[tuple[str, FailureClass, bool], ...] = (
    ("insufficient_quota", "auth", False),
    ("insufficient_credits", "auth", False),
    ("rate_limit", "rate_limited", True),
    ("too_many_requests", "rate_limited", True),
    ("resource_exhausted", "rate_limited", True),
    ("invalid_api_key", "auth", False),
    ("authentication", "auth", False),
    ("content_filter", "content_filter", False),
    ("content_policy", "content_filter", False),
    ("moderation", "content_filter", False),
    ("safety", "content_filter", False),
    ("timeout", "timeout", True),
    ("overloaded", "upstream", True),
    ("context_length", "invalid_request", False),
)
# These are sent with every kind of error, so a number, where there is one, is believed first.
_VAGUE: tuple[tuple[str, FailureClass, bool], ...] = (
    ("unauthorized", "auth", False),
    ("permission", "auth", False),
    ("server_error", "upstream", True),
    ("internal", "upstream", True),
    ("unavailable", "upstream", True),
    ("not_found", "invalid_request", False),
    ("invalid", "invalid_request", False),
    ("bad_request", "invalid_request", False),
)


def is_error(document: Mapping[str, Any]) -> bool:
    """Whether a whole document, or a chunk of a stream, reports an error."""
    if document.get("error"):
        return True
    if "choices" in document:
        return False
    return (
        document.get("object") == "error" or document.get("type") == "error" or bool(document.get("detail"))
    )


def from_http(status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> UpstreamError:
    try:
        document = large_json.loads(body)
    except ValueError:
        document = None  # an HTML page of some proxy, which is no message for anybody
    return from_document(document, status=status, headers=headers, now=now)


def from_document(
    document: Any,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    now: float | None = None,
) -> UpstreamError:
    """`document` is the whole body or chunk, the error object itself, or a bare string."""
    error: Any = document
    if isinstance(document, dict):
        error = document.get("error") or document.get("detail") or document
    fields = _mapping(error)
    metadata = _mapping(fields.get("metadata"))
    outer = _mapping(document)
    codes = [
        fields.get("code"),
        fields.get("status"),
        fields.get("type"),
        outer.get("code"),
        metadata.get("error_type"),
    ]
    failure_class, retryable = _classify(status, codes, flagged="reasons" in metadata)
    inner_headers = metadata.get("headers")
    wait = retry_after_s(headers or {}, now) or (
        retry_after_s(inner_headers, now) if isinstance(inner_headers, dict) else None
    )
    if failure_class == "auth":
        no_credit = 402 in (status, *map(_number, codes)) or any(
            "insufficient" in str(code) for code in codes
        )
        message = _NO_CREDIT if no_credit else _REFUSED_KEY
    else:
        message = _sentence(error, metadata) or _default_message(failure_class, status)
    return UpstreamError(failure_class, message, retryable, wait if retryable else None)


def _classify(status: int | None, codes: list[Any], *, flagged: bool) -> tuple[FailureClass, bool]:
    # A code of the body is nearer to the cause than the HTTP status, which for errors in a stream is 200.
    if flagged:
        return "content_filter", False
    words = [code.lower().replace(" ", "_").replace("-", "_") for code in codes if isinstance(code, str)]
    for word, failure_class, retryable in _TELLING:
        if any(word in candidate for candidate in words):
            return failure_class, retryable
    for code in (*map(_number, codes), status):
        if code is None:
            continue
        if code in (401, 402, 403):
            return "auth", False
        if code == 429:
            return "rate_limited", True
        if code == 408:
            return "timeout", True
        if 400 <= code < 500:
            return "invalid_request", False
        if 500 <= code < 600:
            return "upstream", True
    for word, failure_class, retryable in _VAGUE:
        if any(word in candidate for candidate in words):
            return failure_class, retryable
    return "upstream", True


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(code: Any) -> int | None:
    if isinstance(code, bool):
        return None
    if isinstance(code, int):
        return code
    return (
        int(code) if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3 else None
    )


def _sentence(error: Any, metadata: Mapping[str, Any]) -> str:
    text = _message(error)
    # OpenRouter says only "Provider returned error" and hides the provider's own words beside it.
    raw = metadata.get("raw")
    if isinstance(raw, str) and raw and text.lower().startswith("provider returned error"):
        try:
            said = _message(json.loads(raw))
        except (ValueError, RecursionError):
            said = raw
        text = f"{text}: {said}" if said else text
    text = " ".join(text.encode("utf-8", "replace").decode().split())
    return text if len(text) <= MESSAGE_LENGTH else text[: MESSAGE_LENGTH - 1] + "…"


def _message(error: Any) -> str:
    for _ in range(4):
        if isinstance(error, str):
            return error
        if isinstance(error, list) and error:  # validation errors: {detail: [{loc, msg}]}
            error = error[0]
        elif isinstance(error, dict):
            error = next(
                (error[key] for key in ("message", "error", "detail", "msg") if error.get(key)), None
            )
    return ""


def _default_message(failure_class: FailureClass, status: int | None) -> str:
    said = f" (HTTP {status})" if status else ""
    return {
        "rate_limited": f"The gateway asks for fewer requests{said}.",
        "invalid_request": f"The gateway refused the request{said}.",
        "content_filter": "The gateway's content filter refused the request.",
        "timeout": f"The model took too long to answer{said}.",
    }.get(failure_class, f"The gateway reported an error{said}.")


def retry_after_s(headers: Mapping[str, Any], now: float | None) -> float | None:
    """Seconds to wait, from `Retry-After` or a rate limit's reset: a duration or a date, in s or ms."""
    lower = {name.lower(): str(value).strip() for name, value in headers.items() if isinstance(name, str)}
    for name in ("retry-after-ms", "retry-after", "x-ratelimit-reset", "x-ratelimit-reset-requests"):
        value = lower.get(name)
        seconds = None if value is None else _seconds(value, now, milliseconds=name.endswith("-ms"))
        if seconds is not None:
            return min(max(seconds, 0.0), _LONGEST_WAIT_SECONDS)
    return None


def _seconds(value: str, now: float | None, *, milliseconds: bool) -> float | None:
    if value.isascii() and value.replace(".", "", 1).isdigit():
        number = float(value) / 1000 if milliseconds else float(value)
        if number < _EPOCH_SECONDS:
            return number
        date = number / 1000 if number >= EPOCH_MILLISECONDS else number
        return None if now is None else date - now
    durations = _DURATION.findall(value)
    if durations and not _DURATION.sub("", value):
        return sum(float(amount) * _UNIT_SECONDS[unit] for amount, unit in durations)
    try:
        return None if now is None else email.utils.parsedate_to_datetime(value).timestamp() - now
    except (ValueError, OverflowError):
        return None


def not_json(frame: SseEvent) -> UpstreamError:
    """What an event whose data is no JSON means: an error told in words, an end within it, or garbage."""
    if frame.name == "error":
        data = frame.data if frame.lifted is None else frame.lifted.restored(frame.data)
        return from_document(bytes(data[:MESSAGE_LENGTH]).decode("utf-8", "replace"))
    return TRUNCATED if frame.cut else GARBAGE

"""What the cases of framing, order, ends and errors become."""

from __future__ import annotations

from polylogue.schemas.events import Usage
from polylogue.simulator.media import png
from polylogue.streams.gateway.events import Finished, GatewayEvent, UsageReported
from tests.unit.gateway.cases.expected import (
    BROKEN,
    GONE,
    SILENT,
    STOP,
    TOOL_CALL,
    TRUNCATED,
    USAGE,
    A,
    B,
    Expected,
    drawn,
    expected,
    failed,
    medium,
    said,
)

_PLAIN = expected(A, STOP)
_BOTH = expected(A, B, STOP)
_NOT_THIS_WAY = expected(failed("invalid_request", "Not this way.", retryable=False))
_SLOW_DOWN = expected(failed("rate_limited", "Slow down.", retry_after_s=1.0))


def _large(size: int) -> list[GatewayEvent]:
    return [medium(png("a red circle", 1, size)), STOP]


ENDINGS: dict[str, Expected] = {
    "stream-comments": _PLAIN,
    "stream-generation-id": _PLAIN,
    "finish-length": expected(A, Finished("length", "MAX_TOKENS")),
    "finish-content-filter": expected(
        failed("content_filter", "The model's content filter refused to answer.", retryable=False)
    ),
    "finish-tool-calls": expected(TOOL_CALL, Finished("tool_calls", "tool_use")),
    "error-retry-after": _SLOW_DOWN,
    "error-retry-after-date": expected(failed("upstream", "Come back.", retry_after_s=1.0)),
    "error-retry-after-in-body": _SLOW_DOWN,
    "framing-large-line": Expected(_large, size=400_000),
    "framing-split-utf8": expected(*said("Grüße 🌍"), STOP),
    "framing-split-crlf": _BOTH,
    "framing-no-space": _PLAIN,
    "framing-multi-line-data": _PLAIN,
    "framing-comments-between": _PLAIN,
    "framing-bom": _PLAIN,
    "framing-no-final-newline": _PLAIN,
    "framing-no-done": _PLAIN,
    "framing-json-body": expected(A, drawn(), USAGE, STOP),
    "framing-charset": expected(*said("Grüße"), STOP),
    "framing-drop-mid-line": expected(A, BROKEN),
    "order-text-image-text": expected(A, drawn(), B, STOP),
    "order-image-with-finish-reason": expected(A, drawn(), STOP),
    "order-image-after-stop": expected(A, drawn(), STOP),
    "order-error-after-text": expected(A, GONE),
    "order-error-empty-choices": expected(A, GONE),
    "order-no-choices": _PLAIN,
    "order-delta-null": _PLAIN,
    "order-content-null": _PLAIN,
    "order-finish-every-chunk": _BOTH,
    "stall-before-first-byte": expected(SILENT),
    "stall-mid-answer": expected(A, SILENT),
    "rec-error-field": expected(A, GONE),
    "rec-error-event-bare": expected(A, failed("invalid_request", "No such model.", retryable=False)),
    "rec-error-after-length": expected(A, USAGE, GONE),
    "rec-no-finish-reason": _PLAIN,
    "rec-truncated": expected(A, TRUNCATED),
    "rec-finish-twice": expected(A, USAGE, STOP),
    "rec-finish-absent": _PLAIN,
    "rec-tool-arguments-cut": expected(TOOL_CALL, Finished("tool_calls")),
    "rec-no-blank-line": _BOTH,
    "rec-usage-every-chunk": expected(A, B, USAGE, STOP),
    "rec-usage-in-choice": expected(A, USAGE, STOP),
    "rec-usage-vendor-field": expected(A, USAGE, STOP),
    "rec-usage-then-more": expected(A, B, USAGE, STOP),
    "rec-usage-odd-sums": expected(
        A, UsageReported(Usage(prompt_tokens=5, completion_tokens=7, total_tokens=99), None), STOP
    ),
    "rec-cost-string": expected(A, USAGE, STOP),
    "rec-cost-object": expected(A, USAGE, STOP),
    "rec-cost-ticks": expected(A, UsageReported(Usage(prompt_tokens=5), 1200), STOP),
    "rec-http-error-object": _NOT_THIS_WAY,
    "rec-http-error-string": _NOT_THIS_WAY,
    "rec-http-error-detail": _NOT_THIS_WAY,
    "rec-http-error-code-beside": _NOT_THIS_WAY,
    "rec-reset-seconds": _SLOW_DOWN,
    "rec-reset-milliseconds": _SLOW_DOWN,
}

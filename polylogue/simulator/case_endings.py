"""Framing, order, ends and errors of chat completions: what each case sends."""

from __future__ import annotations

import email.utils
import time

from polylogue.simulator.case_media import data_url, picture
from polylogue.simulator.case_replies import (
    DONE,
    USAGE,
    Producer,
    Reply,
    body,
    chunk,
    cut,
    images,
    shown,
    sse,
    stop,
    stream,
    text,
)
from polylogue.simulator.media import png

LARGE_LINE = 30_000_000  # characters of base64
WAIT_S = 1


def _fragments(data: bytes, *, longest: int) -> tuple[bytes, ...]:
    """Pieces of ever changing length."""
    at, step, edges = 0, 1, []
    while at < len(data):
        edges.append(at)
        at += step
        step = step * 7 % longest + 1
    return cut(data, *edges[1:])


def _large_line(size: int) -> Reply:
    data = png("a red circle", 1, (size or LARGE_LINE * 3 // 4))
    return stream(*_fragments(shown(data), longest=99_991), stop())


def _date(_: int) -> Reply:
    # Dates count whole seconds, so the one after the next is at least one second away.
    return body(
        {"error": {"message": "Come back."}},
        503,
        Retry_After=email.utils.formatdate(time.time() + WAIT_S + 1, usegmt=True),
    )


def _limited(reset: int) -> Reply:
    return body({"error": {"code": 429, "message": "Slow down."}}, 429, X_RateLimit_Reset=str(reset))


_UTF8 = "Grüße 🌍".encode()

ENDINGS: dict[str, Producer] = {
    "stream-comments": lambda _: stream(
        b": OPENROUTER PROCESSING\n\n", text("A"), b": OPENROUTER PROCESSING\n\n", b":\n\n", stop()
    ),
    "stream-generation-id": lambda _: stream(text("A"), stop(), headers={"X-Generation-Id": "gen-case"}),
    "finish-length": lambda _: stream(
        text("A"),
        sse(
            {"choices": [{"delta": {}, "finish_reason": "length", "native_finish_reason": "MAX_TOKENS"}]},
        ),
        DONE,
    ),
    "finish-content-filter": lambda _: stream(chunk({}, "content_filter"), DONE),
    "finish-tool-calls": lambda _: stream(
        chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}),
        sse(
            {"choices": [{"delta": {}, "finish_reason": "tool_calls", "native_finish_reason": "tool_use"}]},
        ),
        DONE,
    ),
    "error-retry-after": lambda _: body(
        {"error": {"code": 429, "message": "Slow down."}}, 429, Retry_After=str(WAIT_S)
    ),
    "error-retry-after-date": _date,
    "error-retry-after-in-body": lambda _: body(
        {
            "error": {
                "code": 429,
                "message": "Slow down.",
                "metadata": {"headers": {"Retry-After": str(WAIT_S)}},
            }
        },
        429,
    ),
    "framing-large-line": _large_line,
    "framing-split-utf8": lambda _: stream(
        b'data: {"choices":[{"delta":{"content":"',
        *(_UTF8[at : at + 1] for at in range(len(_UTF8))),
        b'"}}]}\n\n',
        stop(),
    ),
    "framing-split-crlf": lambda _: stream(
        text("A")[:-2] + b"\r", b"\n\r", b"\n" + text("B")[:-2] + b"\r", b"\n", b"\r\n" + stop()
    ),
    "framing-no-space": lambda _: stream(b"data:" + text("A")[6:], b"data:[DONE]\n\n"),
    "framing-multi-line-data": lambda _: stream(
        b'data: {"choices": [{"delta":\ndata: {"content": "A"}}]}\n\n', stop()
    ),
    "framing-comments-between": lambda _: stream(
        b': one\ndata: {"choices": [{"delta":\n: two\ndata: {"content": "A"}}]}\n: three\n\n', stop()
    ),
    "framing-bom": lambda _: stream(b"\xef\xbb\xbf" + text("A"), stop()),
    "framing-no-final-newline": lambda _: stream(text("A"), chunk({}, "stop").rstrip(b"\n")),
    "framing-no-done": lambda _: stream(text("A"), chunk({}, "stop")),
    "framing-json-body": lambda _: body(
        {
            "choices": [
                {"message": {"content": "A", **images(data_url(picture()))}, "finish_reason": "stop"}
            ],
            "usage": USAGE,
        }
    ),
    "framing-charset": lambda _: stream(
        text("Grüße"), stop(), content_type="text/event-stream; charset=utf-8"
    ),
    "framing-drop-mid-line": lambda _: stream(text("A"), shown(picture())[:-40], end="drop"),
    "order-text-image-text": lambda _: stream(text("A"), shown(picture()), text("B"), stop()),
    "order-image-with-finish-reason": lambda _: stream(text("A"), shown(picture(), "stop"), DONE),
    "order-image-after-stop": lambda _: stream(text("A", "stop"), shown(picture()), DONE),
    "order-error-after-text": lambda _: stream(
        text("A"), sse({"error": {"code": 502, "message": "Gone."}}), DONE
    ),
    "order-error-empty-choices": lambda _: stream(
        text("A"), sse({"choices": [], "error": {"code": 502, "message": "Gone."}}), DONE
    ),
    "order-no-choices": lambda _: stream(sse({"id": "gen-case"}), text("A"), sse({}), stop()),
    "order-delta-null": lambda _: stream(sse({"choices": [{"index": 0, "delta": None}]}), text("A"), stop()),
    "order-content-null": lambda _: stream(chunk({"content": None}), text("A"), stop()),
    "order-finish-every-chunk": lambda _: stream(text("A", "stop"), text("B", "stop"), stop()),
    "stall-before-first-byte": lambda _: Reply(end="stall", silent=True),
    "stall-mid-answer": lambda _: stream(text("A"), end="stall"),
    "rec-error-field": lambda _: stream(text("A"), b'error: {"message": "Gone.", "code": 500}\n\n'),
    "rec-error-event-bare": lambda _: stream(
        text("A"), b'event: error\ndata: {"message": "No such model.", "code": "404"}\n\n'
    ),
    "rec-error-after-length": lambda _: stream(
        text("A", "length"),
        chunk({}, "length"),
        chunk({}, None, error={"code": 502, "message": "Gone."}, usage=USAGE),
        DONE,
    ),
    "rec-no-finish-reason": lambda _: stream(text("A"), DONE),
    "rec-truncated": lambda _: stream(text("A")),
    "rec-finish-twice": lambda _: stream(text("A", "stop"), chunk({}, "stop", usage=USAGE), DONE),
    "rec-finish-absent": lambda _: stream(
        sse({"choices": [{"index": 0, "delta": {"content": "A"}}]}),
        sse({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
    ),
    "rec-tool-arguments-cut": lambda _: stream(
        chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a": "cu'}}]}),
        chunk({}, "tool_calls"),
        DONE,
    ),
    "rec-no-blank-line": lambda _: stream(text("A"), text("B", "stop").rstrip(b"\n") + b"\n"),
    "rec-usage-every-chunk": lambda _: stream(
        text("A", usage={"prompt_tokens": 1}),
        text("B", usage={"prompt_tokens": 2}),
        stop(usage=USAGE),
    ),
    "rec-usage-in-choice": lambda _: stream(
        text("A"), sse({"choices": [{"delta": {}, "finish_reason": "stop", "usage": USAGE}]}), DONE
    ),
    "rec-usage-vendor-field": lambda _: stream(text("A"), stop(x_groq={"id": "r", "usage": USAGE})),
    "rec-usage-then-more": lambda _: stream(
        text("A"),
        sse({"choices": [], "usage": USAGE}),
        text("B"),
        sse({"choices": [], "moderation": {"flagged": False}}),
        stop(),
    ),
    "rec-usage-odd-sums": lambda _: stream(
        text("A"), stop(usage={"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 99})
    ),
    "rec-cost-string": lambda _: stream(text("A"), stop(usage={**USAGE, "cost": "0.0012"})),
    "rec-cost-object": lambda _: stream(text("A"), stop(usage={**USAGE, "cost": {"total_cost": 0.0012}})),
    "rec-cost-ticks": lambda _: stream(
        text("A"), stop(usage={"prompt_tokens": 5, "cost_in_usd_ticks": 12_000_000})
    ),
    "rec-http-error-object": lambda _: body({"error": {"code": 400, "message": "Not this way."}}, 400),
    "rec-http-error-string": lambda _: body({"error": "Not this way."}, 400),
    "rec-http-error-detail": lambda _: body({"detail": [{"loc": ["body"], "msg": "Not this way."}]}, 422),
    "rec-http-error-code-beside": lambda _: body({"error": "Not this way.", "code": "not_found"}, 404),
    "rec-reset-seconds": lambda _: _limited(int(time.time()) + WAIT_S + 1),
    "rec-reset-milliseconds": lambda _: _limited(round((time.time() + WAIT_S) * 1000)),
}

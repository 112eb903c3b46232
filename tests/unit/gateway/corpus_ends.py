"""How answers end, and how they are framed: streams, each with the events they must become."""

from __future__ import annotations

import json

from polylogue.streams.gateway.errors import GARBAGE, TRUNCATED
from polylogue.streams.gateway.events import (
    AudioDelta,
    Finished,
    Noted,
    TextDelta,
    UpstreamError,
)
from tests.unit.gateway.corpus_words import (
    DONE,
    PCM,
    PNG,
    REPORTED,
    STOP,
    USAGE,
    Case,
    b64,
    chunk,
    image,
    picture,
    sse,
)

ENDS: list[Case] = [
    Case("done_without_finish_reason", chunk({"content": "a"}) + DONE, [TextDelta("a"), STOP]),
    Case(
        "finish_reason_without_done",
        chunk({"content": "a"}) + chunk({}, "length", native_finish_reason="ignored"),
        [TextDelta("a"), Finished("length")],
    ),
    Case("neither_is_truncated", chunk({"content": "a"}), [TextDelta("a"), TRUNCATED]),
    Case("empty_body_is_truncated", b"", [TRUNCATED]),
    Case(
        "last_event_without_its_blank_line",
        chunk({"content": "a"}) + chunk({"content": "b"}, "stop").rstrip(b"\n"),
        [TextDelta("a"), TextDelta("b"), STOP],
    ),
    Case(
        "cut_in_mid_line_gives_no_half_image",
        chunk({"content": "a"}, "stop") + chunk(picture(PNG))[:-40],
        [TextDelta("a"), TRUNCATED],
    ),
    Case("garbage_fails", chunk({"content": "a"}) + b"data: {nope\n\n" + DONE, [TextDelta("a"), GARBAGE]),
    Case(
        "error_object_after_text",
        chunk({"content": "a"})
        + sse({"error": {"code": 502, "message": "Provider\ndisconnected"}, "choices": [], "usage": USAGE})
        + DONE,
        [TextDelta("a"), REPORTED, UpstreamError("upstream", "Provider disconnected", retryable=True)],
    ),
    Case(
        "error_in_a_chunk_after_two_finish_reasons",
        chunk({"content": "a"}, "length")
        + chunk({}, "length")
        + chunk({}, None, error={"code": "rate_limit_exceeded", "message": "Slow down"}, usage=USAGE)
        + DONE,
        [TextDelta("a"), REPORTED, UpstreamError("rate_limited", "Slow down", retryable=True)],
    ),
    Case(
        "error_field_without_data",
        chunk({"content": "a"}) + b'error: {"message": "boom", "code": 500}\n\n',
        [TextDelta("a"), UpstreamError("upstream", "boom", retryable=True)],
    ),
    Case(
        "error_event_of_a_bare_object",
        b'event: error\ndata: {"message": "No such model", "code": "404"}\n\n',
        [UpstreamError("invalid_request", "No such model", retryable=False)],
    ),
    Case(
        "error_event_of_a_string",
        b"event: error\ndata: it broke\n\n",
        [UpstreamError("upstream", "it broke", retryable=True)],
    ),
    Case(
        "finish_reason_error",
        chunk({"content": "a"}, "error") + DONE,
        [TextDelta("a"), UpstreamError("upstream", "The model ended with an error.", retryable=True)],
    ),
    Case(
        "content_filter_before_anything",
        chunk({}, "content_filter") + DONE,
        [UpstreamError("content_filter", "The model's content filter refused to answer.", retryable=False)],
    ),
    Case(
        "content_filter_after_text",
        chunk({"content": "a"}, "content_filter") + DONE,
        [TextDelta("a"), Finished("content_filter")],
    ),
    Case(
        "audio_that_breaks_off_is_not_kept",
        chunk({"content": "a", "audio": {"data": b64(PCM)}}),
        [
            TextDelta("a"),
            AudioDelta(1000),
            Noted("sound_cut_off", "The sound broke off with the answer and was not kept."),
            TRUNCATED,
        ],
        "pcm16",
    ),
    Case(
        "nothing_counts_after_done",
        chunk({"content": "a"}, "stop") + DONE + chunk({"content": "b"}),
        [TextDelta("a"), STOP],
    ),
    Case(
        "json_instead_of_sse",
        b"\n  "
        + json.dumps(
            {
                "choices": [{"message": {"content": "hi", **picture(PNG)}, "finish_reason": "stop"}],
                "usage": USAGE,
            }
        ).encode(),
        [TextDelta("hi"), image(PNG), REPORTED, STOP],
    ),
    Case(
        "json_error_with_status_200",
        b'{"error": {"message": "no", "code": 400}}',
        [UpstreamError("invalid_request", "no", retryable=False)],
    ),
    Case("json_cut_off", b'{"choices": [{"message": {"conte', [TRUNCATED]),
    Case(
        "framing_of_every_kind",
        b"\xef\xbb\xbfdata:"
        + chunk({"content": "a"})[6:].replace(b"\n", b"\r\n")
        + b": note\r\nid: 7\r\nretry: 5\r\nunknown\r\n"
        + b'data: {"choices": [{"delta":\r\ndata: {"content": "b"}}]}\r\n\r\n'
        + chunk({"content": "c"}).replace(b"\n", b"\r")
        + b"event: message\rdata:[DONE]\r\r",
        [TextDelta("a"), TextDelta("b"), TextDelta("c"), STOP],
    ),
]

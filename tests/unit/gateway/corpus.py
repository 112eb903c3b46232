"""Streams as gateways send them, by name, each with the events they must become."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from typing import Any, NamedTuple

from polylogue.schemas.events import Usage
from polylogue.streams.gateway.audio import wrap_pcm16
from polylogue.streams.gateway.chat_completions import ChatCompletions
from polylogue.streams.gateway.errors import GARBAGE, TRUNCATED
from polylogue.streams.gateway.events import (
    AudioDelta,
    BadMedia,
    Finished,
    GatewayEvent,
    MediaBytes,
    MediaRemote,
    Noted,
    ReasoningDelta,
    TextDelta,
    UpstreamError,
    UsageReported,
)
from polylogue.streams.gateway.framing import Framing

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3
PNG_2 = b"\x89PNG\r\n\x1a\n" + bytes(range(255, -1, -1)) * 2
JPEG = b"\xff\xd8\xff\xe0" + b"jpeg" * 50
DONE = b"data: [DONE]\n\n"
STOP = Finished("stop")


class Case(NamedTuple):
    name: str
    stream: bytes
    events: list[GatewayEvent]
    audio_format: str | None = None


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def data_url(data: bytes, content_type: str = "image/png") -> str:
    return f"data:{content_type};base64,{b64(data)}"


def image(data: bytes, declared: str | None = "image/png") -> MediaBytes:
    return MediaBytes("image", data, hashlib.sha256(data).hexdigest(), declared)


def audio(data: bytes, declared: str | None) -> MediaBytes:
    return MediaBytes("audio", data, hashlib.sha256(data).hexdigest(), declared)


def sse(document: Any) -> bytes:
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> bytes:
    return sse({"id": "gen-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})


def picture(data: bytes, **more: Any) -> dict[str, Any]:
    return {"images": [{"type": "image_url", "image_url": {"url": data_url(data)}, **more}]}


def run(stream: bytes, cuts: list[int] | None = None, audio_format: str | None = None) -> list[GatewayEvent]:
    """The events of a stream that arrives cut at these places and ends cleanly; adjoining text is one."""
    adapter, framing = ChatCompletions(audio_format=audio_format), Framing()
    places = [0, *sorted(cuts or []), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    out: list[GatewayEvent] = []
    for piece in pieces:
        for frame in framing.feed(piece):
            out += adapter.feed(frame)
    for frame in framing.end():
        out += adapter.feed(frame)
    out += adapter.end()
    assert adapter.ended
    assert adapter.end() == []
    return out


USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12, "cost": 0.0012}
REPORTED = UsageReported(Usage(prompt_tokens=5, completion_tokens=7, total_tokens=12), 1200)
PCM = bytes(range(200)) * 5

CASES: list[Case] = [
    Case(
        "plain_text",
        b": OPENROUTER PROCESSING\n\n"
        + chunk({"role": "assistant", "content": ""})
        + chunk({"content": "Grüße "})
        + b": OPENROUTER PROCESSING\n\n"
        + chunk({"content": "🌍"})
        + chunk({"content": ""}, "stop", usage=None)
        + sse({"choices": [], "usage": USAGE})
        + DONE,
        [TextDelta("Grüße "), TextDelta("🌍"), REPORTED, STOP],
    ),
    Case(
        "text_image_text",
        chunk({"content": "a"})
        + chunk({"content": "", **picture(PNG)})
        + chunk({"content": "b"}, "stop")
        + DONE,
        [TextDelta("a"), image(PNG), TextDelta("b"), STOP],
    ),
    Case(
        "image_with_finish_reason_and_image_after_stop",
        chunk(picture(PNG), "stop") + chunk(picture(PNG_2)) + DONE,
        [image(PNG), image(PNG_2), STOP],
    ),
    Case(
        "two_images_of_one_index_bare_base64_and_without_type",
        chunk(
            {
                "images": [
                    {"image_url": {"url": b64(PNG)}, "index": 0},
                    {"image_url": data_url(JPEG), "index": 0},
                ]
            }
        )
        + DONE,
        [image(PNG, None), image(JPEG), STOP],
    ),
    Case(
        "remote_image",
        chunk({"images": [{"image_url": {"url": "https://cdn.example/a.png?sig=1"}}]}) + DONE,
        [MediaRemote("image", "https://cdn.example/a.png?sig=1"), STOP],
    ),
    Case(
        "message_repeats_the_delta_image",
        chunk({"content": "x"})
        + chunk(picture(PNG))
        + sse({"choices": [{"message": {"content": "x", **picture(PNG)}, "finish_reason": "stop"}]})
        + DONE,
        [TextDelta("x"), image(PNG), STOP],
    ),
    Case(
        "only_a_message_in_the_last_chunk",
        sse({"choices": [{"message": {"content": "see", **picture(PNG)}, "finish_reason": "stop"}]}) + DONE,
        [TextDelta("see"), image(PNG), STOP],
    ),
    Case(
        "cumulative_message_beside_delta",
        sse({"choices": [{"delta": {"content": "a"}, "message": {"content": "a"}}]})
        + sse({"choices": [{"delta": {"content": "b"}, "message": {"content": "ab"}}]})
        + DONE,
        [TextDelta("a"), TextDelta("b"), STOP],
    ),
    Case(
        "content_alternates_between_string_and_list",
        chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]})
        + chunk({"content": "A"})
        + chunk(
            {
                "content": [
                    {"type": "text", "text": "B"},
                    {"type": "image_url", "image_url": {"url": data_url(PNG)}},
                ]
            }
        )
        + chunk({"content": {"type": "image", "mime_type": "image/jpeg", "data": b64(JPEG)}})
        + chunk({"content": [{"type": "video", "video_url": {"url": "https://v.example/x.mp4"}}]}, "stop")
        + DONE,
        [
            ReasoningDelta("hm"),
            TextDelta("A"),
            TextDelta("B"),
            image(PNG),
            image(JPEG, "image/jpeg"),
            MediaRemote("video", "https://v.example/x.mp4"),
            STOP,
        ],
    ),
    Case(
        "reasoning_under_two_names_and_only_in_details",
        chunk({"reasoning": "one", "reasoning_content": "one", "reasoning_details": [{"text": "one"}]})
        + chunk({"content": "", "reasoning_details": [{"type": "reasoning.summary", "summary": "two"}]})
        + chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "AAAA"}]})
        + chunk({"content": "x"}, "stop")
        + DONE,
        [ReasoningDelta("one"), ReasoningDelta("two"), TextDelta("x"), STOP],
    ),
    Case(
        "inline_think_split_over_deltas",
        b"".join(chunk({"content": piece}) for piece in ("<thi", "nk>hm", "m</th", "ink>\n", "\nyes <think>"))
        + DONE,
        [ReasoningDelta("hm"), ReasoningDelta("m"), TextDelta("yes <think>"), STOP],
    ),
    Case(
        "refusal",
        chunk({"content": "", "refusal": "I cannot."}, "stop") + DONE,
        [TextDelta("I cannot."), STOP],
    ),
    Case(
        "nothing_where_something_is_expected",
        sse({"id": "x"})
        + sse({"choices": None})
        + sse({"choices": []})
        + chunk(None)
        + chunk({"content": None})
        + sse({"choices": [{"index": 0}]})
        + b"data:\n\n"
        + chunk({"content": "ok"}, "stop")
        + DONE,
        [TextDelta("ok"), STOP],
    ),
    Case(
        "finish_reason_on_every_chunk_and_again_beside_usage",
        chunk({"content": "a"}, "stop")
        + chunk({"content": "b"}, "stop")
        + chunk({}, "stop", usage=USAGE)
        + DONE,
        [TextDelta("a"), TextDelta("b"), REPORTED, STOP],
    ),
    Case(
        "several_choices_interleaved",
        sse(
            {"choices": [{"index": 1, "delta": {"content": "no"}}, {"index": 0, "delta": {"content": "yes"}}]}
        )
        + sse({"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]})
        + chunk({}, "stop")
        + DONE,
        [TextDelta("yes"), STOP],
    ),
    Case(
        "tool_call_is_noted_once",
        chunk({"tool_calls": [{"index": 1, "id": "c", "function": {"name": "f", "arguments": None}}]})
        + chunk({"tool_calls": [{"index": 1, "function": {"arguments": '{"a": "cut'}}]}, "tool_calls")
        + DONE,
        [
            Noted("tool_call", "The model asked to call a tool; tools are not offered, so nothing was run."),
            Finished("tool_calls"),
        ],
    ),
    Case(
        "usage_in_every_chunk_keeps_the_last",
        chunk({"content": "a"}, usage={"prompt_tokens": 1, "cost": "0.5"})
        + sse({"choices": [], "usage": {**USAGE, "cost": {"total_cost": 0.0012}}})
        + sse({"choices": [], "moderation": {}})
        + DONE,
        [TextDelta("a"), REPORTED, STOP],
    ),
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
        "pcm16_audio_with_transcript",
        chunk({"audio": {"id": "a", "transcript": "Hel"}})
        + chunk({"audio": {"id": "a", "data": b64(PCM[:300])}})
        + chunk({"audio": {"transcript": "lo", "data": b64(PCM[300:601])}})
        + chunk({"audio": {"data": b64(PCM[601:])}})
        + chunk({"audio": {"expires_at": 1}})
        + sse({"usage": USAGE})
        + DONE,
        [
            TextDelta("Hel"),
            AudioDelta(300),
            TextDelta("lo"),
            AudioDelta(301),
            AudioDelta(399),
            audio(wrap_pcm16(PCM), "audio/wav"),
            REPORTED,
            STOP,
        ],
        "pcm16",
    ),
    Case(
        "modality_named_at_the_top",
        sse({"modality": "text", "choices": [{"delta": {"content": "a"}}]})
        + sse({"modality": "image", "choices": [{"delta": {"content": b64(PNG)}}]})
        + sse({"modality": "audio", "choices": [{"delta": {"content": b64(wrap_pcm16(PCM[:600]))}}]})
        + sse({"modality": "audio", "choices": [{"delta": {"content": b64(wrap_pcm16(PCM[600:]))}}]})
        + DONE,
        [
            TextDelta("a"),
            image(PNG, None),
            AudioDelta(644),
            AudioDelta(444),
            audio(wrap_pcm16(PCM), None),
            STOP,
        ],
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
        "bad_base64_leaves_the_rest",
        chunk({"content": "a"})
        + chunk({"images": [{"image_url": {"url": "data:image/png;base64,@@@@"}}]})
        + DONE,
        [
            TextDelta("a"),
            BadMedia("image", "bad_base64", "The model sent a picture that is not valid base64."),
            STOP,
        ],
    ),
    Case(
        "image_counted_but_not_sent",
        chunk({"content": "a"}, "stop", usage={**USAGE, "completion_tokens_details": {"image_tokens": 1290}})
        + DONE,
        [
            TextDelta("a"),
            Noted("no_image", "The model counted a picture but sent none."),
            UsageReported(
                Usage(prompt_tokens=5, completion_tokens=7, total_tokens=12, image_tokens=1290), 1200
            ),
            STOP,
        ],
    ),
    Case(
        "text_that_looks_like_media",
        chunk({"content": "[x](sandbox:/mnt/data/x.png) https://a.example/base64/x"}, "stop") + DONE,
        [TextDelta("[x](sandbox:/mnt/data/x.png) https://a.example/base64/x"), STOP],
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

"""The adapter for the Responses API: previews are none, results once, every end told."""

from __future__ import annotations

import base64

import pytest

from polylogue.schemas.events import Usage
from polylogue.simulator.case_media import picture, samples
from polylogue.streams.gateway.audio import wrap_pcm16
from polylogue.streams.gateway.events import (
    AudioDelta,
    BadMedia,
    Finished,
    Noted,
    ReasoningDelta,
    TextDelta,
    UpstreamError,
    UsageReported,
)
from polylogue.streams.gateway.responses import Responses
from tests.unit.gateway.cases.expected import STOP, TRUNCATED, drawn, heard, medium
from tests.unit.gateway.feeding import frame, streamed, whole

B64 = base64.b64encode(picture()).decode()
COMPLETED = {"type": "response.completed", "response": {"status": "completed", "output": []}}
CALL = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": B64}
SAID = {"type": "response.output_text.delta", "delta": "A"}


def done(item: dict[str, object]) -> dict[str, object]:
    return {"type": "response.output_item.done", "item": item}


def test_text_reasoning_and_refusal_stream():
    assert streamed(
        Responses(),
        {"type": "response.reasoning_summary_text.delta", "delta": "Let me see."},
        SAID,
        {"type": "response.refusal.delta", "delta": "No."},
        {"type": "response.output_text.done", "text": "A"},
        COMPLETED,
    ) == [ReasoningDelta("Let me see."), TextDelta("A"), TextDelta("No."), STOP]


def test_a_result_that_comes_by_itself_is_taken_once_with_its_declared_type():
    result = {
        "type": "response.image_generation_call.completed",
        "item_id": "ig_1",
        "result": B64,
        "output_format": "png",
    }
    response = {"status": "completed", "output": [CALL]}
    completed = {"type": "response.completed", "response": response}
    assert streamed(Responses(), result, done(CALL), completed) == [drawn(), STOP]


def test_the_same_picture_of_two_items_is_one_medium():
    events = streamed(Responses(), done(CALL), done({**CALL, "id": "ig_2"}), COMPLETED)
    assert [type(event).__name__ for event in events] == ["MediaBytes", "Finished"]


def test_previews_are_no_result_also_when_the_stream_breaks():
    preview = {
        "type": "response.image_generation_call.partial_image",
        "item_id": "ig_1",
        "partial_image_index": 0,
        "partial_image_b64": B64,
    }
    note, end = streamed(Responses(), preview)
    assert isinstance(note, Noted)
    assert note.code == "image_unfinished"
    assert end == TRUNCATED


def test_a_result_that_is_no_base64_is_refused():
    bad, end = streamed(Responses(), done({**CALL, "result": "It did not work."}), COMPLETED)
    assert isinstance(bad, BadMedia)
    assert end == STOP


@pytest.mark.parametrize(
    ("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter")]
)
def test_an_incomplete_response_says_why(reason: str, finish: str):
    incomplete = {"type": "response.incomplete", "response": {"incomplete_details": {"reason": reason}}}
    assert streamed(Responses(), SAID, incomplete) == [TextDelta("A"), Finished(finish)]


def test_a_failed_response_ends_with_its_error_and_usage():
    error = {"code": "rate_limit_exceeded", "message": "Slow down."}
    failed = {"type": "response.failed", "response": {"error": error, "usage": {"input_tokens": 5}}}
    assert streamed(Responses(), SAID, failed) == [
        TextDelta("A"),
        UsageReported(Usage(prompt_tokens=5)),
        UpstreamError("rate_limited", "Slow down.", retryable=True),
    ]


@pytest.mark.parametrize(
    "error",
    [{"type": "error", "code": "500", "message": "Gone."}, {"error": {"code": 500, "message": "Gone."}}],
)
def test_an_error_event_ends_the_answer(error: dict[str, object]):
    assert streamed(Responses(), error, SAID) == [UpstreamError("upstream", "Gone.", retryable=True)]


def test_sound_with_transcript():
    pieces = [samples(0, 3000), samples(3000, 6000)]
    events = streamed(
        Responses(audio_format="pcm16"),
        {"type": "response.output_audio_transcript.delta", "delta": "Hello"},
        *({"type": "response.output_audio.delta", "delta": base64.b64encode(p).decode()} for p in pieces),
        COMPLETED,
    )
    sound = heard(wrap_pcm16(samples(0, 6000)))
    assert events == [TextDelta("Hello"), AudioDelta(3000), AudioDelta(3000), sound, STOP]


def test_a_whole_response_is_read_too():
    said = {"type": "message", "content": [{"type": "output_text", "text": "A"}]}
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    body = {"status": "completed", "output": [thought, said, CALL], "usage": {"output_tokens": 7}}
    assert whole(Responses(), body) == [
        ReasoningDelta("Hm."),
        TextDelta("A"),
        medium(picture(), None),
        UsageReported(Usage(completion_tokens=7)),
        STOP,
    ]


@pytest.mark.parametrize(
    ("body", "failure_class"),
    [
        ({"status": "failed", "output": [], "error": {"code": 500, "message": "No."}}, "upstream"),
        ({"error": {"code": 401}}, "auth"),
        ({"hello": 1}, "protocol"),
        ([1], "protocol"),
    ],
)
def test_a_body_that_is_no_answer_fails(body: object, failure_class: str):
    (end,) = whole(Responses(), body)
    assert isinstance(end, UpstreamError)
    assert end.failure_class == failure_class


def test_nothing_comes_after_the_end():
    adapter = Responses()
    assert adapter.feed(frame(COMPLETED)) == [STOP]
    assert adapter.feed(frame(SAID)) == []
    assert adapter.fail(TRUNCATED) == []


def test_done_ends_a_stream_without_completion():
    assert streamed(Responses(), SAID, b"[DONE]") == [TextDelta("A"), STOP]

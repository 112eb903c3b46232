"""Frames: each event makes those of the closed table, valid by their schemas and the same on every process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from polylogue.api.channel import Reduction
from polylogue.schemas import events
from polylogue.schemas.base import Payload
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from tests.support.script import Script
from tests.support.sse_client import validated
from tests.support.turns import CONVERSATION, Written, logs, script


def frames_from(written: Iterable[Event]) -> list[dict[str, Any]]:
    reduction = Reduction("0a1b2c3d", 0, lambda key: f"https://media.example/{key}", lambda _: None)
    return [
        validated(frame.json)
        for offset, event in enumerate(written, start=1)
        for frame in reduction.frames(Written(offset, None, event_codec.encode(event)))
    ]


def begun(models: int = 2) -> tuple[Script, list[Event]]:
    made = script(models=models)
    return made, list(made.opening())


def after(opening: list[Event], *written: Event) -> list[dict[str, Any]]:
    """The frames of `written` alone."""
    return frames_from([*opening, *written])[len(frames_from(opening)) :]


@settings(max_examples=60)
@given(logs())
def test_every_frame_of_any_log_is_valid_and_ids_rise(log: list[Written]) -> None:
    reduction = Reduction("0a1b2c3d", 0, lambda key: key, lambda _: None)
    mine = [record for record in log if record.key == CONVERSATION.encode()]
    ids = [validated(frame.json)["id"] for record in mine for frame in reduction.frames(record)]
    assert ids == sorted(set(ids))


def test_a_prompt_makes_a_turn_and_a_start_for_every_model_in_order() -> None:
    seen = frames_from(script(models=3).opening())
    assert [frame["type"] for frame in seen] == ["conversation", "turn", "start", "start", "start"]
    assert seen[1]["models"] == [frame["model"] for frame in seen[2:]] == ["sim/1", "sim/2", "sim/3"]
    assert {frame["attempt"] for frame in seen[2:]} == {1}


def test_a_further_attempt_starts_again() -> None:
    made, opening = begun(models=1)
    response = made.start.responses[0].response_id
    (again,) = after(opening, made.said(response, events.ResponseStarted(model="sim/1"), attempt=2))
    assert (again["type"], again["attempt"], again["model"]) == ("start", 2, "sim/1")


@pytest.mark.parametrize(
    ("event", "frame"),
    [
        (events.ResponseQueued(position=3), {"type": "queued", "position": 3}),
        (events.TextAppended(text="a"), {"type": "chunk", "content": "a"}),
        (events.ReasoningAppended(text="b"), {"type": "reasoning", "content": "b"}),
        (
            events.ResponseNoted(code="left_out", message="No."),
            {"type": "note", "code": "left_out", "message": "No."},
        ),
        (
            events.MediaJobStarted(media_id="m", media_type="video", job_id="j", polling_url="https://x/y"),
            {"type": "media_pending", "phase": "generating", "media_type": "video"},
        ),
        (
            events.MediaRefused(media_id="m", media_type="image", reason="disabled", message="Off."),
            {"type": "media_failed", "reason": "disabled", "message": "Off."},
        ),
    ],
)
def test_what_a_response_says_is_told(event: Payload, frame: dict[str, Any]) -> None:
    made, opening = begun()
    response = made.start.responses[1].response_id
    (seen,) = after(opening, made.said(response, event))
    assert frame.items() <= seen.items()
    assert (seen["response_id"], seen["model"]) == (response, "sim/2")
    assert (seen["conversation_id"], seen["turn_id"]) == (CONVERSATION, made.command.turn_id)


def test_a_medium_that_comes_after_the_end_completes_the_turn() -> None:
    made, opening = begun(models=1)
    response = made.start.responses[0].response_id
    usage = events.Usage(prompt_tokens=1, completion_tokens=2)
    end = events.ResponseCompleted(finish_reason="stop", usage=usage, cost_usd_micros=1500)
    checked = made.validated(response, "m")
    written = [made.produced(response, "m"), made.said(response, end), checked, checked]
    seen = after(opening, *written, made.stored(response, "m"), checked)
    assert [frame["type"] for frame in seen] == [
        "media_pending",
        "done",
        "media_pending",
        "media",
        "complete",
    ]
    pending, done, uploading, media, complete = seen
    assert (pending["phase"], pending["size_bytes"]) == ("validating", 7)
    assert (uploading["phase"], uploading["format"], uploading["size_bytes"]) == ("uploading", "png", 7)
    assert (uploading["width"], uploading["height"]) == (2, 3)
    assert (done["error"], done["finish_reason"], done["cost_usd"]) == (False, "stop", 0.0015)
    assert done["usage"] == {"prompt_tokens": 1, "completion_tokens": 2}
    assert media["url"] == media["media_url"]
    assert media["url"].startswith("https://media.example/media/image/")
    assert media["format"] == media["media_format"] == "png"
    assert complete["metadata"]["models_successful"] == 1
    assert complete["metadata"]["input_length"] == len("prompt 1")


def test_a_medium_that_is_tried_again_goes_through_its_phases_again() -> None:
    made, opening = begun(models=1)
    response = made.start.responses[0].response_id
    named: dict[str, Any] = {"media_id": "m", "media_type": "image"}
    failed = events.MediaFailed(**named, reason="storage_unavailable", message="Away.")
    again = msgspec.structs.replace(made.validated(response, "m").data, retry=1)
    late = made.validated(response, "m")
    retold = [failed, events.MediaRetried(**named, retry=1), again]
    written = [made._event(type(one).__name__, one, response_id=response) for one in retold]
    seen = after(opening, made.produced(response, "m"), late, written[0], written[1], late, written[2])
    assert [(frame["type"], frame.get("phase")) for frame in seen] == [
        ("media_pending", "validating"),
        ("media_pending", "uploading"),
        ("media_failed", None),
        ("media_pending", "validating"),
        ("media_pending", "uploading"),
    ]


def test_where_nothing_succeeded_an_error_comes_right_before_complete() -> None:
    made, opening = begun()
    failure = events.ResponseFailed(failure_class="auth", message="The key was refused.", retryable=False)
    ends = [made.said(slot.response_id, failure) for slot in made.start.responses]
    seen = after(opening, *ends)
    assert [frame["type"] for frame in seen] == ["done", "done", "error", "complete"]
    assert seen[0]["error"] is True
    assert seen[0]["message"] == "The key was refused."
    assert seen[0]["retryable"] is False


def test_one_failure_beside_a_success_is_no_error_of_the_turn() -> None:
    made, opening = begun()
    one, two = (slot.response_id for slot in made.start.responses)
    failure = events.ResponseFailed(failure_class="upstream", message="It broke.", retryable=True)
    seen = after(opening, made.said(one, failure), *made.answer(two))
    assert [frame["type"] for frame in seen] == ["done", "done", "complete"]
    assert (seen[-1]["metadata"]["models_successful"], seen[-1]["metadata"]["models_failed"]) == (1, 1)


def test_a_stopped_response_is_done_without_error() -> None:
    made, opening = begun(models=1)
    response = made.start.responses[0].response_id
    seen = after(opening, made.said(response, events.ResponseCancelled()))
    assert [frame["type"] for frame in seen] == ["done", "complete"]
    assert (seen[0]["error"], seen[0]["finish_reason"]) == (False, "cancelled")
    assert seen[1]["metadata"]["models_cancelled"] == 1


def test_a_repeated_event_is_told_once() -> None:
    made, opening = begun(models=1)
    said = made.said(made.start.responses[0].response_id, events.TextAppended(text="a"))
    assert len(after(opening, said, said)) == 1

"""Chat completions: whatever frames come, chunks and the whole answer say the same, in OpenAI's order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given

from polylogue.api.openai.completion import Chunks, Whole
from polylogue.schemas import frames
from tests.support.frames import (
    COMPLETE,
    MINE,
    any_frames,
    chunk,
    cut,
    done,
    failed,
    pending,
    reasoning,
    stored,
)

Chunk = dict[str, Any]


def chunks_of(seen: Iterable[frames.Frame], *, include_usage: bool = False) -> tuple[Chunks, list[Chunk]]:
    translation = Chunks(MINE, "sim/text", 1, include_usage=include_usage)
    made = translation.begin()
    for frame in seen:
        made += translation.take(frame)
        if translation.over:
            return translation, made
    return translation, made + translation.cut()


def whole_of(seen: Iterable[frames.Frame]) -> Whole:
    translation = Whole(MINE, "sim/text", 1)
    for frame in seen:
        translation.take(frame)
        if translation.over:
            break
    return translation


def joined(made: list[Chunk]) -> dict[str, Any]:
    """The message as clients put it together."""
    message: dict[str, Any] = {"content": ""}
    for one in made:
        for name, value in one["choices"][0]["delta"].items() if one.get("choices") else ():
            empty: Any = [] if isinstance(value, list) else ""
            message[name] = message.get(name, empty) + value
    return message


@given(any_frames)
def test_any_frames_make_chunks_in_order(seen: list[frames.Frame]) -> None:
    translation, made = chunks_of(seen, include_usage=True)

    assert translation.over
    choices = [one["choices"][0] for one in made if one.get("choices")]
    roles = [number for number, one in enumerate(choices) if "role" in one["delta"]]
    assert roles == ([0] if choices else [])
    reasons = [one["finish_reason"] for one in choices if one["finish_reason"]]
    if translation.error is None:
        assert choices[-1]["finish_reason"] in {"stop", "length", "content_filter"}
        assert len(reasons) == 1
        assert made[-1]["choices"] == []
        assert made[-1]["usage"]
        assert all(one["usage"] is None for one in made[:-1])
    else:
        assert reasons == []
        assert made[-1]["error"]["code"] == "model_failed"
    assert [one for one in made if "error" in one] == ([made[-1]] if translation.error else [])


@given(any_frames)
def test_the_whole_answer_is_what_the_chunks_say(seen: list[frames.Frame]) -> None:
    whole = whole_of(seen)
    translation, made = chunks_of(seen)

    assert (whole.refusal is None) == (translation.error is None)
    if whole.refusal is None:
        message = whole.body()["choices"][0]["message"]
        del message["refusal"]
        streamed = joined(made)
        assert {name: value for name, value in streamed.items() if value or name == "content"} == message
        assert made[-1]["choices"][0]["finish_reason"] == whole.body()["choices"][0]["finish_reason"]


@given(any_frames)
def test_only_what_was_said_nothing_before_is_a_status(seen: list[frames.Frame]) -> None:
    translation, made = chunks_of(seen)

    if translation.refusal is not None:
        assert [one for one in made if "error" not in one] == []
    elif translation.error is not None:
        assert made[0]["choices"][0]["delta"]["role"] == "assistant"


@pytest.mark.parametrize(
    ("reason", "told"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"), ("cancelled", "stop")],
)
def test_reasons_are_those_that_openai_knows(reason: str, told: str) -> None:
    assert chunks_of([done(reason), COMPLETE])[1][-1]["choices"][0]["finish_reason"] == told


@pytest.mark.parametrize(("again", "status"), [(True, 503), (False, 502)])
def test_a_failure_says_whether_to_ask_again(again: bool, status: int) -> None:
    seen = [done("error", message="It broke.", retryable=again), COMPLETE]
    for refusal in (whole_of(seen).refusal, chunks_of(seen)[0].refusal):
        assert refusal is not None
        assert refusal.status_code == status
        assert refusal.headers["x-should-retry"] == ("true" if again else "false")
        error = orjson.loads(refusal.body)["error"]
        assert (error["type"], error["message"]) == ("server_error", "It broke.")


def test_media_come_before_the_end_and_only_pictures_are_images() -> None:
    seen = [
        pending("m1"),
        reasoning("r"),
        chunk("c"),
        done(),
        stored("m1"),
        stored("m2", "audio"),
        failed("m3"),
        COMPLETE,
    ]
    message = whole_of(seen).body()["choices"][0]["message"]

    assert message["images"] == [
        {
            "type": "image_url",
            "image_url": {"url": "https://media.example/m1"},
            "index": 0,
            "media_id": "m1",
        }
    ]
    assert [(one["media_id"], one["status"]) for one in message["media"]] == [
        ("m2", "stored"),
        ("m3", "failed"),
    ]
    assert chunks_of(seen)[1][-1]["choices"][0]["finish_reason"] == "stop"


def test_usage_is_counted_in_their_names() -> None:
    usage = frames.FrameUsage(prompt_tokens=2, completion_tokens=3, reasoning_tokens=1, cached_tokens=1)
    told = whole_of([done(usage=usage), COMPLETE]).body()["usage"]

    assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (2, 3, 5)
    assert told["completion_tokens_details"]["reasoning_tokens"] == 1
    assert told["prompt_tokens_details"]["cached_tokens"] == 1


def test_a_server_that_stops_says_how_to_go_on() -> None:
    refusal = whole_of([chunk("a"), cut()]).refusal
    assert refusal is not None
    assert refusal.status_code == 503
    assert "Idempotency-Key" in orjson.loads(refusal.body)["error"]["message"]

"""Parts of the UI message stream: whatever frames come, a client that follows the protocol reads one whole message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import given

from polylogue.api.ai_sdk.parts import MessageParts
from polylogue.schemas import frames
from tests.support.frames import (
    COMPLETE,
    MINE,
    TURN,
    any_frames,
    chunk,
    cut,
    done,
    failed,
    pending,
    reasoning,
    started,
    stored,
)

Part = dict[str, Any]


def parts_of(seen: Iterable[frames.Frame]) -> list[Part]:
    """All that is written, up to the end of the message."""
    translation = MessageParts(MINE, conversation_id="c" * 32, turn_id=TURN, model="sim/text")
    made = translation.begin()
    for frame in seen:
        made += translation.take(frame)
        if translation.over:
            return made
    return made + translation.cut()


class Reader:
    """Reads as the AI SDK does, and refuses what it refuses."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self.open: dict[str, Part] = {}
        self.parts: list[Part] = []
        self.errors: list[str] = []
        for part in parts:
            self._read(part)

    def text(self, kind: str) -> str:
        return "".join(part["text"] for part in self.parts if part["type"] == kind)

    def _read(self, part: Part) -> None:
        kind, _, step = part["type"].partition("-")
        match part["type"]:
            case "text-start" | "reasoning-start":
                assert part["id"] not in self.open
                self.open[part["id"]] = {"type": kind, "text": ""}
                self.parts.append(self.open[part["id"]])
            case "text-delta" | "reasoning-delta":
                assert self.open[part["id"]]["type"] == kind
                self.open[part["id"]]["text"] += part["delta"]
            case "text-end" | "reasoning-end":
                assert self.open.pop(part["id"])["type"] == kind
            case "data-media":
                known = [one for one in self.parts if one.get("id") == part["id"]]
                if known:
                    known[0]["data"] = part["data"]
                else:
                    self.parts.append(dict(part))
            case "file" | "data-note":
                self.parts.append(part)
            case "reset-step":
                self.parts.clear()
                self.open.clear()
            case "error":
                self.errors.append(part["errorText"])
            case _:
                assert part["type"] in {"start", "start-step", "finish-step", "finish", "abort"}, step


@given(any_frames)
def test_any_frames_make_one_whole_message(seen: list[frames.Frame]) -> None:
    made = parts_of(seen)

    kinds = [part["type"] for part in made]
    assert kinds[:2] == ["start", "start-step"]
    assert kinds[-2:] == ["finish-step", "finish"]
    assert kinds.count("start") == kinds.count("finish") == 1
    read = Reader(made)
    assert read.open == {}
    assert len(read.errors) <= 1
    if read.errors:
        assert kinds[-3] == "error"
        assert made[-1]["finishReason"] == "error"


@given(any_frames)
def test_every_file_was_announced_and_comes_once(seen: list[frames.Frame]) -> None:
    announced: set[str] = set()
    for part in parts_of(seen):
        if part["type"] == "data-media":
            announced.add(part["id"])
        elif part["type"] == "file":
            assert part["providerMetadata"]["polylogue"]["media_id"] in announced
    read = Reader(parts_of(seen))
    for media_id in announced:
        data = [part["data"]["status"] for part in read.parts if part.get("id") == media_id]
        assert len(data) <= 1


@given(any_frames)
def test_the_text_is_that_of_the_last_attempt_of_the_response(seen: list[frames.Frame]) -> None:
    expected, ended = "", False
    for frame in seen:
        match frame:
            case frames.ChunkFrame(response_id=who, content=content) if who == MINE:
                expected += content
            case frames.StartFrame(response_id=who, attempt=2) if who == MINE:
                expected = ""
            case frames.DoneFrame(response_id=who) if who == MINE:
                ended = True
            case frames.GapFrame():
                break
            case frames.CompleteFrame() if ended:
                break

    assert Reader(parts_of(seen)).text("text") == expected


def test_parts_are_in_the_order_in_which_they_began() -> None:
    made = parts_of(
        [reasoning("a"), chunk("b"), pending("m1"), chunk("c"), stored("m1"), chunk("d"), done(), COMPLETE]
    )

    read = Reader(made)
    assert [part["type"] for part in read.parts] == ["reasoning", "text", "data-media", "text", "file"]
    assert [part["text"] for part in read.parts if "text" in part] == ["a", "b", "cd"]


def test_a_medium_is_told_when_it_begins_to_be_made_and_when_its_bytes_are_there() -> None:
    made = parts_of(
        [
            pending("m1", phase="generating"),
            pending("m1", phase="validating"),
            pending("m1", phase="uploading"),
            stored("m1"),
            done(),
            COMPLETE,
        ]
    )

    statuses = [part["data"]["status"] for part in made if part["type"] == "data-media"]
    assert statuses == ["generating", "uploading", "stored"]


def test_a_message_waits_for_its_media() -> None:
    waiting = MessageParts(MINE, conversation_id="c", turn_id=TURN, model=None)
    for frame in (pending("m1"), done()):
        waiting.take(frame)
    assert not waiting.over
    waiting.take(failed("m1"))
    assert waiting.take(COMPLETE)[-1]["type"] == "finish"
    assert waiting.over


def test_a_failure_is_told_after_the_media() -> None:
    made = parts_of([pending("m1"), done("error", message="It broke."), stored("m1"), COMPLETE])

    kinds = [part["type"] for part in made]
    assert kinds.index("file") < kinds.index("error")
    assert Reader(made).errors == ["It broke."]


def test_a_stopped_answer_is_no_error() -> None:
    made = parts_of([chunk("a"), done("cancelled"), COMPLETE])

    assert Reader(made).errors == []
    assert [part["type"] for part in made][-3:] == ["abort", "finish-step", "finish"]
    assert made[-1]["messageMetadata"]["finish_reason"] == "cancelled"


def test_a_second_attempt_takes_back_the_first() -> None:
    made = parts_of([chunk("a"), pending("m1"), started(2), chunk("b"), done(), COMPLETE])

    assert [part["type"] for part in Reader(made).parts] == ["text"]
    assert Reader(made).text("text") == "b"


def test_what_is_cut_off_says_so() -> None:
    for seen in ([chunk("a"), cut()], [chunk("a")], []):
        assert len(Reader(parts_of(seen)).errors) == 1


def test_usage_and_cost_are_told_at_the_end() -> None:
    usage = frames.FrameUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    finish = parts_of([done(usage=usage), COMPLETE])[-1]

    assert finish["messageMetadata"]["usage"] == {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    assert finish["messageMetadata"]["model"] == "sim/text"

"""A large picture that arrives is decoded, hashed and held once; caps count what came; the text is never lost."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import tracemalloc
from typing import Any

import pybase64
import pytest

from polylogue.streams.gateway.chat_completions import ChatCompletions
from polylogue.streams.gateway.events import BadMedia, MediaBytes, UpstreamError
from polylogue.streams.gateway.framing import Framing
from polylogue.streams.gateway.lifted import Lifted, LiftedString
from polylogue.streams.gateway.sse import LineTooLongError, ProtocolError, SseParser
from tests.unit.gateway.mangled_answers import PIECE, PNG, Played, in_pieces, line_of

MIB = 1024 * 1024


@pytest.mark.parametrize("size", [3_000_000, 3_000_001, 3_000_002])
@pytest.mark.parametrize("padded", [True, False])
def test_a_large_picture_is_decoded_and_hashed_once(
    size: int, padded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, hashed, decode, sha256 = [], [], pybase64.b64decode, hashlib.sha256

    class Counted:
        def __init__(self, data: bytes = b"") -> None:
            self._of = sha256(data)
            hashed.append(len(data))

        def update(self, data: bytes) -> None:
            hashed.append(len(data))
            self._of.update(data)

        def copy(self) -> Counted:
            other = Counted()
            other._of = self._of.copy()
            return other

        def hexdigest(self) -> str:
            return self._of.hexdigest()

    def counted(piece: Any, **how: Any) -> bytes:
        data = decode(piece, **how)
        decoded.append(len(data))
        return data

    picture = PNG + bytes(size - len(PNG))
    stream = line_of(picture)
    if not padded:
        stream = stream.replace(b"=", b"")
    monkeypatch.setattr(pybase64, "b64decode", counted)
    monkeypatch.setattr(hashlib, "sha256", Counted)
    answer = Played(ChatCompletions(), in_pieces(stream), lift=True, limit=MIB * 100, cut=True)
    (medium,) = answer.media
    assert medium.data == picture
    assert medium.sha256 == sha256(picture).hexdigest()
    assert sum(decoded) == sum(hashed) == size


def test_a_picture_is_held_once_and_without_its_base64() -> None:
    size = 6_000_000
    pieces = in_pieces(line_of(PNG + bytes(size - len(PNG))))
    framing, adapter, came = Framing(), ChatCompletions(), 0
    tracemalloc.start()
    try:
        for piece in pieces[:-1]:
            assert framing.feed(piece) == []
            came += len(piece)
            framing.lift()
            assert framing.held <= came * 3 // 4 + 1000
        (frame,) = framing.feed(pieces[-1])
        (medium,) = adapter.feed(frame)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(medium, MediaBytes)
    assert len(medium.data) == size
    assert framing.held == 0
    assert peak < 1.25 * size


@pytest.mark.parametrize("body", [True, False])
def test_what_was_lifted_counts_for_the_caps(body: bool) -> None:
    stream = line_of(PNG + bytes(400_000))
    stream = stream[6:] if body else stream[:-2]
    for limit, passes in ((len(stream), True), (len(stream) - 1, False)):
        framing = Framing(max_line_bytes=limit, max_body_bytes=limit)
        with contextlib.nullcontext() if passes else pytest.raises(ProtocolError):
            for piece in in_pieces(stream):
                framing.feed(piece)
                framing.lift()


def test_a_line_that_is_too_long_leaves_nothing_behind() -> None:
    parser = SseParser(max_line_bytes=200_000)
    for piece in in_pieces(line_of(PNG + bytes(400_000)))[:3]:
        parser.feed(piece)
        assert parser.lift() is not None
    with pytest.raises(LineTooLongError):
        parser.feed(bytes(PIECE))
    assert parser.lift() is None
    assert parser.held == 0


def test_a_short_line_is_left_as_it_is() -> None:
    framing = Framing()
    framing.feed(line_of(PNG + bytes(20_000))[:-2])
    assert framing.lift() is None


def test_a_picture_within_text_is_found_there_as_ever() -> None:
    picture = base64.b64encode(PNG + bytes(200_000)).decode()
    document = {"choices": [{"delta": {"content": f"data:image/png;base64,{picture} is it"}}]}
    stream = b"data: " + json.dumps(document).encode() + b"\n\n"
    with_it, without = (
        Played(ChatCompletions(), in_pieces(stream), lift=lift, limit=MIB, cut=True) for lift in (True, False)
    )
    assert with_it.arrived
    assert with_it.steps == without.steps
    (medium,) = with_it.media
    ((prefix, data),) = with_it.arrived.items()
    assert prefix.followed_by(medium.data[len(data) :]) == medium.sha256


def test_the_same_picture_again_is_recognised() -> None:
    line = line_of(PNG + bytes(200_000))
    answer = Played(ChatCompletions(), in_pieces(line) + in_pieces(line), lift=True, limit=MIB, cut=True)
    assert len(answer.media) == 1
    assert len(answer.arrived) == 2


def test_a_picture_above_the_limit_is_refused() -> None:
    size = len(PNG) + 200_000
    events = [
        Played(
            ChatCompletions(max_media_bytes=most),
            in_pieces(line_of(PNG + bytes(200_000))),
            lift=True,
            limit=MIB,
            cut=False,
        ).steps
        for most in (size, size - 1)
    ]
    (whole, *_), (refused, *_) = ([event for step in steps for event in step] for steps in events)
    assert isinstance(whole, MediaBytes)
    assert isinstance(refused, BadMedia)
    assert refused.reason == "too_large"


def test_a_string_is_medium_and_text_as_often_as_is_asked() -> None:
    lifted = Lifted()
    lifted.add(b"abc")
    string = LiftedString(b"data:image/png;base64,", lifted, b"ZGU=")
    for _ in range(2):
        assert string.medium(b"de") == (b"abcde", hashlib.sha256(b"abcde").hexdigest())
        assert bytes(string.text()) == b"data:image/png;base64,YWJjZGU="
    assert len(string) == len(string.text())
    assert "YWJj" not in repr(string)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (b"error: ", b"\n\n"),
        (b"event: error\ndata: ", b"\n\n"),
        (b"event: error\ndata: ", b"\ndata: more\n\n"),
    ],
)
def test_an_error_in_words_is_told_in_the_words_that_came(begin: bytes, end: bytes) -> None:
    stream = begin + b'refused: "data:image/png;base64,' + base64.b64encode(bytes(100_000)) + end
    with_it, without = (
        Played(ChatCompletions(), in_pieces(stream), lift=lift, limit=MIB, cut=False)
        for lift in (True, False)
    )
    assert with_it.arrived
    assert with_it.steps == without.steps
    (told,) = [event for step in with_it.steps for event in step]
    assert isinstance(told, UpstreamError)
    assert 'refused: "data:image/png;base64,AAAAAA' in told.message

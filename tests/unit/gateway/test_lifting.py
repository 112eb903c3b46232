"""An answer is the same whether its media were taken out of their lines while they arrived or not."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from polylogue.streams.gateway import large_json, questions
from polylogue.streams.gateway.adapter import Adapter
from polylogue.streams.gateway.chat_completions import ChatCompletions
from polylogue.streams.gateway.lifted import Lifted, LiftedString
from polylogue.streams.gateway.line_ahead import Lifting
from polylogue.streams.gateway.protocols import Protocol
from polylogue.streams.gateway.request import ChatRequest
from polylogue.streams.gateway.sse import ProtocolError, SseParser
from tests.unit.gateway.mangled_answers import (
    HEADS,
    PNG,
    Played,
    cuttings,
    documents,
    line_of,
    pieces_of,
    short_is_long,
    streams,
)


def adapter_of(protocol: Protocol, *, wanted: bool, most: int) -> Adapter:
    request = ChatRequest(model="m", messages=(), modalities=("image", "text") if wanted else ("text",))
    return questions.adapter(protocol, request, max_media_bytes=most)


class Way(msgspec.Struct):
    """How an answer comes, and what may come."""

    protocol: Protocol
    wanted: bool
    limit: int
    most: int
    cut: bool


ways = st.builds(
    Way,
    protocol=st.sampled_from(["chat", "chat", "chat", "responses", "images", "speech"]),
    wanted=st.sampled_from([True, True, True, False]),
    limit=st.sampled_from([100_000] * 5 + [800, 400]),
    most=st.sampled_from([10_000] * 4 + [400]),
    cut=st.booleans(),
)


def played(way: Way, pieces: Sequence[bytes], *, lift: bool) -> Played:
    adapter = adapter_of(way.protocol, wanted=way.wanted, most=way.most)
    return Played(adapter, pieces, lift=lift, limit=way.limit, cut=way.cut)


@settings(max_examples=600, deadline=None)
@given(stream=streams(), cuts=cuttings, way=ways)
def test_lifting_changes_nothing_that_comes_out_nor_when(
    stream: bytes, cuts: list[int] | None, way: Way
) -> None:
    pieces = [bytes([byte]) for byte in stream] if cuts is None else pieces_of(stream, cuts)
    with short_is_long():
        with_it, without = played(way, pieces, lift=True), played(way, pieces, lift=False)
    assert with_it.steps == without.steps
    for medium in with_it.media:
        assert medium.sha256 == hashlib.sha256(medium.data).hexdigest()
    for prefix, data in with_it.arrived.items():
        assert prefix.followed_by(b"more") == hashlib.sha256(data + b"more").hexdigest()


long_lines = st.builds(
    lambda field, url, rest: f'{field}{{"url":"{url}"{rest}'.encode(),
    st.sampled_from(["data: ", "data: ", "data:", "error: ", "event: ", ": ", "id: ", ""]),
    st.builds(
        str.__add__,
        st.just(HEADS[0]),
        st.binary(max_size=90).map(lambda data: base64.b64encode(data).decode()),
    ),
    st.sampled_from(["}", "", ",,,,"]),
)


@given(
    lines=st.lists(long_lines | st.sampled_from([b"", b"", b"data: x", b"event: e", b"data"]), max_size=8),
    cuts=cuttings,
    limit=st.sampled_from([10_000, 130, 300]),
)
def test_every_line_of_an_event_can_be_restored(
    lines: list[bytes], cuts: list[int] | None, limit: int
) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    pieces = [bytes([byte]) for byte in stream] if cuts is None else pieces_of(stream, cuts)

    def events(*, lift: bool) -> list[tuple[str, bytes, bool]]:
        parser, out = SseParser(max_line_bytes=limit, max_event_bytes=limit), []
        with short_is_long(), contextlib.suppress(ProtocolError):
            for piece in pieces:
                out += parser.feed(piece)
                if lift:
                    parser.lift()
            out += parser.end()
        return [
            (one.name, bytes(one.lifted.restored(one.data) if one.lifted else one.data), one.cut)
            for one in out
        ]

    assert events(lift=True) == events(lift=False)


class Long(msgspec.Struct):
    """A string that was left as it is."""

    text: bytes


def plain(value: Any) -> Any:
    if isinstance(value, memoryview | LiftedString):
        return Long(bytes(value if isinstance(value, memoryview) else value.text()))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def read(document: bytes, lifted: Lifted | None = None) -> Any:
    try:
        return plain(large_json.loads(document, lifted))
    except ValueError:
        return None


@settings(max_examples=300)
@given(document=documents(), cuts=cuttings)
def test_the_same_strings_of_a_document_are_left_as_they_are(document: bytes, cuts: list[int] | None) -> None:
    lifting, text = Lifting(), bytearray()
    for piece in [bytes([byte]) for byte in document] if cuts is None else pieces_of(document, cuts):
        text += piece
        lifting.lift(text)
    with short_is_long():
        assert read(bytes(text), lifting.lifted) == read(document)


@given(
    pictures=st.lists(st.binary(max_size=300), min_size=1, max_size=3),
    cuts=cuttings,
    padded=st.booleans(),
    as_body=st.booleans(),
)
def test_every_picture_that_arrives_is_taken_as_it_arrived(
    pictures: list[bytes], cuts: list[int] | None, padded: bool, as_body: bool
) -> None:
    media = [PNG + data for data in pictures[: 1 if as_body else None]]
    stream = line_of(*media)[6:-2] if as_body else b"".join(line_of(medium) for medium in media)
    if as_body:
        stream = stream.replace(b'"delta"', b'"message"')
    if not padded:
        stream = stream.replace(b"=", b"")
    pieces = [bytes([byte]) for byte in stream] if cuts is None else pieces_of(stream, cuts)
    with short_is_long():
        answer = Played(ChatCompletions(), pieces, lift=True, limit=100_000, cut=False)
    assert [medium.data for medium in answer.media] == list(dict.fromkeys(media))
    for medium in answer.media:
        assert medium.sha256 == hashlib.sha256(medium.data).hexdigest()
    for prefix, data in answer.arrived.items():
        assert any(
            prefix.followed_by(medium[len(data) :]) == hashlib.sha256(medium).hexdigest() for medium in media
        )
    if cuts is None:
        assert len(answer.arrived) == len(media)

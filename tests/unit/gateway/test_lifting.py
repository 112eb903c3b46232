"""An answer is the same whether its media were taken out of their lines while they arrived or not."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pybase64
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylogue.streams.gateway import framing as framing_module
from polylogue.streams.gateway import large_json, questions, sse
from polylogue.streams.gateway.adapter import Adapter
from polylogue.streams.gateway.chat_completions import ChatCompletions
from polylogue.streams.gateway.events import GatewayEvent, MediaBytes, UpstreamError
from polylogue.streams.gateway.framing import Framing
from polylogue.streams.gateway.lifted import Prefix
from polylogue.streams.gateway.protocols import Protocol
from polylogue.streams.gateway.request import ChatRequest
from polylogue.streams.gateway.sse import LineTooLongError, ProtocolError, SseParser

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))
MIB = 1024 * 1024
PIECE = 64 * 1024
BROKEN = UpstreamError("truncated", "It broke off.", retryable=True)


@contextlib.contextmanager
def short_is_long() -> Iterator[None]:
    """So that short lines are treated as large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sse, "OWN_BUFFER_BYTES", 40)
        patch.setattr(framing_module, "OWN_BUFFER_BYTES", 40)
        patch.setattr(large_json, "SMALL_DOCUMENT_BYTES", 120)
        patch.setattr(large_json, "LIFTED_STRING_BYTES", 40)
        yield


class Played:
    """What came out of an answer after each of its pieces."""

    def __init__(
        self, adapter: Adapter, pieces: Sequence[bytes], *, lift: bool, limit: int, cut: bool
    ) -> None:
        self.steps: list[list[GatewayEvent]] = []
        self.arrived: dict[Prefix, bytes] = {}
        self.media: list[MediaBytes] = []
        self._framing = Framing(max_line_bytes=limit, max_body_bytes=2 * limit)
        self._adapter = adapter
        try:
            for piece in pieces:
                self._step(piece)
                if lift:
                    self._lift()
            if not cut:
                self._step(None)
        except ProtocolError as error:
            self._add(adapter.fail(UpstreamError("limit", type(error).__name__, retryable=False)))
        self._add(adapter.fail(BROKEN) if cut else adapter.end())

    def _step(self, piece: bytes | None) -> None:
        frames = self._framing.end() if piece is None else self._framing.feed(piece)
        self._add([event for frame in frames for event in self._adapter.feed(frame)])

    def _lift(self) -> None:
        arriving = self._framing.lift()
        if arriving is not None:
            prefix = arriving.prefix
            self.arrived[prefix] = self.arrived.get(prefix, b"") + arriving.data
            assert prefix.size_bytes == len(self.arrived[prefix])

    def _add(self, events: list[GatewayEvent]) -> None:
        self.media += [event for event in events if isinstance(event, MediaBytes)]
        self.steps.append(events)


def adapter_of(protocol: Protocol, *, wanted: bool, most: int) -> Adapter:
    request = ChatRequest(model="m", messages=(), modalities=("image", "text") if wanted else ("text",))
    return questions.adapter(protocol, request, max_media_bytes=most)


def pieces_of(stream: bytes, cuts: Sequence[int]) -> list[bytes]:
    ends = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[begin:end] for begin, end in itertools.pairwise(ends)]


def mangled(payload: str, how: int, at: int) -> str:
    """As gateways do."""
    at = min(at, len(payload))
    match how:
        case 1:
            return payload.rstrip("=")
        case 2:
            return payload.translate(str.maketrans("+/", "-_"))
        case 3:
            return base64.b64encode(PNG[:10]).decode() + payload
        case 4:
            return payload[:at] + "\n" + payload[at:]
        case 5:
            return payload[:at] + " " + payload[at:]
        case 6:
            return payload[:at] + "!" + payload[at:]
        case 7:
            return payload[:at] + f"lifted medium {'0' * 32}" + payload[at:]
        case 8:
            return payload + "="
        case 9:
            return payload[:at] + '"' + payload[at:]
        case 10:
            return payload[:at] + "%2B" + payload[at:]
        case 11:
            return f"data:image/png;base64,{payload}"
        case 12:
            return payload[:at]
    return payload


HEADS = [
    "data:image/png;base64,",
    "data:video/mp4;base64,",
    "data:audio/wav;base64,",
    "data:image/svg+xml;base64,",
    "data:image/png;charset=utf-8;base64,",
    "",
]
payloads = st.builds(
    mangled,
    st.binary(max_size=300).map(lambda data: base64.b64encode(PNG + data).decode()),
    st.just(0) | st.integers(0, 12),
    st.integers(0, 600),
)
urls = st.builds(str.__add__, st.just(HEADS[0]) | st.sampled_from(HEADS), payloads)
words = st.sampled_from(["", "Hi", "x" * 100, "data:image/png;base64,", '"data:image/png;base64,', "\\"])
strings = st.one_of(urls, urls, words, st.builds(str.__add__, words, urls))


def in_chat(shape: int, first: str, second: str) -> Any:
    """Where a string may stand in a chunk of a chat completion, or in what is none."""
    delta: dict[str, Any]
    match shape:
        case 0:
            delta = {"images": [{"type": "image_url", "image_url": {"url": first}}, {"image_url": second}]}
        case 1:
            delta = {"content": first, "reasoning": second}
        case 2:
            delta = {"content": [{"type": "image_url", "image_url": first}, second, {"text": first}]}
        case 3:
            delta = {"audio": {"data": first, "transcript": second}}
        case 4:
            delta = {first: second, "images": [second]}
        case 5:
            return {"error": {"message": first, "code": second}}
        case 6:
            message = {"content": [{"type": "image", "image": first}, {"type": "text", "text": second}]}
            return {"choices": [{"message": message, "finish_reason": "stop"}]}
        case 7:
            return {"modality": "image", "choices": [{"delta": {"content": first}}]}
        case 8:
            return {"modality": "audio", "choices": [{"delta": {"content": first}}]}
        case 9:
            delta = {"images": [{"type": "audio", "input_audio": first}], "content": [{"audio": first}]}
        case _:
            return [first, {"images": second}]
    return {"choices": [{"delta": delta, "finish_reason": None}], "usage": {"cost": second}}


def in_another(shape: int, first: str, second: str) -> Any:
    match shape % 6:
        case 0:
            return {"type": "response.image_generation_call.completed", "item_id": second, "result": first}
        case 1:
            return {"type": "response.output_text.delta", "delta": first}
        case 2:
            return {"type": "image_generation.completed", "b64_json": first, "output_format": second}
        case 3:
            return {"data": [{"url": first}, {"b64_json": second}]}
        case 4:
            return {"type": "speech.audio.delta", "audio": first}
    return {"type": "response.completed", "response": {"output": [{"type": first, "id": second}]}}


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    shape = draw(st.sampled_from([0, 2, 6]) | st.integers(0, 10))
    first, second = draw(urls | strings), draw(strings)
    document = draw(st.sampled_from([in_chat, in_chat, in_another]))(shape, first, second)
    text = json.dumps(document, ensure_ascii=draw(st.booleans()))
    if draw(st.integers(0, 19)) == 0:
        text = text.replace("/", "\\/")
    if draw(st.integers(0, 19)) == 0:
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(['"', "\\", "{", "\ndata: ", "\r", "\n\n"])) + text[at:]
    return text.encode("utf-8", "replace")


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    if draw(st.integers(0, 3)) == 0:
        return draw(documents())
    out = draw(st.sampled_from([b"", b"\xef\xbb\xbf", b": hello\n"]))
    for document in draw(st.lists(documents(), min_size=1, max_size=3)):
        field = draw(
            st.sampled_from([b"data: "] * 20 + [b"data:", b"error: ", b"event: ", b": ", b"id: ", b""])
        )
        out += field + document + draw(st.sampled_from([b"\n\n", b"\n\n", b"\r\n\r\n", b"\r\r", b"\n"]))
    return out + draw(st.sampled_from([b"", b"data: [DONE]\n\n", b"data: {"]))


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
cuttings = st.none() | st.lists(st.integers(0, 5000), min_size=5, max_size=30)


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


def line_of(*media: bytes, text: str = "") -> bytes:
    images = [
        {"image_url": {"url": f"data:image/png;base64,{base64.b64encode(one).decode()}"}} for one in media
    ]
    return (
        b"data: "
        + json.dumps({"choices": [{"delta": {"content": text, "images": images}}]}).encode()
        + b"\n\n"
    )


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


def in_pieces(stream: bytes) -> list[bytes]:
    return [stream[at : at + PIECE] for at in range(0, len(stream), PIECE)]


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

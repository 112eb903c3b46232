"""Answers with media in them, as gateways send and mangle them, and what comes out of one with lifting and without."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import strategies as st

from polylogue.streams.gateway import framing as framing_module
from polylogue.streams.gateway import large_json, sse
from polylogue.streams.gateway.adapter import Adapter
from polylogue.streams.gateway.events import GatewayEvent, MediaBytes, UpstreamError
from polylogue.streams.gateway.framing import Framing
from polylogue.streams.gateway.lifted import Prefix
from polylogue.streams.gateway.sse import ProtocolError

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))
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


def pieces_of(stream: bytes, cuts: Sequence[int]) -> list[bytes]:
    ends = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[begin:end] for begin, end in itertools.pairwise(ends)]


def in_pieces(stream: bytes) -> list[bytes]:
    return [stream[at : at + PIECE] for at in range(0, len(stream), PIECE)]


def line_of(*media: bytes, text: str = "") -> bytes:
    images = [
        {"image_url": {"url": f"data:image/png;base64,{base64.b64encode(one).decode()}"}} for one in media
    ]
    return (
        b"data: "
        + json.dumps({"choices": [{"delta": {"content": text, "images": images}}]}).encode()
        + b"\n\n"
    )


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


cuttings = st.none() | st.lists(st.integers(0, 5000), min_size=5, max_size=30)

"""The short words in which the expected events of wire cases are written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from polylogue.schemas.base import MediaType
from polylogue.schemas.events import FailureClass, Usage
from polylogue.simulator.case_media import picture, samples
from polylogue.streams.gateway.audio import wrap_pcm16
from polylogue.streams.gateway.events import (
    AudioDelta,
    Finished,
    GatewayEvent,
    MediaBytes,
    Noted,
    ReasoningDelta,
    TextDelta,
    UpstreamError,
    UsageReported,
)

Events = list[GatewayEvent]


class Expected(NamedTuple):
    # A function of `size` where the case is about size; of the gateway's origin where addresses are made from it.
    events: Events | Callable[[int], Events] | Callable[[str], Events]
    audio_format: str | None = None  # what is asked for
    size: int = 0  # keeps the cases about size small in tests
    leave_after: int | None = None  # the client goes after so many events


STOP = Finished("stop")
USAGE = UsageReported(Usage(prompt_tokens=5, completion_tokens=7, total_tokens=12), 1200)
TOKENS = UsageReported(Usage(prompt_tokens=5, completion_tokens=7, total_tokens=12), None)
THOUGHT = [ReasoningDelta("Let me see."), TextDelta("Yes."), STOP]
A, B = TextDelta("A"), TextDelta("B")


def said(*pieces: str) -> list[GatewayEvent]:
    return [TextDelta(piece) for piece in pieces]


def medium(data: bytes, declared: str | None = "image/png", media_type: MediaType = "image") -> MediaBytes:
    return MediaBytes(media_type, data, hashlib.sha256(data).hexdigest(), declared)


def drawn(number: int = 1) -> MediaBytes:
    return medium(picture(number))


def heard(data: bytes, declared: str | None = "audio/wav") -> MediaBytes:
    return medium(data, declared, "audio")


def pcm(stop: int = 6000, **more: int) -> MediaBytes:
    return heard(wrap_pcm16(samples(0, stop), **more))


def arriving(*sizes: int) -> list[GatewayEvent]:
    return [AudioDelta(size) for size in sizes]


def in_pieces(length: int, size: int) -> list[GatewayEvent]:
    """What arrives of so many bytes, cut every so many."""
    return arriving(*(min(length, size - at) for at in range(0, size, length)))


def failed(
    failure_class: FailureClass, message: str, *, retryable: bool = True, retry_after_s: float | None = None
) -> UpstreamError:
    return UpstreamError(failure_class, message, retryable, retry_after_s)


def noted(code: str, message: str) -> Noted:
    return Noted(code, message)


def expected(*events: GatewayEvent, **more: Any) -> Expected:
    return Expected(list(events), **more)


TOOL_CALL = noted("tool_call", "The model asked to call a tool; tools are not offered, so nothing was run.")
TRUNCATED = failed("truncated", "The answer broke off before its end.")
BROKEN = failed("connection", "The connection to the gateway broke off.")
SILENT = failed("timeout", "The gateway has gone silent.")
GONE = failed("upstream", "Gone.")


def joined(events: list[GatewayEvent]) -> list[GatewayEvent]:
    """Adjoining text in one: how it is cut depends on the network."""
    out: list[GatewayEvent] = []
    for event in events:
        if isinstance(event, TextDelta) and out and isinstance(out[-1], TextDelta):
            out[-1] = TextDelta(out[-1].text + event.text)
        else:
            out.append(event)
    return out

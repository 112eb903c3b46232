"""A medium that is to be stored, and what became of it: the values that the media agent's steps hand to one another."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from polylogue.media.spool import Spool
from polylogue.media.verdicts import Accepted
from polylogue.schemas.claims import MediaClaim, RetryMedia, StoreMedia
from polylogue.schemas.clock import now_ms
from polylogue.schemas.envelope import Request
from polylogue.schemas.events import (
    MediaFailed,
    MediaFailureReason,
    MediaOutcome,
    MediaRejected,
    MediaStored,
    MediaValidated,
    RejectionReason,
)
from polylogue.schemas.usage import Steps

Step = Literal["queued", "read", "validate", "upload"]


@dataclass(frozen=True)
class Work:
    """What StoreMedia and RetryMedia have in common."""

    request_id: str
    claim: MediaClaim
    since_ms: int  # the deadline and the latency count from here
    traceparent: str | None = None


def work_of(request: Request, data: StoreMedia | RetryMedia) -> Work:
    since_ms = data.produced_at_ms if isinstance(data, StoreMedia) else data.asked_at_ms
    return Work(request.request_id, data.claim, since_ms, data.traceparent)


class Stopwatch:
    """How long each step took; what is done twice counts twice."""

    def __init__(self, since_ms: int) -> None:
        self._taken_ms: dict[str, float] = {"queued": max(0, now_ms() - since_ms)}

    @contextmanager
    def step(self, name: Step) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            took_ms = (time.perf_counter() - begun) * 1000
            self._taken_ms[name] = self._taken_ms.get(name, 0) + took_ms

    def steps(self) -> Steps:
        return msgspec.convert({name: round(value) for name, value in self._taken_ms.items()}, Steps)


@dataclass
class Settled:
    """The one outcome of a try. Whoever gets it closes it."""

    outcome: MediaOutcome
    steps: Steps = field(default_factory=Steps)
    spool: Spool | None = None  # the bytes of a medium that is stored
    facts: Accepted | None = None

    def close(self) -> None:
        if self.spool is not None:
            self.spool.close()


@dataclass(frozen=True)
class Afterwards:
    """What a request leaves to be done when its outcome is told: the partition's next one need not wait for it.

    Whoever gets it closes it, whether it was run or not.
    """

    run: Callable[[], Awaitable[None]]
    close: Callable[[], None]


def rejected(claim: MediaClaim, reason: RejectionReason, message: str) -> MediaRejected:
    return MediaRejected(
        media_id=claim.media_id,
        media_type=claim.media_type,
        reason=reason,
        message=message,
        retry=claim.retry,
    )


def failed(claim: MediaClaim, reason: MediaFailureReason, message: str) -> MediaFailed:
    return MediaFailed(
        media_id=claim.media_id,
        media_type=claim.media_type,
        reason=reason,
        message=message,
        retry=claim.retry,
    )


def validated(claim: MediaClaim, spool: Spool, facts: Accepted) -> MediaValidated:
    return MediaValidated(
        media_id=claim.media_id,
        media_type=facts.media_type,
        format=facts.format,
        content_type=facts.content_type,
        size_bytes=spool.size_bytes,
        width=facts.width,
        height=facts.height,
        retry=claim.retry,
    )


def stored(claim: MediaClaim, url: str, spool: Spool, facts: Accepted) -> MediaStored:
    """What the bytes say of themselves counts; what was declared is kept beside it."""
    return MediaStored(
        media_id=claim.media_id,
        media_type=facts.media_type,
        key=claim.key,
        url=url,
        format=facts.format,
        content_type=facts.content_type,
        size_bytes=spool.size_bytes,
        sha256=spool.sha256,
        width=facts.width,
        height=facts.height,
        duration_ms=facts.duration_ms,
        declared_content_type=_declared(claim, facts),
        codec=facts.codec,
        provenance=facts.provenance,
        retry=claim.retry,
    )


def _declared(claim: MediaClaim, facts: Accepted) -> str | None:
    if claim.declared_content_type is not None:
        return claim.declared_content_type
    return claim.content_type if claim.content_type != facts.content_type else None

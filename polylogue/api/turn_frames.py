"""The decoded frames of one turn, for protocols that say them in other words; a slow reader goes on where it was cut."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

from polylogue.api.begin import Begun
from polylogue.api.services import Services
from polylogue.api.streams import placed, read_cursor, subscribe
from polylogue.api.subscription import Subscription
from polylogue.schemas.frames import Frame, GapFrame, decode_frame

_DATA = b"data: "


class TurnFrames:
    """`frames` once; `leave` ends it from outside."""

    def __init__(
        self, services: Services, owner: str, conversation_id: str, turn_id: str, subscription: Subscription
    ) -> None:
        self.conversation_id, self.turn_id = conversation_id, turn_id
        self._services, self._owner = services, owner
        self._subscription = subscription
        self._left = False

    def leave(self) -> None:
        self._left = True
        self._subscription.leave()

    async def frames(self) -> AsyncGenerator[Frame]:
        """To the turn's end, or to a `gap` that cannot be closed from here."""
        while True:
            gap: GapFrame | None = None
            with self._subscription, self._services.metrics.subscribers.track_inprogress():
                async for chunk in self._subscription.chunks():
                    for frame in decoded(chunk):
                        if isinstance(frame, GapFrame):
                            gap = frame
                        else:
                            yield frame
            if gap is None or self._left:
                return
            if gap.reason != "slow":
                yield gap
                return
            await self._go_on(gap)

    async def _go_on(self, gap: GapFrame) -> None:
        place = await placed(self._services, self._owner, self.conversation_id)
        self._subscription = await subscribe(
            self._services,
            self.conversation_id,
            place,
            form="data",
            after=read_cursor(gap.resume_from),
            turn_id=self.turn_id,
        )


def frames_of_begun(services: Services, owner: str, begun: Begun) -> TurnFrames:
    """The frames of the round that a request has begun."""
    assert begun.subscription is not None
    submission = begun.submission
    return TurnFrames(services, owner, submission.conversation_id, submission.turn_id, begun.subscription)


def decoded(chunk: bytes) -> Iterator[Frame]:
    """The frames of one write in the data-only form; types that are unknown here are left out."""
    for block in chunk.split(b"\n\n"):
        if block.startswith(_DATA):
            frame = decode_frame(block[len(_DATA) :])
            if frame is not None:
                yield frame

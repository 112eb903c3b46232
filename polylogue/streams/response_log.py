"""The events of one response: numbers them, joins small text deltas, splits long ones."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from polylogue.schemas.base import Payload
from polylogue.schemas.clock import rfc3339
from polylogue.schemas.envelope import Command, Event
from polylogue.schemas.events import ReasoningAppended, TextAppended
from polylogue.streams.partition_writer import PartitionLostError, PartitionWriter

# In characters, of up to 6 bytes each as JSON has them (an escape): stays below the 1 MiB of a record.
LONGEST_DELTA = 128 * 1024


@dataclass
class ResponseLog:
    """Appends what one attempt of a response brings. Text waits up to `coalesce_s` for more of its kind; every other
    event first sends the text before it, so the order is the model's."""

    writer: PartitionWriter
    command: Command
    response_id: str
    attempt: int
    sequence: int
    coalesce_s: float

    def __post_init__(self) -> None:
        self._text: list[str] = []
        self._kind: type[TextAppended | ReasoningAppended] = TextAppended
        self._length = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def text(self, piece: str, kind: type[TextAppended | ReasoningAppended] = TextAppended) -> None:
        if not piece:
            return
        if kind is not self._kind:
            self.send_text()
            self._kind = kind
        self._text.append(piece)
        self._length += len(piece)
        if self.coalesce_s == 0 or self._length >= LONGEST_DELTA:
            self.send_text()
        elif self._timer is None:
            self._timer = self._loop.call_later(self.coalesce_s, self._on_timer)

    def send_text(self) -> None:
        """Sends what waits. Raises PartitionLostError."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        text, self._text, self._length = _storable("".join(self._text)), [], 0
        for at in range(0, len(text), LONGEST_DELTA):
            self._append(self._kind(text=text[at : at + LONGEST_DELTA]))

    def event(self, data: Payload) -> asyncio.Future[int]:
        """Appends an event after the text that waits; the future is that of `PartitionWriter.append`."""
        self.send_text()
        return self._append(data)

    async def flush(self) -> None:
        """Sends what waits and waits until Kafka has all of it. Raises PartitionLostError."""
        self.send_text()
        await self.writer.flush()

    def discard(self) -> None:
        """Forgets the text that waits: the partition belongs to another writer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._text, self._length = [], 0

    def _append(self, data: Payload) -> asyncio.Future[int]:
        self.sequence += 1
        return self.writer.append(
            Event(
                event_id=f"{self.response_id}.{self.attempt}.{self.sequence}",
                conversation_id=self.command.conversation_id,
                turn_id=self.command.turn_id,
                response_id=self.response_id,
                owner_id=self.command.owner_id,
                occurred_at=rfc3339(),
                attempt=self.attempt,
                sequence=self.sequence,
                causation_id=self.command.command_id,
                traceparent=self.command.traceparent,
                data=data,
            )
        )

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self.send_text()
        except PartitionLostError:
            self.discard()  # the owner hears of it from the writer itself


def _storable(text: str) -> str:
    """Text as JSON and Postgres hold it: no NUL, no half of a surrogate pair (two halves that met are joined)."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text

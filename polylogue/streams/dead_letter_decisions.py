"""Carries out what an operator decides about a dead letter: its bytes are sent again, or it is let go."""

from __future__ import annotations

from typing import Literal

from polylogue.infra.settings import Settings
from polylogue.streams.dead_letter_log import FINAL, RESOLUTION, RETRIED_FROM, DeadLetter
from polylogue.streams.log_reader import read_to_end
from polylogue.streams.replaceable_producer import ReplaceableProducer

LOOK_BACK_MS = 60_000  # the clocks of two brokers may differ by as much

Outcome = Literal["retried", "dropped", "decided before"]


class DeadLetterDecisions:
    """Safe to run again after it was cut off: a record that was sent already is found and not sent twice."""

    def __init__(self, settings: Settings, producer: ReplaceableProducer) -> None:
        self._settings = settings
        self._producer = producer

    async def retry(self, letter: DeadLetter) -> Outcome:
        """Sends the original bytes with the original key to the partition that they were read from.

        `letter` is with its value. Raises ProducerUnusableError.
        """
        if letter.state in FINAL:
            return "decided before"
        position = letter.position
        # Only one that an earlier run had begun may have been sent.
        if letter.state == "open":
            await self._note(letter, b"retrying")
            sent = False
        else:
            sent = await self._was_sent(letter)
        if not sent:
            await self._producer.send(
                position.topic,
                letter.value,
                key=letter.key,
                partition=position.partition,
                headers=[(RETRIED_FROM, str(position).encode())],
            )
        await self._note(letter, b"retried")
        return "retried"

    async def drop(self, letter: DeadLetter) -> Outcome:
        """Raises ProducerUnusableError."""
        if letter.state in FINAL:
            return "decided before"
        await self._note(letter, b"dropped")
        return "dropped"

    async def _note(self, letter: DeadLetter, decision: bytes) -> None:
        await self._producer.send(
            letter.dlq_topic,
            None,
            key=letter.key,
            partition=0,
            headers=[*letter.position.headers(), (RESOLUTION, decision)],
        )

    async def _was_sent(self, letter: DeadLetter) -> bool:
        begun_ms = letter.decided_at_ms or letter.buried_at_ms
        position = letter.position
        wanted = (RETRIED_FROM, str(position).encode())
        async for record in read_to_end(
            self._settings, position.topic, position.partition, from_ms=begun_ms - LOOK_BACK_MS
        ):
            if wanted in record.headers:
                return True
        return False

"""What a media agent wrote: the records of a topic, and what they say of a medium."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition

from polylogue.infra.kafka import manual_consumer
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, Topic, topic_name
from polylogue.schemas.claims import MediaClaim
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import MediaOutcome, MediaValidated
from polylogue.schemas.visibility import ConversationState, admit
from tests.support.media_runner import PARTITIONS


class Records:
    """Everything of one topic so far, read from its start."""

    def __init__(self, settings: Settings, topic: Topic) -> None:
        self._settings = settings
        self._topic = topic_name(settings, topic)
        self.records: list[Any] = []

    @asynccontextmanager
    async def open(self, partitions: int) -> AsyncIterator[Records]:
        self._consumer = manual_consumer(self._settings)
        await self._consumer.start()
        try:
            places = [TopicPartition(self._topic, number) for number in range(partitions)]
            self._consumer.assign(places)
            await self._consumer.seek_to_beginning(*places)
            yield self
        finally:
            await self._consumer.stop()

    async def until(self, condition: Callable[[list[Any]], bool], timeout_s: float) -> list[Any]:
        async with asyncio.timeout(timeout_s):
            while not condition(self.records):
                for batch in (await self._consumer.getmany(timeout_ms=100)).values():
                    self.records += batch
        return self.records


@asynccontextmanager
async def events(settings: Settings) -> AsyncIterator[Records]:
    """Of `conversation-events`."""
    async with Records(settings, CONVERSATION_EVENTS).open(PARTITIONS) as log:
        yield log


def agent_events_of(records: list[Any], media_id: str) -> list[Any]:
    """Everything that the agent said of a medium, visible or not."""
    found = []
    for record in records:
        event = event_codec.decode(record.value)
        if isinstance(event, Event) and getattr(event.data, "media_id", None) == media_id:
            found.append(event.data)
    return found


def outcomes_of(records: list[Any], media_id: str) -> list[MediaOutcome]:
    """All outcomes of a medium, visible or not."""
    return [one for one in agent_events_of(records, media_id) if isinstance(one, MediaOutcome)]


def visible_outcomes(records: list[Any], claim: MediaClaim) -> tuple[list[MediaOutcome], int]:
    """The outcomes of a medium that a reader shows, and how often its turn was completed."""
    shown, completed = visible(records, claim)
    return [one for one in shown if isinstance(one, MediaOutcome)], completed


def told_of(shown: list[Any]) -> list[str]:
    """The names of what is shown, without the notices that a death may leave out; none of those comes twice, and none
    after what it announces."""
    names = [type(one).__name__ for one in shown]
    notices = [(place, one.retry) for place, one in enumerate(shown) if isinstance(one, MediaValidated)]
    assert len({retry for _, retry in notices}) == len(notices), names
    for place, retry in notices:
        assert all(one.retry != retry for one in shown[:place] if isinstance(one, MediaOutcome)), names
    return [name for name in names if name != MediaValidated.__name__]


def visible(records: list[Any], claim: MediaClaim) -> tuple[list[Any], int]:
    """All that a reader shows of a medium after it was produced, and how often its turn was completed."""
    state, shown, completed = ConversationState(), [], 0
    for record in records:
        event = event_codec.decode(record.value)
        if not isinstance(event, Event) or event.conversation_id != claim.conversation_id:
            continue
        verdict = admit(state, event, record.offset)
        completed += verdict.completed is not None
        if verdict.visible and getattr(event.data, "media_id", None) == claim.media_id:
            shown.append(event.data)
    return shown, completed

"""What the whole log says of media, pictures and histories: the measure of an audit, and of what may be tried again."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from polylogue.infra.kafka import admin_client, manual_consumer, started
from polylogue.infra.settings import Settings
from polylogue.infra.topics import COMMANDS, CONVERSATION_EVENTS, MEDIA_SEGMENTS, topic_name
from polylogue.schemas.claims import MediaClaim
from polylogue.schemas.codec import command_codec, event_codec
from polylogue.schemas.commands import StartTurn
from polylogue.schemas.conversation_state import ConversationState, MediaPhase
from polylogue.schemas.envelope import Command, Event
from polylogue.schemas.events import MediaProduced, MediaStored, PromptSubmitted
from polylogue.schemas.visibility import admit
from polylogue.streams.log_reader import read_to_end


@dataclass(frozen=True, slots=True)
class MediumFact:
    """`phase` is None where no reader was ever shown the medium."""

    conversation_id: str
    phase: MediaPhase | None
    since_ms: int  # the latest record that concerned it
    key: str | None = None  # of the original, once it was stored


@dataclass
class LogFacts:
    media: dict[str, MediumFact] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)  # conversations
    pictures: dict[str, set[str]] = field(default_factory=dict)  # key of what a user attached → conversations
    histories: set[str] = field(default_factory=set)  # keys
    turns: dict[str, str] = field(default_factory=dict)  # id → its conversation


class PartitionFacts:
    """Reduces one partition from its first record; its states are forgotten with it."""

    def __init__(self, facts: LogFacts) -> None:
        self._facts = facts
        self._states: dict[str, ConversationState] = defaultdict(ConversationState)

    def take(self, event: Event, offset: int, timestamp_ms: int) -> None:
        facts, data = self._facts, event.data
        state = self._states[event.conversation_id]
        visible = admit(state, event, offset).visible
        if state.deleted:
            facts.deleted.add(event.conversation_id)
        if isinstance(data, PromptSubmitted) and visible:
            for one in data.attachments:
                facts.pictures.setdefault(one.key, set()).add(event.conversation_id)
            facts.turns[event.turn_id or ""] = event.conversation_id
        media_id = data.claim.media_id if isinstance(data, MediaProduced) else getattr(data, "media_id", None)
        if media_id is None:
            return
        medium = state.media.get(media_id)
        known = facts.media.get(media_id)
        key = data.key if isinstance(data, MediaStored) and visible else known.key if known else None
        facts.media[media_id] = MediumFact(
            event.conversation_id, medium.phase if medium else None, timestamp_ms, key
        )


async def gather(settings: Settings) -> LogFacts:
    """Reads all of `conversation-events`, and what is left of `commands`. Raises KafkaError."""
    facts = LogFacts()
    topic = topic_name(settings, CONVERSATION_EVENTS)
    for partition in range(await partition_count(settings, topic)):
        reduced = PartitionFacts(facts)
        async for record in read_to_end(settings, topic, partition, offset=0):
            event = event_codec.decode(record.value)
            if isinstance(event, Event):
                reduced.take(event, record.offset, record.timestamp)
    topic = topic_name(settings, COMMANDS)
    for partition in range(await partition_count(settings, topic)):
        async for record in read_to_end(settings, topic, partition, offset=0):
            command = command_codec.decode(record.value)
            if isinstance(command, Command) and isinstance(command.data, StartTurn):
                for one in command.data.attachments:
                    facts.pictures.setdefault(one.key, set()).add(command.conversation_id)
                if command.data.history_key is not None:
                    facts.histories.add(command.data.history_key)
    return facts


@dataclass(frozen=True)
class FoundClaim:
    """A medium's claim, and how it stands now."""

    claim: MediaClaim
    phase: MediaPhase
    retry: int


async def find_claims(
    settings: Settings, partition: int, offset: int, wanted: Mapping[str, str]
) -> dict[str, FoundClaim]:
    """The claims of media (media_id → conversation_id), as far as the partition tells of them from `offset` on, which
    is that of the start of their oldest turn. Raises KafkaError."""
    states: dict[str, ConversationState] = {name: ConversationState() for name in wanted.values()}
    claims: dict[str, MediaClaim] = {}
    records = read_to_end(settings, topic_name(settings, CONVERSATION_EVENTS), partition, offset=offset)
    async with contextlib.aclosing(records):
        async for record in records:
            if record.key is None or record.key.decode(errors="replace") not in states:
                continue
            event = event_codec.decode(record.value)
            if not isinstance(event, Event) or event.conversation_id not in states:
                continue
            visible = admit(states[event.conversation_id], event, record.offset).visible
            if visible and isinstance(event.data, MediaProduced) and event.data.claim.media_id in wanted:
                claims[event.data.claim.media_id] = event.data.claim
    found = {}
    for media_id, claim in claims.items():
        medium = states[wanted[media_id]].media[media_id]
        found[media_id] = FoundClaim(claim, medium.phase, medium.retry)
    return found


async def partition_count(settings: Settings, topic: str) -> int:
    """Raises KafkaError."""
    async with admin_client(settings) as admin:
        (described,) = await admin.describe_topics([topic])
        return len(described["partitions"])


async def kept_bytes(settings: Settings, claims: Iterable[MediaClaim]) -> frozenset[str]:
    """The ids of those media whose bytes are still in `media-segments`, or with their provider. Raises KafkaError."""
    claims = list(claims)
    topic = topic_name(settings, MEDIA_SEGMENTS)
    places = {TopicPartition(topic, one.segments.partition) for one in claims if one.segments is not None}
    begins: Mapping[TopicPartition, int] = {}
    if places:
        async with started(manual_consumer(settings)) as consumer:
            begins = await consumer.beginning_offsets(list(places))
    return frozenset(
        one.media_id
        for one in claims
        if one.segments is None
        or one.segments.first_offset >= begins[TopicPartition(topic, one.segments.partition)]
    )

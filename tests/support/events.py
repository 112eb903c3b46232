"""A story that has everything, and the way of events onto the topic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from polylogue.infra.kafka import idempotent_producer, partition_for
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.projections.log_heads import list_partitions
from polylogue.projections.testing.answer import Answer
from polylogue.projections.testing.story import EPOCH, Story
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event

__all__ = [
    "EPOCH",
    "SAMPLE_CONTENTS",
    "Answer",
    "Story",
    "interleave",
    "numbered",
    "produce_events",
    "produce_raw",
    "sample_story",
]


# What each of the prompts and answers in `sample_story` says, turn by turn.
SAMPLE_CONTENTS = [
    "Draw a red circle",
    "Here is a circle.",
    "Two pictures: ",
    "I am ",
    "Better.",
    "Say it",
    "Listen: ",
    "",
    "",
]


def sample_story(conversation_id: str | None = None, owner_id: str = "local") -> Story:
    """Two turns with text, reasoning, pictures, a film, a failure, a second round, and records written twice."""
    story = Story(conversation_id, owner_id)
    words, painter, broken = story.ask(
        "Draw a red circle", "sim/text", "sim/painter", "sim/failing", start="A red circle"
    )
    words.begin()
    painter.begin()
    broken.begin()
    words.reason("A circle ", "is round. ").text("Here ", "is ")
    story.events.append(story.events[-1])  # the producer sent it again
    picture = painter.text("Two pictures: ").produce()
    broken.text("I am ").fail()
    broken.text("late")  # after the end
    second = painter.produce()
    words.text("a circle.").complete()
    story.stored(second)
    painter.complete()
    story.stored(picture)
    story.stored(picture)  # a second agent's outcome
    story.rename("Circles")
    (again,) = story.ask("Draw a red circle", "sim/failing", turn_id=words.turn_id, round=2, before=3)
    again.begin().text("Better.").complete()
    speaker, film, bad = story.ask("Say it", "sim/speaker", "sim/film", "sim/gallery", system="Be brief.")
    sound = speaker.begin().text("Listen: ").produce("audio")
    job = film.queue().begin().job()
    bad.begin().refuse()
    wrong = bad.produce()
    lost = bad.produce()
    film.produce("video", media_id=job)
    story.rejected(wrong)
    story.failed(lost)
    story.stored(sound)
    story.stored(job)
    for answer in (speaker, film, bad):
        answer.complete()
    story.retried(lost, 1)
    story.stored(lost, 1)
    story.renditions(picture)
    story.expired(second)
    story.pin()
    return story


def numbered(events: Iterable[Event], first_offset: int = 1) -> list[tuple[int, Event]]:
    """The events with the offsets that a partition of their own would give them."""
    return list(enumerate(events, start=first_offset))


def interleave(*stories: Story) -> list[Event]:
    """One event of each in turn, as they lie in a partition."""
    longest = max(len(story.events) for story in stories)
    return [story.events[place] for place in range(longest) for story in stories if place < len(story.events)]


async def produce_events(settings: Settings, events: Sequence[Event]) -> list[tuple[int, int]]:
    """Appends the events in order; returns the partition and offset of each."""
    partitions = len(await list_partitions(settings))
    places = [partition_for(event.conversation_id, partitions) for event in events]
    pairs = zip(places, events, strict=True)
    return await produce_raw(
        settings,
        [(place, event.conversation_id.encode(), event_codec.encode(event)) for place, event in pairs],
    )


async def produce_raw(
    settings: Settings, records: Iterable[tuple[int, bytes, bytes | None]]
) -> list[tuple[int, int]]:
    """Appends (partition, key, value) records to `conversation-events`, whatever they hold."""
    topic = topic_name(settings, CONVERSATION_EVENTS)
    producer = idempotent_producer(settings)
    await producer.start()
    try:
        sent = [
            await producer.send(topic, value, key=key, partition=partition)
            for partition, key, value in records
        ]
        placed = [await one for one in sent]
        return [(one.partition, one.offset) for one in placed]
    finally:
        await producer.stop()

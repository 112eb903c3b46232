"""The projector on real Kafka and Postgres: what its tables hold, where it goes on from, and that a replay agrees."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from polylogue.infra.kafka import client_options
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.group import group_id
from polylogue.schemas.codec import event_codec
from tests.support.events import SAMPLE_CONTENTS, Story, interleave, produce_events, sample_story
from tests.support.tables import (
    assert_equal_to_replay,
    caught_up,
    id_on,
    projector,
    query,
    tables,
)

pytestmark = pytest.mark.stack


async def test_the_tables_hold_what_the_conversation_was(prepared: Settings) -> None:
    story = sample_story(id_on(1))
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)

    (conversation,) = query(prepared, "SELECT * FROM conversations")
    assert (conversation["title"], conversation["pinned"], conversation["partition"]) == ("Circles", True, 1)
    assert (conversation["turn_running"], conversation["deleted"]) == (False, False)
    turns = query(prepared, "SELECT * FROM conversation_turns ORDER BY start_offset")
    assert [(turn["prompt"], turn["round"], turn["finished"]) for turn in turns] == [
        ("Draw a red circle", 2, True),
        ("Say it", 1, True),
    ]
    messages = query(prepared, "SELECT * FROM conversation_messages ORDER BY turn_id, position")
    assert [message["content"] for message in messages] == SAMPLE_CONTENTS
    assert messages[1]["usage"] == {"prompt_tokens": 7, "completion_tokens": 11, "total_tokens": 18}


async def test_media_urls_are_in_order_of_appearance_and_null_where_nothing_was_stored(
    prepared: Settings,
) -> None:
    story = sample_story(id_on(0))
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)

    rows = query(
        prepared, "SELECT model_id, media_urls FROM conversation_messages WHERE media_urls IS NOT NULL"
    )
    media = {row["model_id"]: row["media_urls"] for row in rows}
    assert media.keys() == {"sim/painter", "sim/speaker", "sim/film", "sim/gallery"}
    # The second picture was stored first.
    assert [one["media_id"][-2:] for one in media["sim/painter"]] == ["m1", "m2"]
    assert [one["status"] for one in media["sim/painter"]] == ["stored", "expired"]
    (sound,) = media["sim/speaker"]
    claim = story.claims[sound["media_id"]]
    assert claim.segments is not None
    assert sound == {
        "url": f"https://media.example/{claim.key}",
        "type": "audio",
        "format": "mp3",
        "size_bytes": claim.segments.size_bytes,
        "content_type": "audio/mpeg",
        "media_id": claim.media_id,
        "key": claim.key,
        "duration_ms": 1500,
        "sha256": claim.segments.sha256,
        "status": "stored",
    }


async def test_live_tables_equal_a_fresh_replay(prepared: Settings) -> None:
    stories = [sample_story() for _ in range(6)]
    stories[0].delete()
    stories[0].deleted(next(iter(stories[0].claims)))
    (answer,) = stories[1].ask("Count", "sim/text")
    answer.begin().text(*(f"{number} " for number in range(1500))).complete()
    async with projector(prepared):
        # Live rows come from many small batches, those of a replay from a few large ones.
        events = interleave(*stories)
        for start in range(0, len(events), 97):
            await produce_events(prepared, events[start : start + 97])
        await caught_up(prepared)
    await assert_equal_to_replay(prepared)


async def test_no_table_keeps_what_a_deleted_conversation_said(prepared: Settings) -> None:
    story = sample_story(id_on(2))
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)
        assert "red circle" in repr(tables(prepared))
        told = len(story.events)
        story.delete()
        story.deleted(next(iter(story.claims)))
        await produce_events(prepared, story.events[told:])
        await caught_up(prepared)

    everything = repr(tables(prepared))
    for content in ("red circle", "Circles", "Listen", "Say it", "Better", "https:", "undecodable"):
        assert content not in everything
    assert query(prepared, "SELECT title, deleted FROM conversations") == [{"title": "", "deleted": True}]
    assert query(prepared, "SELECT * FROM conversation_messages") == []
    assert {row["status"] for row in query(prepared, "SELECT status FROM media_objects")} == {"deleted"}


async def test_a_null_character_in_a_text_does_not_stop_anything(prepared: Settings) -> None:
    story = Story(id_on(0))
    (answer,) = story.ask("Say\x00it", "sim/text", start="N\x00ll")
    answer.begin().text("a\x00", "b").complete()
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)

    rows = query(prepared, "SELECT content FROM conversation_messages ORDER BY position")
    assert [row["content"] for row in rows] == ["Say\ufffdit", "a\ufffdb"]


async def test_the_tables_say_where_to_go_on_and_the_group_does_not(prepared: Settings) -> None:
    story = sample_story(id_on(1))
    await produce_events(prepared, story.events)
    place = TopicPartition(topic_name(prepared, CONVERSATION_EVENTS), 1)
    for projection in PROJECTIONS:
        consumer = AIOKafkaConsumer(
            **client_options(prepared), group_id=group_id(prepared, projection), enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([place])
            await consumer.commit({place: len(story.events) + 1})
        finally:
            await consumer.stop()

    async with projector(prepared):
        await caught_up(prepared)
    await assert_equal_to_replay(prepared)


async def test_the_group_shows_the_lag(prepared: Settings) -> None:
    placed = await produce_events(prepared, sample_story(id_on(2)).events)
    async with projector(prepared):
        await caught_up(prepared)
    place = TopicPartition(topic_name(prepared, CONVERSATION_EVENTS), 2)
    for projection in PROJECTIONS:
        consumer = AIOKafkaConsumer(
            **client_options(prepared), group_id=group_id(prepared, projection), enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([place])
            assert await consumer.committed(place) == placed[-1][1] + 1
        finally:
            await consumer.stop()


async def test_two_projectors_share_the_partitions_and_repeat_nothing(prepared: Settings) -> None:
    stories = [sample_story() for _ in range(6)]
    events = interleave(*stories)
    half = len(events) // 2
    async with projector(prepared):
        await produce_events(prepared, events[:half])
        async with projector(prepared):
            await produce_events(prepared, events[half:-5])
            await caught_up(prepared)
        await produce_events(prepared, events[-5:])
        await caught_up(prepared)
    await assert_equal_to_replay(prepared)


async def test_transactions_committed_or_aborted_show_in_no_row_and_leave_no_lag(prepared: Settings) -> None:
    story = sample_story(id_on(0))
    third = len(story.events) // 3
    producer = AIOKafkaProducer(
        **client_options(prepared), transactional_id=f"{prepared.kafka_topic_prefix}runner-0"
    )
    async with projector(prepared):
        await producer.start()
        try:
            for start, end in ((0, third), (third, 2 * third), (2 * third, len(story.events))):
                await producer.begin_transaction()
                for event in story.events[start:end]:
                    await producer.send_and_wait(
                        topic_name(prepared, CONVERSATION_EVENTS), event_codec.encode(event), partition=0
                    )
                # As after the death of a runner: its records count all the same.
                await (producer.abort_transaction() if start == third else producer.commit_transaction())
        finally:
            await producer.stop()
        # The log ends with the marker of the last transaction.
        await caught_up(prepared)

    turns = query(prepared, "SELECT finished FROM conversation_turns")
    assert [turn["finished"] for turn in turns] == [True, True]
    await assert_equal_to_replay(prepared)

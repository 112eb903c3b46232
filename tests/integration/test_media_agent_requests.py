"""What becomes of a medium after it was stored: smaller versions, deletion, expiry, and what was counted of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import Settings
from polylogue.infra.topics import MEDIA_REQUESTS_DLQ, MEDIA_USAGE
from polylogue.media.keys import attachment_key, history_key, medium_prefix
from polylogue.schemas.claims import DeleteConversationMedia, DeleteMedia, ExpireMedia
from polylogue.schemas.codec import event_codec, usage_codec
from polylogue.schemas.envelope import Event, UsageEvent
from polylogue.schemas.events import (
    MediaDeleted,
    MediaExpired,
    MediaRenditionsStored,
    MediaStored,
)
from polylogue.streams.dead_letters import REASON
from tests.support.bucket import keys_in_bucket, stored_object
from tests.support.media_agent import agent
from tests.support.media_log import Records, agent_events_of, events, visible
from tests.support.media_runner import OWNER, Produced, png, reference, runner

pytestmark = pytest.mark.stack

PATIENCE_S = 60


async def told(log: Records, medium: Produced, kind: type, count: int = 1) -> list[Any]:
    """The events of a kind, when there are so many."""

    def found() -> list[Any]:
        return [
            data for data in agent_events_of(log.records, medium.claim.media_id) if isinstance(data, kind)
        ]

    await log.until(lambda _: len(found()) >= count, timeout_s=PATIENCE_S)
    return found()


def keys_of(settings: Settings, medium: Produced) -> list[str]:
    prefix = medium_prefix(medium.claim.key)
    return [key for key in keys_in_bucket(settings) if key.startswith(prefix)]


def kinds(shown: list[Any]) -> list[str]:
    return [type(data).__name__ for data in shown]


async def test_a_picture_gets_its_smaller_versions_once(prepared: Settings) -> None:
    async with runner(prepared) as play, events(prepared) as log:
        medium = await play.produce(png(4000))
        with agent(prepared):
            (followed,) = await told(log, medium, MediaRenditionsStored)
            before = {key: stored_object(prepared, key) for key in keys_of(prepared, medium)}
            # The same claim again, as a takeover sends it: the same objects, and nothing new for readers.
            await play.write_claim(medium.claim)
            await told(log, medium, MediaRenditionsStored, count=2)
    assert {rendition.name for rendition in followed.renditions} == {"webp", "thumbnail"}
    for rendition in followed.renditions:
        found = before[rendition.key]
        assert len(found["data"]) == rendition.size_bytes
        assert found["ContentType"] == rendition.content_type == "image/webp"
        assert "immutable" in found["CacheControl"]
    assert set(before) == {medium.claim.key, *(rendition.key for rendition in followed.renditions)}
    assert sorted(keys_of(prepared, medium)) == sorted(before)
    assert all(stored_object(prepared, key)["data"] == found["data"] for key, found in before.items())
    shown, completed = visible(log.records, medium.claim)
    assert kinds(shown) == ["MediaValidated", "MediaStored", "MediaRenditionsStored"]
    notice, stored, _ = shown
    assert (notice.format, notice.size_bytes, notice.width, notice.height) == ("png", 4000, 2, 1)
    assert (stored.width, stored.height) == (2, 1)
    assert completed == 1


async def test_a_deleted_medium_is_gone_and_stays_deleted(prepared: Settings) -> None:
    async with runner(prepared) as play, events(prepared) as log:
        with agent(prepared):
            medium, other = await play.produce(png(4000)), await play.produce(png(4000))
            for one in (medium, other):
                await told(log, one, MediaRenditionsStored)
            delete = DeleteMedia(medium=reference(medium.claim))
            await play.ask(delete, medium.claim.media_id)
            await told(log, medium, MediaDeleted)
            assert keys_of(prepared, medium) == []
            assert len(keys_of(prepared, other)) == 3
            # Deleted twice is deleted; a claim that comes once more shows nobody anything.
            await play.ask(delete, medium.claim.media_id)
            await told(log, medium, MediaDeleted, count=2)
            await play.write_claim(medium.claim)
            await told(log, medium, MediaStored, count=2)
            async with Records(prepared, MEDIA_USAGE).open(6) as usage:
                counted = await usage_of(usage, medium, "deleted", count=2)
    shown, completed = visible(log.records, medium.claim)
    assert kinds(shown) == ["MediaValidated", "MediaStored", "MediaRenditionsStored", "MediaDeleted"]
    assert completed == 1
    assert {event.event_id for event in counted} == {f"{medium.claim.media_id}.deleted.0"}
    (first, _) = counted
    assert (first.owner_id, first.data.size_bytes, first.data.model) == (OWNER, 4000, medium.claim.model)  # type: ignore[attr-defined]


async def usage_of(usage: Records, medium: Produced, outcome: str, count: int = 1) -> list[UsageEvent]:
    def found() -> list[UsageEvent]:
        decoded = [usage_codec.decode(record.value) for record in usage.records]
        return [
            event
            for event in decoded
            if isinstance(event, UsageEvent)
            and event.data.media_id == medium.claim.media_id  # type: ignore[attr-defined]
            and event.data.outcome == outcome  # type: ignore[attr-defined]
        ]

    await usage.until(lambda _: len(found()) >= count, timeout_s=PATIENCE_S)
    return found()


async def test_an_expired_medium_is_gone_and_says_so(prepared: Settings) -> None:
    async with runner(prepared) as play, events(prepared) as log:
        with agent(prepared):
            medium = await play.produce(png(4000))
            await told(log, medium, MediaRenditionsStored)
            await play.ask(ExpireMedia(medium=reference(medium.claim)), medium.claim.media_id)
            (expired,) = await told(log, medium, MediaExpired)
            async with Records(prepared, MEDIA_USAGE).open(6) as usage:
                (stored,) = await usage_of(usage, medium, "stored")
                await usage_of(usage, medium, "expired")
    assert expired.reason == "lifecycle"
    assert keys_of(prepared, medium) == []
    shown, _ = visible(log.records, medium.claim)
    assert kinds(shown) == ["MediaValidated", "MediaStored", "MediaRenditionsStored", "MediaExpired"]
    data = stored.data
    assert (data.width, data.height, data.content_type, data.provider) == (2, 1, "image/png", "sim")  # type: ignore[attr-defined]
    steps = data.steps  # type: ignore[attr-defined]
    assert None not in (steps.queued, steps.read, steps.validate, steps.upload)


async def test_a_deleted_conversation_leaves_nothing_in_the_bucket(prepared: Settings) -> None:
    client = create_s3_client(prepared)
    async with runner(prepared) as play, events(prepared) as log:
        with agent(prepared):
            named = await play.produce(png(4000))
            conversation = named.claim.conversation_id
            # Stored after the API had made its list.
            unnamed = await play.produce(png(4000), conversation_id=conversation)
            stranger = await play.produce(png(4000))
            for one in (named, unnamed, stranger):
                await told(log, one, MediaRenditionsStored)
            private = [
                attachment_key(OWNER, named.claim.turn_id, 1, "png"),
                attachment_key(OWNER, "turn-without-media", 1, "png"),
                history_key(OWNER, "turn-without-media", 1),
            ]
            kept = [
                attachment_key(OWNER, "another-turn", 1, "png"),
                history_key("else", named.claim.turn_id, 1),
            ]
            for key in (*private, *kept):
                client.put_object(Bucket=prepared.s3_media_bucket, Key=key, Body=b"x")
            request = DeleteConversationMedia(
                conversation_id=conversation,
                owner_id=OWNER,
                answer_partition=named.claim.answer_partition,
                media=(reference(named.claim),),
                turn_ids=("turn-without-media",),
            )
            await play.ask(request, conversation)
            for one in (named, unnamed):
                (deleted,) = await told(log, one, MediaDeleted)
                assert deleted.reason == "conversation_deleted"
            await play.ask(request, conversation)
            await told(log, named, MediaDeleted, count=2)
            unnamed_deletion = next(
                event
                for record in log.records
                if isinstance(event := event_codec.decode(record.value), Event)
                and isinstance(event.data, MediaDeleted)
                and event.data.media_id == unnamed.claim.media_id
            )
    client.close()
    assert (unnamed_deletion.owner_id, unnamed_deletion.conversation_id) == (OWNER, conversation)
    assert sorted(keys_in_bucket(prepared)) == sorted([*keys_of(prepared, stranger), *kept])
    assert len(keys_of(prepared, stranger)) == 3


async def test_a_removal_that_names_no_object_of_ours_is_buried(prepared: Settings) -> None:
    client = create_s3_client(prepared)
    client.put_object(Bucket=prepared.s3_media_bucket, Key="private/local/t/1.png", Body=b"x")
    client.close()
    async with runner(prepared) as play, Records(prepared, MEDIA_REQUESTS_DLQ).open(1) as letters:
        medium = await play.produce(b"never stored")
        for key in ("private/local/t/1.png", "", "."):
            wrong = msgspec.structs.replace(reference(medium.claim), key=key)
            await play.ask(DeleteMedia(medium=wrong), medium.claim.media_id)
        with agent(prepared):
            found = await letters.until(lambda all_: len(all_) >= 3, timeout_s=PATIENCE_S)
    assert {dict(letter.headers)[REASON] for letter in found} == {b"the key of the medium is none"}
    assert keys_in_bucket(prepared) == ["private/local/t/1.png"]

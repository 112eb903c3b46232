"""Every crash point of the media agent and of the object store: it dies there, and from outside nobody can tell."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import pytest

from polylogue.infra.crash_points import AGENT, STORE
from polylogue.infra.settings import Settings
from polylogue.infra.topic_admin import apply_topics
from polylogue.infra.topics import MEDIA_USAGE
from polylogue.media.bucket_contents import BucketContents
from polylogue.media.keys import medium_prefix
from polylogue.schemas.claims import DeleteMedia, RetryMedia
from polylogue.schemas.clock import now_ms
from polylogue.schemas.codec import usage_codec
from polylogue.schemas.events import MediaFailed, MediaRenditionsStored
from tests.support.bucket import half_done_uploads, keys_in_bucket, stored_object
from tests.support.media_agent import agent
from tests.support.media_log import Records, agent_events_of, events, told_of, visible
from tests.support.media_runner import PARTITIONS, Produced, Runner, png, reference, runner

pytestmark = pytest.mark.stack

PATIENCE_S = 120  # many processes start side by side
CHAINS = 4
SIZE_BYTES = 9_000_000  # two parts

REMOVAL = frozenset({"agent.removal_before", "agent.object_removed", "agent.removed_before_emit"})
# In the middle of something, where the first passage is its beginning.
PASSAGES = {"agent.object_removed": 2, "agent.rendition_stored": 2}
# Where a medium is on its way that an agent may have been told of before it was claimed; there it is walked twice.
HINTED = " hinted"
DEATHS = sorted(
    {f"{point}:{PASSAGES.get(point, 1)}" for point in AGENT | STORE}
    | {"store.part_stored:2", "agent.rendition_stored:1"}
    | {f"{point}:1{HINTED}" for point in STORE | {"agent.segments_read", "agent.after_put"}}
)


@dataclass(frozen=True)
class Left:
    """What can be seen of a medium when all is quiet."""

    shown: list[str]
    completed: int
    keys: list[str]
    intact: bool
    counted: set[str]


@pytest.mark.timeout(3 * PATIENCE_S)
async def test_an_agent_that_dies_anywhere_leaves_what_one_that_lives_would(prepared: Settings) -> None:
    """In chains: the next to die takes over what the last one left, so that some media meet several deaths."""
    chains = [DEATHS[number::CHAINS] for number in range(CHAINS)]
    found = await asyncio.gather(
        *(die_one_by_one(prepared, number, chain) for number, chain in enumerate(chains))
    )
    assert {point: wrong for chain in found for point, wrong in chain.items() if wrong} == {}


async def die_one_by_one(prepared: Settings, number: int, points: list[str]) -> dict[str, list[str]]:
    prefix = f"{prepared.kafka_topic_prefix}{number}-"
    settings = prepared.model_copy(update={"kafka_topic_prefix": prefix, "media_validation_processes": 1})
    await apply_topics(settings, partitions=PARTITIONS)
    media: dict[str, Produced] = {}
    async with (
        runner(settings) as play,
        events(settings) as log,
        Records(settings, MEDIA_USAGE).open(MEDIA_USAGE.partitions) as usage,
    ):
        for point in points:
            media[point] = await prepare(play, point)
            with agent(settings, crash_at=point.removesuffix(HINTED)) as victim:
                assert await victim.ended(PATIENCE_S) == -signal.SIGKILL, f"{point}: {victim.text()}"
        with agent(settings):
            # What stands before it in the partition is settled when it is; smaller versions may come after it.
            last = await play.produce(png(1000), requests_partition=0)
            for medium in (*media.values(), last):
                await log.until(partial(has_smaller_versions, medium), timeout_s=PATIENCE_S)
            await usage.until(
                lambda all_: f"{last.claim.media_id}.stored.0" in ids(all_), timeout_s=PATIENCE_S
            )
    sweep(settings, media)
    unswept = half_done_uploads(settings)
    wrong = {
        point: faults(point, medium, what_is_left(settings, medium, log.records, usage.records))
        for point, medium in media.items()
    }
    return wrong | {
        f"{point}, swept": ["an upload is left"]
        for point, medium in media.items()
        if medium.claim.key in unswept
    }


def what_is_left(settings: Settings, medium: Produced, events: list[Any], usage: list[Any]) -> Left:
    shown, completed = visible(events, medium.claim)
    keys = [key for key in keys_in_bucket(settings) if key.startswith(medium_prefix(medium.claim.key))]
    return Left(
        shown=told_of(shown),
        completed=completed,
        keys=keys,
        intact=medium.claim.key in keys and stored_object(settings, medium.claim.key)["data"] == medium.data,
        counted={one for one in ids(usage) if one.startswith(medium.claim.media_id)},
    )


def faults(point: str, medium: Produced, left: Left) -> list[str]:
    name, _, _ = point.partition(":")
    wanted = ["MediaStored", "MediaRenditionsStored"]
    counted = {f"{medium.claim.media_id}.stored.{medium.claim.retry}"}
    if name == "agent.retried_emitted":
        wanted = ["MediaFailed", "MediaRetried", *wanted]
    removed = name in REMOVAL
    if removed:
        wanted = [*wanted, "MediaDeleted"]
        counted |= {f"{medium.claim.media_id}.deleted.0"}
    complaints = {
        f"readers saw {left.shown}": left.shown == wanted,
        f"the turn was completed {left.completed} times": left.completed == 1,
        f"there are {left.keys}": len(left.keys) == (0 if removed else 3),
        "the bytes are others": removed or left.intact,
        f"counted were {left.counted}": left.counted == counted,
    }
    return [complaint for complaint, kept in complaints.items() if not kept]


async def prepare(play: Runner, point: str) -> Produced:
    """A medium and what is asked for, so that an agent comes past the point."""
    name, _, _ = point.partition(":")
    if name == "agent.retried_emitted":
        medium = await play.produce(png(SIZE_BYTES), claimed=False)
        claim = medium.claim
        failed = MediaFailed(
            media_id=claim.media_id, media_type="image", reason="storage_unavailable", message="It failed."
        )
        await play.write_event(claim, failed)
        again = msgspec.structs.replace(claim, retry=1)
        await play.ask(RetryMedia(claim=again, asked_at_ms=now_ms()), claim.media_id, partition=0)
        return Produced(again, medium.data)
    hinted = point.endswith(HINTED) or name == "agent.preparing"
    medium = await play.produce(png(SIZE_BYTES), requests_partition=0, hinted=hinted)
    if name in REMOVAL:
        await play.ask(DeleteMedia(medium=reference(medium.claim)), medium.claim.media_id, partition=0)
    return medium


def has_smaller_versions(medium: Produced, records: list[Any]) -> bool:
    found = agent_events_of(records, medium.claim.media_id)
    return any(isinstance(data, MediaRenditionsStored) for data in found)


def ids(records: list[Any]) -> set[str]:
    return {usage_codec.decode(record.value).event_id for record in records}  # type: ignore[union-attr]


def sweep(settings: Settings, media: Mapping[str, Produced]) -> None:
    """As the sweeper does with every upload that is older than any attempt may be."""
    keys = {medium.claim.key for medium in media.values()}
    contents = BucketContents.from_settings(settings)
    for upload in contents.half_done_uploads():
        if upload.key in keys:
            contents.abort(upload)
    contents.close()

"""How far each version is behind the log, how fast it goes, and when it will have caught up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from aiokafka import TopicPartition
from psycopg import AsyncConnection

from polylogue.infra.kafka import manual_consumer, started
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.log_heads import LogHead, list_partitions, read_heads
from polylogue.projections.session import Session
from polylogue.projections.versions import (
    OperationRefusedError,
    Skip,
    State,
    Version,
    read_skips,
    read_versions,
)

ASK_EVERY_S = 0.1
FIRST_RECORD_S = 2.0  # to read the oldest record that is not applied; without it there is no lag in seconds


@dataclass(frozen=True)
class PartitionLag:
    partition: int
    next_offset: int
    end: int
    stopped_at: int | None = None  # the offset that cannot be applied
    stopped_why: str | None = None

    @property
    def records(self) -> int:
        return max(0, self.end - self.next_offset)


@dataclass(frozen=True)
class VersionStatus:
    projection: str
    version: int
    state: State | Literal["unbuilt"]  # unbuilt: the code has it, the database has not
    paused: bool
    in_code: bool  # whether this software can write it
    partitions: tuple[PartitionLag, ...]
    skips: tuple[Skip, ...]
    lag_records: int
    lag_s: (
        float | None
    )  # the age of the oldest record that is not applied; 0 where all is, None where it cannot be read
    events_per_s: float  # over the time that was looked at
    eta_s: float | None  # None where it stands still
    created_at: datetime | None = None
    promoted_at: datetime | None = None

    @property
    def stopped(self) -> tuple[PartitionLag, ...]:
        return tuple(one for one in self.partitions if one.stopped_why is not None)


@dataclass(frozen=True)
class Listed:
    projection: str
    version: int
    state: State | Literal["unbuilt"]
    paused: bool
    in_code: bool
    tables: tuple[str, ...]
    created_at: datetime | None
    promoted_at: datetime | None


async def list_versions(settings: Settings, name: str | None = None) -> list[Listed]:
    """Every version that this software carries or the database holds. Asks no Kafka."""
    session = Session(settings)
    try:
        versions = await read_versions(await session.connection(), name)
    finally:
        await session.close()
    code = {(one.name, one.version): one for one in PROJECTIONS if name in (None, one.name)}
    held = {(one.projection, one.version): one for one in versions}
    listed = []
    for key in sorted(code.keys() | held.keys()):
        known, carried = held.get(key), code.get(key)
        listed.append(
            Listed(
                *key,
                state=known.state if known else "unbuilt",
                paused=known.paused if known else False,
                in_code=carried is not None,
                tables=tuple(table.name for table in carried.tables) if carried else (),
                created_at=known.created_at if known else None,
                promoted_at=known.promoted_at if known else None,
            )
        )
    return listed


async def status(settings: Settings, name: str | None = None, *, over_s: float = 0.5) -> list[VersionStatus]:
    """Every version that has tables; its speed is taken over `over_s`. Raises KafkaError."""
    session = Session(settings)
    try:
        connection = await session.connection()
        before, began = await _offsets(connection), time.monotonic()
        heads = await read_heads(settings, await list_partitions(settings))
        await asyncio.sleep(max(0.0, over_s - (time.monotonic() - began)))
        after, seconds = await _offsets(connection), max(time.monotonic() - began, 0.001)
        versions = await read_versions(connection, name)
        stops = await _stops(connection)
        skips = await read_skips(connection, name)
    finally:
        await session.close()
    ages = await _ages(settings, heads, after)
    told = []
    for version in versions:
        key = (version.projection, version.version)
        offsets = after.get(key, {})
        speed = (sum(offsets.values()) - sum(before.get(key, {}).values())) / seconds
        told.append(
            _told(
                version,
                heads,
                offsets,
                stops=stops,
                skips=skips,
                speed=max(0.0, speed),
                ages=ages,
            )
        )
    return told


_Key = tuple[str, int]


def _told(
    version: Version,
    heads: Mapping[int, LogHead],
    offsets: Mapping[int, int],
    *,
    stops: Mapping[tuple[str, int, int], tuple[int, str]],
    skips: Sequence[Skip],
    speed: float,
    ages: Mapping[tuple[int, int], float],
) -> VersionStatus:
    lags = []
    for number, head in sorted(heads.items()):
        at, why = stops.get((version.projection, version.version, number), (None, None))
        lags.append(PartitionLag(number, offsets.get(number, head.beginning), head.end, at, why))
    behind = [one for one in lags if one.records]
    known = [
        ages[one.partition, one.next_offset] for one in behind if (one.partition, one.next_offset) in ages
    ]
    records = sum(one.records for one in behind)
    return VersionStatus(
        projection=version.projection,
        version=version.version,
        state=version.state,
        paused=version.paused,
        in_code=any((one.name, one.version) == (version.projection, version.version) for one in PROJECTIONS),
        partitions=tuple(lags),
        skips=tuple(
            one
            for one in skips
            if one.projection == version.projection and one.version in (None, version.version)
        ),
        lag_records=records,
        lag_s=0.0 if not behind else max(known, default=None),
        events_per_s=speed,
        eta_s=0.0 if not records else records / speed if speed > 0 else None,
        created_at=version.created_at,
        promoted_at=version.promoted_at,
    )


async def _offsets(connection: AsyncConnection[Any]) -> dict[_Key, dict[int, int]]:
    cursor = await connection.execute(
        'SELECT projection, version, "partition", next_offset FROM projection_checkpoints'
    )
    found: dict[_Key, dict[int, int]] = {}
    for projection, version, partition, offset in await cursor.fetchall():
        found.setdefault((projection, version), {})[partition] = offset
    return found


async def _stops(connection: AsyncConnection[Any]) -> dict[tuple[str, int, int], tuple[int, str]]:
    cursor = await connection.execute(
        'SELECT projection, version, "partition", "offset", reason FROM projection_stops'
    )
    return {(row[0], row[1], row[2]): (row[3], row[4]) for row in await cursor.fetchall()}


async def _ages(
    settings: Settings, heads: Mapping[int, LogHead], offsets: Mapping[_Key, Mapping[int, int]]
) -> dict[tuple[int, int], float]:
    """Seconds since the record at each place was written, for the places where a version stands before the end."""
    places = {
        (partition, offset)
        for standing in offsets.values()
        for partition, offset in standing.items()
        if partition in heads and heads[partition].beginning <= offset < heads[partition].end
    }
    ages: dict[tuple[int, int], float] = {}
    if not places:
        return ages
    topic = topic_name(settings, CONVERSATION_EVENTS)
    async with started(manual_consumer(settings)) as consumer:
        partitions = [TopicPartition(topic, partition) for partition in sorted({one[0] for one in places})]
        consumer.assign(partitions)
        consumer.pause(*partitions)
        for partition, offset in sorted(places):
            place = TopicPartition(topic, partition)
            consumer.seek(place, offset)
            consumer.resume(place)
            try:
                async with asyncio.timeout(FIRST_RECORD_S):
                    record = await consumer.getone(place)
            except TimeoutError:
                continue  # a marker of a transaction at the end
            finally:
                consumer.pause(place)
            ages[partition, offset] = max(0.0, time.time() - record.timestamp / 1000)
        return ages


async def wait_for_lag(
    settings: Settings, name: str | None = None, *, lag: int = 0, timeout_s: float | None = None
) -> None:
    """Returns once no promoted version, or none of the named projection, has more than `lag` records before it.

    Counts to the log's ends at the time of the call: what is written meanwhile keeps nobody waiting.
    Raises OperationRefusedError when the time is over, and at once where a partition has stopped.
    """
    heads = await read_heads(settings, await list_partitions(settings))
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    session = Session(settings)
    try:
        while True:
            connection = await session.connection()
            versions = [one for one in await read_versions(connection, name) if one.state == "promoted"]
            if name is not None and not versions:
                raise OperationRefusedError(f"No version of {name} is promoted.")
            offsets, stops = await _offsets(connection), await _stops(connection)
            left = _left(versions, heads, offsets)
            if all(records <= lag for records in left.values()):
                return
            for one in versions:
                for (projection, version, partition), (at, why) in stops.items():
                    if (projection, version) == (one.projection, one.version) and left[one.name] > lag:
                        raise OperationRefusedError(
                            f"{one.name} has stopped at offset {at} of partition {partition}: {why}"
                        )
            if deadline is not None and time.monotonic() > deadline:
                behind = ", ".join(
                    f"{version} by {records}" for version, records in left.items() if records > lag
                )
                raise OperationRefusedError(f"After {timeout_s:g} s these are still behind: {behind}.")
            await asyncio.sleep(ASK_EVERY_S)
    finally:
        await session.close()


def _left(
    versions: Sequence[Version], heads: Mapping[int, LogHead], offsets: Mapping[_Key, Mapping[int, int]]
) -> dict[str, int]:
    return {
        one.name: sum(
            max(0, head.end - offsets.get((one.projection, one.version), {}).get(number, 0))
            for number, head in heads.items()
        )
        for one in versions
    }

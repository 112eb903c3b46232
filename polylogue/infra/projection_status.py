"""Where every version of every projection stands, read from its tables and from the log: for operators, not for code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from polylogue.infra.log_look import LogLook

_VERSIONS = """
    SELECT v.projection, v.version, v.state, v.paused, v.created_at, v.promoted_at,
           (SELECT count(*) FROM projection_skips AS s
            WHERE s.projection = v.projection AND s.version IN (0, v.version)) AS skips,
           EXISTS (SELECT FROM projection_builders AS b
                   WHERE b.projection = v.projection AND b.version = v.version) AS building_now
    FROM projection_versions AS v ORDER BY v.projection, v.version
"""
_CHECKPOINTS = """
    SELECT c.projection, c.version, c."partition", c.next_offset, s."offset" AS stopped_at, s.reason
    FROM projection_checkpoints AS c
    LEFT JOIN projection_stops AS s USING (projection, version, "partition")
"""


@dataclass(frozen=True)
class PartitionStatus:
    partition: int
    next_offset: int
    end: int
    lag_s: float | None = None  # the age of the next record to be applied; None where nobody has looked
    stopped_at: int | None = None  # the record that cannot be applied
    reason: str | None = None

    @property
    def lag(self) -> int:
        return max(0, self.end - self.next_offset)


@dataclass(frozen=True)
class VersionStatus:
    projection: str
    version: int
    state: str
    paused: bool
    building_now: bool
    skips: int
    created_at: datetime
    promoted_at: datetime | None
    partitions: Sequence[PartitionStatus] = field(default_factory=tuple)

    @property
    def name(self) -> str:
        return f"{self.projection} v{self.version}"

    @property
    def lag(self) -> int:
        """Records, of all partitions."""
        return sum(one.lag for one in self.partitions)

    @property
    def lag_s(self) -> float | None:
        """Of the partition that is furthest behind."""
        known = [one.lag_s for one in self.partitions if one.lag_s is not None]
        return max(known, default=None)

    @property
    def applied(self) -> int:
        return sum(one.next_offset for one in self.partitions)

    @property
    def stopped(self) -> list[PartitionStatus]:
        return [one for one in self.partitions if one.stopped_at is not None]


async def read_status(
    connection: AsyncConnection[Any], ends: Mapping[int, int], projection: str | None = None
) -> list[VersionStatus]:
    """By name, then version; a partition that was never begun stands at 0. Raises psycopg.Error."""
    async with connection.cursor(row_factory=dict_row) as rows:
        versions = await (await rows.execute(_VERSIONS)).fetchall()
        checkpoints = await (await rows.execute(_CHECKPOINTS)).fetchall()
    stands = {(row["projection"], row["version"], row["partition"]): row for row in checkpoints}
    return [
        VersionStatus(**row, partitions=_partitions(stands, row, ends))
        for row in versions
        if projection in (None, row["projection"])
    ]


def _partitions(
    stands: Mapping[tuple[str, int, int], Mapping[str, Any]],
    version: Mapping[str, Any],
    ends: Mapping[int, int],
) -> tuple[PartitionStatus, ...]:
    partitions = []
    for partition, end in sorted(ends.items()):
        row = stands.get((version["projection"], version["version"], partition), {})
        partitions.append(
            PartitionStatus(
                partition=partition,
                next_offset=row.get("next_offset", 0),
                end=end,
                lag_s=None if row.get("next_offset", 0) < end else 0.0,
                stopped_at=row.get("stopped_at"),
                reason=row.get("reason"),
            )
        )
    return tuple(partitions)


async def with_ages(look: LogLook, versions: Sequence[VersionStatus]) -> list[VersionStatus]:
    """The same with the lag in seconds, for which the next record of each lagging partition is read."""
    written: dict[tuple[int, int], int | None] = {}
    for version in versions:
        for one in version.partitions:
            if one.lag and (one.partition, one.next_offset) not in written:
                place = (one.partition, one.next_offset)
                written[place] = await look.written_ms(*place)
    now_ms = datetime.now(UTC).timestamp() * 1000
    return [
        replace(
            version,
            partitions=tuple(
                replace(one, lag_s=_age_s(written.get((one.partition, one.next_offset)), now_ms))
                for one in version.partitions
            ),
        )
        for version in versions
    ]


def _age_s(written_ms: int | None, now_ms: float) -> float:
    """Behind the last record there may be the marker of a transaction, which has no age."""
    return 0.0 if written_ms is None else max(0.0, round((now_ms - written_ms) / 1000, 3))


def described(version: VersionStatus, *, events_per_s: float | None = None) -> dict[str, Any]:
    """As JSON."""
    eta_s = round(version.lag / events_per_s, 1) if events_per_s and version.lag else None
    return {
        "projection": version.projection,
        "version": version.version,
        "state": version.state,
        "paused": version.paused,
        "building_now": version.building_now,
        "skips": version.skips,
        "created_at": version.created_at.astimezone(UTC).isoformat(),
        "promoted_at": version.promoted_at.astimezone(UTC).isoformat() if version.promoted_at else None,
        "applied": version.applied,
        "lag": version.lag,
        "lag_s": version.lag_s,
        "events_per_s": None if events_per_s is None else round(events_per_s, 1),
        "eta_s": 0.0 if not version.lag else eta_s,
        "partitions": [asdict(one) | {"lag": one.lag} for one in version.partitions],
    }

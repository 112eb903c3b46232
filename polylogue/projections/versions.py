"""Which versions of which projections have tables, in what state, and what operators have ordered for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import AsyncConnection
from psycopg.rows import class_row

from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.protocol import Projection

State = Literal["building", "ready", "promoted", "retained"]
LIVE: frozenset[State] = frozenset({"ready", "promoted", "retained"})  # what the projector keeps up to date
EVERY_VERSION = 0  # in projection_skips

_COLUMNS = "projection, version, schema_name, declaration, state, paused, orders, created_at, promoted_at"


class OperationRefusedError(Exception):
    """What was asked for cannot be done; the message is a sentence that says why and what to do."""


@dataclass(frozen=True)
class Version:
    projection: str
    version: int
    schema_name: str
    declaration: str | None  # None: from before tables were declared
    state: State
    paused: bool
    orders: int  # rises with each order of an operator
    created_at: datetime
    promoted_at: datetime | None

    @property
    def name(self) -> str:
        return f"{self.projection} v{self.version}"


@dataclass(frozen=True)
class Skip:
    """An operator's decision to leave out one record: live, in a rebuild and in a verification alike."""

    projection: str
    version: int | None  # None: every version
    log_id: str
    partition: int
    offset: int
    why: str
    decided_at: datetime


async def read_versions(
    connection: AsyncConnection[Any], projection: str | None = None, *, lock: bool = False
) -> list[Version]:
    """By name, then version. With `lock` nobody else changes their state before the transaction's end."""
    condition = "WHERE projection = %(projection)s" if projection else ""
    async with connection.cursor(row_factory=class_row(Version)) as cursor:
        await cursor.execute(
            f"SELECT {_COLUMNS} FROM projection_versions {condition} ORDER BY projection, version"  # noqa: S608
            + (" FOR UPDATE" if lock else ""),
            {"projection": projection},
        )
        return await cursor.fetchall()


async def read_skips(
    connection: AsyncConnection[Any], projection: str | None = None, version: int | None = None
) -> list[Skip]:
    """Those that concern the version, or all. By partition and offset."""
    async with connection.cursor(row_factory=class_row(Skip)) as cursor:
        await cursor.execute(
            'SELECT projection, nullif(version, 0) AS version, log_id, "partition", "offset", why, decided_at'
            " FROM projection_skips WHERE (%(projection)s::text IS NULL OR projection = %(projection)s)"
            " AND (%(version)s::integer IS NULL OR version IN (0, %(version)s))"
            ' ORDER BY projection, "partition", "offset"',
            {"projection": projection, "version": version},
        )
        return await cursor.fetchall()


def skipped(skips: Iterable[Skip], log_id: str, partition: int) -> frozenset[int]:
    """The offsets to leave out of a partition."""
    return frozenset(one.offset for one in skips if (one.log_id, one.partition) == (log_id, partition))


def of_code(name: str, version: int | None = None, among: Iterable[Projection] = PROJECTIONS) -> Projection:
    """The projection that this code carries; the newest version where none is named. Raises OperationRefusedError."""
    named = {one.version: one for one in among if one.name == name}
    if not named:
        known = ", ".join(sorted({one.name for one in among}))
        raise OperationRefusedError(f"There is no projection {name}; there are: {known}.")
    if version is None:
        return named[max(named)]
    if version not in named:
        carried = ", ".join(f"v{number}" for number in sorted(named))
        raise OperationRefusedError(f"This software carries no version {version} of {name}, but {carried}.")
    return named[version]


def find(versions: Iterable[Version], name: str, version: int | None = None) -> Version:
    """The registered version; the promoted one where none is named. Raises OperationRefusedError."""
    registered = [one for one in versions if one.projection == name]
    for one in registered:
        if one.version == version or (version is None and one.state == "promoted"):
            return one
    if not registered:
        raise OperationRefusedError(
            f"{name} has no tables; `polylogue tables upgrade` makes them for every projection of this software."
        )
    wanted = "a promoted version" if version is None else f"version {version}"
    there = ", ".join(f"v{one.version} ({one.state})" for one in registered)
    raise OperationRefusedError(f"{name} has no tables of {wanted}; there are: {there}.")

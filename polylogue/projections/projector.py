"""The projector process: carries `conversation-events` into the tables of every version that is served or kept current."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg

from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.follower import Follower
from polylogue.projections.patience import Patience
from polylogue.projections.protocol import Projection
from polylogue.projections.session import Session
from polylogue.projections.tables_sql import declaration
from polylogue.projections.versions import LIVE, Skip, Version, read_skips, read_versions

LOOK_EVERY_S = 0.5  # for new versions and for operators' orders

log = get_logger(__name__)

Name = tuple[str, int]


@dataclass
class _Running:
    follower: Follower
    stop: asyncio.Event
    task: asyncio.Task[None]


async def serve(
    settings: Settings, stop: asyncio.Event, projections: Sequence[Projection] = PROJECTIONS
) -> None:
    """Runs until `stop` is set, then finishes the batches under way and leaves the groups.

    Waits for servers, topics and tables that are not there. A partition stopped at a record that cannot be applied is
    tried again after an operator's order (resume, skip), at a restart, or when a copy joins or leaves.
    Raises SettingsError where a server is not named.
    """
    settings.require("kafka_bootstrap_servers", "database_url")
    async with asyncio.TaskGroup() as group:
        await _Projector(settings, stop, {(one.name, one.version): one for one in projections}, group).run()


class _Projector:
    """One follower for each version that is not pruned and that this software carries; others' are others' work."""

    def __init__(
        self,
        settings: Settings,
        stop: asyncio.Event,
        projections: Mapping[Name, Projection],
        group: asyncio.TaskGroup,
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._projections = projections
        self._group = group
        self._session = Session(settings)
        self._running: dict[Name, _Running] = {}
        self._refused: set[Name] = set()
        self._tables = Patience("tables", stop, log)
        self._registry = Patience("versions", stop, log)

    async def run(self) -> None:
        try:
            while not self._stop.is_set():
                await self._look()
                await _wait(self._stop, LOOK_EVERY_S)
        finally:
            for running in self._running.values():
                running.stop.set()
            await self._session.close()

    async def _look(self) -> None:
        try:
            connection = await self._session.connection()
            versions = await read_versions(connection)
            skips = await read_skips(connection)
        except psycopg.errors.UndefinedTable:
            schema = self._settings.database_schema
            await self._tables.wait(
                LookupError(f"schema {schema} has no tables yet; `polylogue run` makes them")
            )
        except psycopg.Error as error:
            await self._registry.wait(error)
        else:
            self._tables.over()
            self._registry.over()
            self._follow(versions, skips)

    def _follow(self, versions: Sequence[Version], skips: Sequence[Skip]) -> None:
        wanted = {
            (one.projection, one.version): one
            for one in versions
            if one.state in LIVE and (one.projection, one.version) in self._projections
        }
        for name in self._running.keys() - wanted.keys():
            self._running.pop(name).stop.set()
        for name, version in wanted.items():
            if name not in self._running and self._fits(name, version):
                self._start(name, version)
            if name in self._running:
                concerned = [
                    skip for skip in skips if skip.projection == name[0] and skip.version in (None, name[1])
                ]
                self._running[name].follower.obey(version, concerned)

    def _fits(self, name: Name, version: Version) -> bool:
        """Other columns under the same number would make rows that no replay agrees with."""
        if version.declaration in (None, declaration(self._projections[name])):
            return True
        if name not in self._refused:
            self._refused.add(name)
            log.error(
                "version_refused",
                projection=name[0],
                version=name[1],
                reason="its tables were declared otherwise by the software that made them: raise the version",
            )
        return False

    def _start(self, name: Name, version: Version) -> None:
        stop = asyncio.Event()
        follower = Follower(self._settings, self._projections[name], version, stop)
        task = self._group.create_task(follower.run(), name=version.name)
        self._running[name] = _Running(follower, stop, task)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return

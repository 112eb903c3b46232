"""The projector process: carries `conversation-events` into the tables of every projection."""

from __future__ import annotations

import asyncio

from polylogue.infra.settings import Settings
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.follower import Follower


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Runs until `stop` is set, then finishes the batches under way and leaves the groups.

    Waits for servers, topics and tables that are not there. A partition stopped at a record that cannot be applied is
    tried again when it is next assigned: at a restart, or when a copy joins or leaves. Raises SettingsError where a server is not named.
    """
    settings.require("kafka_bootstrap_servers", "database_url")
    async with asyncio.TaskGroup() as followers:
        for projection in PROJECTIONS:
            followers.create_task(Follower(settings, projection, stop).run(), name=projection.name)

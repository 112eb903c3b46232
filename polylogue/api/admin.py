"""`GET /admin/projections`: where every version of every projection stands, for administrators."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query

from polylogue.api.compare_stream import Working
from polylogue.api.errors import not_found
from polylogue.api.parameters import Name, require_admin
from polylogue.api.principal import Asking
from polylogue.infra.log_look import looking_at
from polylogue.infra.projection_status import described, read_status, with_ages
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name

router = APIRouter(prefix="/admin", tags=["admin"])


@router.get("/projections")
async def projections(
    services: Working,
    asking: Asking,
    *,
    name: Name = None,
    sample_ms: Annotated[
        int,
        Query(ge=0, le=5000, description="For how long to watch, which gives `events_per_s` and `eta_s`."),
    ] = 0,
) -> dict[str, Any]:
    """`lag` counts records, `lag_s` is the age of the oldest that is not applied yet."""
    require_admin(asking)
    settings = services.settings
    async with looking_at(settings, topic_name(settings, CONVERSATION_EVENTS)) as look:
        ends = await look.ends()
        async with services.pool.connection() as connection:
            before = await read_status(connection, ends, name)
        if name is not None and not before:
            raise not_found("projection")
        speeds: dict[str, float] = {}
        versions = before
        if sample_ms:
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(sample_ms / 1000)
            async with services.pool.connection() as connection:
                versions = await read_status(connection, await look.ends(), name)
            took_s = asyncio.get_running_loop().time() - began
            was = {one.name: one.applied for one in before}
            speeds = {
                one.name: max(0, one.applied - was.get(one.name, one.applied)) / took_s for one in versions
            }
        versions = await with_ages(look, versions)
    return {"projections": [described(one, events_per_s=speeds.get(one.name)) for one in versions]}

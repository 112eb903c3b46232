"""Before a turn: whether the owner's quotas leave room for it, and how much it may cost at most."""

from __future__ import annotations

import datetime as dt

import msgspec

from polylogue.api.errors import ApiError
from polylogue.api.services import Services
from polylogue.media.quota_use import read_use
from polylogue.media.quotas import Reached, cost_reached, media_reached
from polylogue.schemas.commands import StartTurn


async def allowed(services: Services, owner: str, start: StartTurn) -> StartTurn:
    """The turn with what is left of the month as the most that it may cost.

    Raises ApiError 402 where money or room is used up, 429 where tomorrow brings new files. A turn of models that
    write only may begin however many files there are.
    """
    if services.quotas is None:
        return start
    tier = services.quotas.tier_of(owner)
    now = dt.datetime.now(dt.UTC)
    async with services.pool.connection() as connection:
        used = (await read_use(connection, owner, now)).used
    reached = cost_reached(tier, used, now)
    if reached is None and services.settings.enable_media_responses and _makes_media(services, start):
        reached = media_reached(tier, used, now)
    if reached is not None:
        raise refused(reached, now)
    limit = tier.cost_micros_per_month
    if limit is None:
        return start
    left = limit - used.cost_micros_this_month
    asked = start.max_cost_usd_micros
    return msgspec.structs.replace(start, max_cost_usd_micros=left if asked is None else min(asked, left))


def refused(reached: Reached, now: dt.datetime) -> ApiError:
    told = {
        "what": reached.what,
        "limit": reached.limit,
        "used": reached.used,
        "resets": reached.resets.isoformat().replace("+00:00", "Z") if reached.resets else None,
    }
    if reached.what != "media_per_day" or reached.resets is None:
        return ApiError(402, "quota_exceeded", reached.sentence, **told)
    wait_s = max(1, round((reached.resets - now).total_seconds()))
    return ApiError(429, "quota_exceeded", reached.sentence, retry_after_s=wait_s, **told)


def _makes_media(services: Services, start: StartTurn) -> bool:
    """Whether a model that is asked says that it makes something else than text."""
    entries = (services.models.known(slot.model) for slot in start.responses)
    return any(entry is not None and set(entry.output_modalities) - {"text"} for entry in entries)

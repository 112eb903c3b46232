"""What an owner has used, as the `quotas` projection counts it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from polylogue.media.quotas import Used, day_of, month_of

# One statement, so that the sums and the media that are in them are of one moment.
_USED = """
SELECT
    coalesce((SELECT media FROM quota_days WHERE owner_id = %(owner)s AND day = %(day)s), 0)::bigint,
    coalesce((SELECT sum(size_bytes) FROM quota_media WHERE owner_id = %(owner)s AND counted), 0)::bigint,
    coalesce((SELECT sum(cost_usd_micros) FROM quota_days
              WHERE owner_id = %(owner)s AND day >= %(month)s AND day < %(next_month)s), 0)::bigint,
    ARRAY(SELECT media_id FROM quota_media WHERE media_id = ANY(%(media)s))
"""


@dataclass(frozen=True)
class Reading:
    used: Used
    seen: frozenset[str]  # of the media that were asked about: those that the sums know


async def read_use(
    connection: AsyncConnection[Any], owner: str, now: dt.datetime, media: Collection[str] = ()
) -> Reading:
    """Raises psycopg.Error."""
    first, following = month_of(now)
    cursor = await connection.execute(
        _USED,
        {
            "owner": owner,
            "day": day_of(now),
            "month": first,
            "next_month": following,
            "media": list(media),
        },
    )
    row = await cursor.fetchone()
    assert row is not None
    return Reading(Used(row[0], row[1], row[2]), frozenset(row[3]))

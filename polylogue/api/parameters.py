"""What several routes take from the query: names, periods of days, and whose numbers are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import Depends, Query

from polylogue.api.errors import ApiError
from polylogue.api.principal import Asking, Principal

DEFAULT_DAYS = 30
MOST_DAYS = 400  # as long as the usage events are kept

# Postgres takes no null character in a text.
Name = Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


@dataclass(frozen=True)
class Period:
    """Whole days in UTC, both included."""

    first: date
    last: date


async def period(
    from_: Annotated[
        date | None, Query(alias="from", description="The first day, in UTC; 30 days if it is not given.")
    ] = None,
    to: Annotated[date | None, Query(description="The last day, in UTC; today if it is not given.")] = None,
) -> Period:
    """Raises ApiError."""
    last = to or datetime.now(UTC).date()
    first = from_ or date.fromordinal(max(1, last.toordinal() - DEFAULT_DAYS + 1))
    if first > last:
        raise ApiError(400, "bad_period", "The period ends before it begins.")
    if (last - first).days >= MOST_DAYS:
        raise ApiError(400, "bad_period", f"The period is longer than {MOST_DAYS} days.")
    return Period(first, last)


Days = Annotated[Period, Depends(period)]


def require_admin(asking: Principal) -> None:
    """Raises ApiError."""
    if "admin" not in asking.scopes:
        raise ApiError(403, "admin_only", "This needs the admin scope.")


async def whose(
    asking: Asking,
    user: Name = None,
    all_users: Annotated[bool, Query(description="Everybody's numbers; needs the admin scope.")] = False,
) -> str | None:
    """The owner whose numbers are asked for, None for everybody's. Others' are for administrators. Raises ApiError."""
    if all_users or user not in (None, asking.owner):
        require_admin(asking)
    return None if all_users else user or asking.owner


Whose = Annotated[str | None, Depends(whose)]

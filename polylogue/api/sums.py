"""Sums of the daily tables by what was asked for, as SQL; the names in it come from closed lists of the routes'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.rows import dict_row
from psycopg.sql import SQL, Composed, Identifier

from polylogue.api.errors import ApiError
from polylogue.api.parameters import Period
from polylogue.api.submissions import Pool

MOST_ROWS = 10_000

Row = dict[str, Any]


async def summed(
    pool: Pool,
    table: str,
    by: Mapping[str, str],
    numbers: Sequence[str],
    *,
    period: Period,
    owner: str | None,
) -> list[Row]:
    """One row a combination of the values of `by` (name in the answer → column), in their order.

    `owner` None means everybody. Raises ApiError where there are too many.
    """
    async with pool.connection() as connection, connection.cursor(row_factory=dict_row) as rows:
        await rows.execute(
            _statement(table, by, numbers, everybody=owner is None),
            {"first": period.first, "last": period.last, "owner": owner, "limit": MOST_ROWS + 1},
        )
        found = await rows.fetchall()
    if len(found) > MOST_ROWS:
        raise ApiError(
            400, "too_many_rows", f"These are more than {MOST_ROWS} rows; ask for fewer days or columns."
        )
    # Postgres sums bigint as numeric.
    return [row | {name: int(row[name]) for name in numbers} for row in found]


def _statement(table: str, by: Mapping[str, str], numbers: Sequence[str], *, everybody: bool) -> Composed:
    keys = [SQL("{} AS {}").format(Identifier(column), Identifier(name)) for name, column in by.items()]
    totals = [SQL("sum({name}) AS {name}").format(name=Identifier(name)) for name in numbers]
    columns = SQL(", ").join(map(Identifier, by.values()))
    return SQL(
        "SELECT {shown} FROM {table} WHERE day BETWEEN %(first)s AND %(last)s{owner}"
        " GROUP BY {columns} ORDER BY {columns} LIMIT %(limit)s"
    ).format(
        shown=SQL(", ").join([*keys, *totals]),
        table=Identifier(table),
        owner=SQL("") if everybody else SQL(" AND owner_id = %(owner)s"),
        columns=columns,
    )

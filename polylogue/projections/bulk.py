"""How a rebuild writes: rows of conversations that it meets for the first time by COPY, all others as live does."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from operator import itemgetter
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.sql import SQL, Composed, Identifier

from polylogue.projections.rows import Row, RowChanges, Table
from polylogue.projections.statements import Statement, columns, insertion, statements, storable


async def copy_new(connection: AsyncConnection[Any], changes: RowChanges, known: AbstractSet[str]) -> None:
    """For tables that nobody reads yet, by a session that its successor may end.

    Rows of a conversation without a stored state cannot be there, so that COPY needs no merge. Measured against
    `INSERT … SELECT FROM unnest` for all rows, in CPU time: of a log of all kinds of events 17 µs an event instead of
    22 here and 6 instead of 8 in Postgres; of a log of text, which folds to few rows, 7.4 instead of 7.7, and 0.4
    instead of 0.5.
    """
    fresh = {table: _take_fresh(table, changes, known) for table in changes.rows}
    for table in sorted(fresh, key=lambda table: table.name):
        if fresh[table]:
            await _copy(connection, table, fresh[table])
    for statement in statements(changes):
        await connection.execute(statement.sql, statement.parameters)


def _take_fresh(table: Table, changes: RowChanges, known: AbstractSet[str]) -> list[Row]:
    rows = changes.rows[table]
    # Removals and blanks come after the COPY, and must not touch rows that were written after them.
    kept = known | changes.removals.get(table, set()) | changes.blanks.get(table, {}).keys()
    fresh = sorted(
        ((key, row) for key, row in rows.items() if row.whole and row.conversation_id not in kept),
        key=itemgetter(0),
    )
    for key, _ in fresh:
        del rows[key]
    return [row for _, row in fresh]


async def _copy(connection: AsyncConnection[Any], table: Table, rows: Sequence[Row]) -> None:
    names = tuple(table.columns)
    try:
        async with connection.transaction(), connection.cursor() as cursor:
            async with cursor.copy(_copying(table)) as copy:
                for row in rows:
                    await copy.write_row([storable(row.values[name]) for name in names])
    except psycopg.errors.UniqueViolation:
        # An id that two conversations claim: the later one counts, as it does live.
        statement = Statement(insertion(table), columns(rows, names))
        await connection.execute(statement.sql, statement.parameters)


@cache
def _copying(table: Table) -> Composed:
    return SQL("COPY {} ({}) FROM STDIN").format(
        Identifier(table.name), SQL(", ").join(map(Identifier, table.columns))
    )

"""Tables in memory that carry out row changes as Postgres does, and the fold of a log cut into batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from polylogue.projections.protocol import Projection
from polylogue.projections.reduction import reduce
from polylogue.projections.rows import Append, RowChanges, Table
from polylogue.schemas.conversation_state import ConversationState
from polylogue.schemas.envelope import Event

Rows = dict[Any, dict[str, Any]]  # by key
Tables = dict[str, Rows]


def carry_out(tables: Tables, changes: RowChanges) -> None:
    for table, conversations in changes.removals.items():
        rows = _rows(tables, table)
        for key in [key for key, row in rows.items() if row["conversation_id"] in conversations]:
            del rows[key]
    for table, blanks in changes.blanks.items():
        for row in _rows(tables, table).values():
            row.update(blanks.get(row["conversation_id"], {}))
    for table, pending in changes.rows.items():
        rows = _rows(tables, table)
        for key, change in pending.items():
            if change.whole:
                kept = {column: rows[key][column] for column in table.kept} if key in rows else {}
                rows[key] = change.values | kept
            elif key in rows:
                for column, value in change.values.items():
                    before = rows[key][column] or ""
                    rows[key][column] = before + value.text if isinstance(value, Append) else value
    for table, sums in changes.sums.items():
        rows = _rows(tables, table)
        for key, numbers in sums.items():
            row = rows.setdefault(key, {})
            for column, number in numbers.items():
                row[column] = row.get(column, 0) + number


def build(projection: Projection, batches: Iterable[Sequence[tuple[int, Event]]]) -> Tables:
    """The tables after all batches, each folded apart from the others."""
    states: dict[str, ConversationState] = {}
    tables: Tables = {table.name: {} for table in projection.tables}
    for batch in batches:
        visible = [
            seen
            for seen in reduce(states, batch, partition=0)
            if type(seen.event.data) in projection.handles or seen.turn is not None
        ]
        carry_out(tables, projection.apply(visible))
    return tables


def _rows(tables: Tables, table: Table) -> Rows:
    return tables.setdefault(table.name, {})

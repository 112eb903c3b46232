"""Row changes → set-based SQL: a few statements a batch, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from operator import itemgetter

from psycopg.sql import SQL, Composed, Identifier

from polylogue.projections.rows import ON_CONVERSATION, Append, Change, Row, RowChanges, Scalar, Table

_NULL_CHARACTER = "\x00"
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class Statement:
    sql: Composed | SQL
    parameters: Sequence[object]


def statements(changes: RowChanges) -> Iterator[Statement]:
    """In the order in which they must be executed. Rows come sorted by key, so that no two copies can deadlock."""
    for table, conversations in changes.removals.items():
        yield Statement(_removal(table.name), [sorted(conversations)])
    for table, blanks in changes.blanks.items():
        for conversation_id, values in sorted(blanks.items()):
            shape = tuple(sorted(values))
            yield Statement(_blank(table.name, shape), [*(values[name] for name in shape), conversation_id])
    for table, rows in changes.rows.items():
        whole = sorted((key, row) for key, row in rows.items() if row.whole) if rows else []
        if whole:
            yield Statement(_insert(table), _columns([row for _, row in whole], tuple(table.columns)))
        yield from _updates(table, {key: row for key, row in rows.items() if not row.whole})
    for refresh, keys in changes.refreshes.items():
        # The text is a constant of the projection's module.
        yield Statement(SQL(refresh.sql), [sorted(keys)])


def _updates(table: Table, rows: dict[str, Row]) -> Iterator[Statement]:
    shaped = sorted(
        (
            tuple(sorted((name, isinstance(value, Append)) for name, value in row.values.items())),
            key,
            row,
        )
        for key, row in rows.items()
        if row.values
    )
    for shape, group in groupby(shaped, key=itemgetter(0)):
        members = list(group)
        names = tuple(name for name, _ in shape)
        yield Statement(
            _update(table, shape),
            [[key for _, key, _ in members], *_columns([row for _, _, row in members], names)],
        )


def _columns(rows: Sequence[Row], names: tuple[str, ...]) -> list[list[Scalar]]:
    return [[_storable(row.values[name]) for row in rows] for name in names]


def _storable(value: Change) -> Scalar:
    """The value as Postgres can hold it: its text has no null character, models send one now and then."""
    scalar = value.text if isinstance(value, Append) else value
    return scalar.replace(_NULL_CHARACTER, _REPLACEMENT) if isinstance(scalar, str) else scalar


@cache
def _insert(table: Table) -> Composed:
    replaced = [name for name in table.columns if name != table.key and name not in table.kept]
    return SQL(
        "INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays}) "
        "ON CONFLICT ({key}) DO UPDATE SET {assignments}"
    ).format(
        table=Identifier(table.name),
        columns=SQL(", ").join(map(Identifier, table.columns)),
        arrays=_arrays(table, tuple(table.columns)),
        key=Identifier(table.key),
        assignments=SQL(", ").join(
            SQL("{name} = EXCLUDED.{name}").format(name=Identifier(name)) for name in replaced
        ),
    )


@cache
def _update(table: Table, shape: tuple[tuple[str, bool], ...]) -> Composed:
    names = tuple(name for name, _ in shape)
    return SQL(
        "UPDATE {table} AS t SET {assignments} FROM unnest({arrays}) AS u(row_key, {columns}) "
        "WHERE t.{key} = u.row_key"
    ).format(
        table=Identifier(table.name),
        assignments=SQL(", ").join(
            SQL("{name} = coalesce(t.{name}, '') || u.{name}" if appended else "{name} = u.{name}").format(
                name=Identifier(name)
            )
            for name, appended in shape
        ),
        arrays=SQL(", ").join([_array(table.columns[table.key]), _arrays(table, names)]),
        columns=SQL(", ").join(map(Identifier, names)),
        key=Identifier(table.key),
    )


@cache
def _blank(table_name: str, shape: tuple[str, ...]) -> Composed:
    return SQL("UPDATE {table} SET {assignments} WHERE {conversation} = %s").format(
        table=Identifier(table_name),
        assignments=SQL(", ").join(SQL("{} = %s").format(Identifier(name)) for name in shape),
        conversation=Identifier(ON_CONVERSATION),
    )


@cache
def _removal(table_name: str) -> Composed:
    return SQL("DELETE FROM {table} WHERE {conversation} = ANY(%s)").format(
        table=Identifier(table_name), conversation=Identifier(ON_CONVERSATION)
    )


def _arrays(table: Table, names: tuple[str, ...]) -> Composed:
    return SQL(", ").join(_array(table.columns[name]) for name in names)


def _array(postgres_type: str) -> Composed:
    # The type is a constant of the projection's module.
    return SQL("%s::{}[]").format(SQL(postgres_type))

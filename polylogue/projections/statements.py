"""Row changes → set-based SQL: a few statements a batch, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from psycopg.sql import SQL, Composed, Identifier

from polylogue.projections.rows import (
    ON_CONVERSATION,
    Add,
    Append,
    Change,
    Key,
    Row,
    RowChanges,
    Scalar,
    Table,
)

_NULL_CHARACTER = "\x00"
_REPLACEMENT = "\ufffd"
_CHANGED = {
    Append: "{name} = coalesce(t.{name}, '') || u.{name}",
    Add: "{name} = coalesce(t.{name}, 0) + u.{name}",
    type(None): "{name} = u.{name}",
}

Kind = type[Append] | type[Add] | type[None]
Shape = tuple[tuple[str, Kind], ...]


@dataclass(frozen=True)
class Statement:
    sql: Composed | SQL
    parameters: Sequence[object]


def statements(changes: RowChanges) -> Iterator[Statement]:
    """In the order in which they must be executed. Tables and rows come sorted, so that no two copies can deadlock."""
    for table, conversations in changes.removals.items():
        yield Statement(_removal(table.name), [sorted(conversations)])
    for table, blanks in changes.blanks.items():
        for conversation_id, values in sorted(blanks.items()):
            shape = tuple(sorted(values))
            yield Statement(_blank(table.name, shape), [*(values[name] for name in shape), conversation_id])
    for table, rows in _by_name(changes.rows):
        whole = sorted(((key, row) for key, row in rows.items() if row.whole), key=itemgetter(0))
        if whole:
            yield Statement(insertion(table), columns([row for _, row in whole], tuple(table.columns)))
        yield from _updates(table, {key: row for key, row in rows.items() if not row.whole})
    for table, sums in _by_name(changes.sums):
        yield Statement(_addition(table), _sums(table, sums))
    for refresh, keys in changes.refreshes.items():
        # The text is a constant of the projection's module.
        yield Statement(SQL(refresh.sql), [sorted(keys)])


def _by_name(tables: Mapping[Table, Any]) -> Iterable[tuple[Table, Any]]:
    return sorted(((table, rows) for table, rows in tables.items() if rows), key=lambda one: one[0].name)


def _updates(table: Table, rows: dict[Key, Row]) -> Iterator[Statement]:
    shaped = sorted(
        (
            (tuple(sorted((name, _kind(value).__name__) for name, value in row.values.items())), key, row)
            for key, row in rows.items()
            if row.values
        ),
        key=itemgetter(0, 1),
    )
    for _, group in groupby(shaped, key=itemgetter(0)):
        members = list(group)
        shape = tuple(sorted((name, _kind(value)) for name, value in members[0][2].values.items()))
        names = tuple(name for name, _ in shape)
        keys = [key if isinstance(key, tuple) else (key,) for _, key, _ in members]
        yield Statement(
            _update(table, shape),
            [
                *(list(column) for column in zip(*keys, strict=True)),
                *columns([row for _, _, row in members], names),
            ],
        )


def _kind(value: Change) -> Kind:
    return type(value) if isinstance(value, Append | Add) else type(None)


def columns(rows: Sequence[Row], names: tuple[str, ...]) -> list[list[Scalar]]:
    """The values of the rows, column by column."""
    return [[storable(row.values[name]) for row in rows] for name in names]


def _sums(table: Table, sums: Mapping[tuple[Scalar, ...], Mapping[str, int]]) -> list[list[Scalar]]:
    ordered = sorted(sums.items(), key=itemgetter(0))
    keys = [[storable(key[place]) for key, _ in ordered] for place in range(len(table.keys))]
    added = [name for name in table.columns if name not in table.keys]
    numbers: list[list[Scalar]] = [[row.get(name, 0) for _, row in ordered] for name in added]
    return [*keys, *numbers]


def storable(value: Change) -> Scalar:
    """The value as Postgres can hold it: its text has no null character, models send one now and then."""
    if isinstance(value, str):
        return value.replace(_NULL_CHARACTER, _REPLACEMENT) if _NULL_CHARACTER in value else value
    if isinstance(value, Append):
        return storable(value.text)
    return value.number if isinstance(value, Add) else value


@cache
def insertion(table: Table) -> Composed:
    """Inserts rows given as arrays, or replaces those that are there."""
    replaced = [name for name in table.columns if name not in table.keys and name not in table.kept]
    return _insert(table, tuple(table.columns), "{name} = EXCLUDED.{name}", replaced)


@cache
def _addition(table: Table) -> Composed:
    added = [name for name in table.columns if name not in table.keys]
    return _insert(table, (*table.keys, *added), "{name} = t.{name} + EXCLUDED.{name}", added)


def _insert(table: Table, names: tuple[str, ...], assignment: str, changed: Sequence[str]) -> Composed:
    conflict = SQL("DO UPDATE SET {}" if changed else "DO NOTHING")
    return SQL(
        "INSERT INTO {table} AS t ({columns}) SELECT * FROM unnest({arrays}) ON CONFLICT ({key}) {conflict}"
    ).format(
        table=Identifier(table.name),
        columns=SQL(", ").join(map(Identifier, names)),
        arrays=_arrays(table, names),
        key=SQL(", ").join(map(Identifier, table.keys)),
        conflict=conflict.format(
            SQL(", ").join(SQL(assignment).format(name=Identifier(name)) for name in changed)
        ),
    )


@cache
def _update(table: Table, shape: Shape) -> Composed:
    names = tuple(name for name, _ in shape)
    keys = [Identifier(f"key_{place}") for place, _ in enumerate(table.keys)]
    return SQL(
        "UPDATE {table} AS t SET {assignments} FROM unnest({arrays}) AS u({keys}, {columns}) WHERE {match}"
    ).format(
        table=Identifier(table.name),
        assignments=SQL(", ").join(SQL(_CHANGED[kind]).format(name=Identifier(name)) for name, kind in shape),
        arrays=_arrays(table, (*table.keys, *names)),
        keys=SQL(", ").join(keys),
        columns=SQL(", ").join(map(Identifier, names)),
        match=SQL(" AND ").join(
            SQL("t.{} = u.{}").format(Identifier(name), key)
            for name, key in zip(table.keys, keys, strict=True)
        ),
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
    # The types are constants of the projection's module.
    return SQL(", ").join(SQL("%s::{}[]").format(SQL(table.type_of(name))) for name in names)

"""Declared tables → SQL: one schema a version of a projection, and the views through which readers see one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import msgspec
from psycopg.sql import SQL, Composed, Identifier

from polylogue.projections.protocol import Projection
from polylogue.projections.rows import Table

_LONGEST_NAME = 63  # Postgres cuts longer ones


def version_schema(database_schema: str, projection: str, version: int) -> str:
    """The Postgres schema of a version's tables."""
    name = f"{database_schema}__{projection}_v{version}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{database_schema[:20]}_{digest}_{projection[:20]}_v{version}"


def declaration(projection: Projection) -> str:
    """A digest of the tables as the code declares them: two versions of the code that differ in it write other rows."""
    told = [
        [
            table.name,
            table.keys,
            list(table.columns.items()),
            list(table.derived.items()),
            table.readers_indexes + table.indexes,
        ]
        for table in projection.tables
    ]
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def creation(schema: str, tables: Sequence[Table]) -> Iterator[Composed]:
    """The schema with its tables and the indexes that a projector needs; `indexing` makes the others."""
    yield SQL("CREATE SCHEMA {}").format(Identifier(schema))
    for table in tables:
        place = Identifier(schema, table.name)
        # Definitions and indexes are constants of the projection's module.
        columns = [
            SQL("{} {}").format(Identifier(name), SQL(definition))
            for name, definition in {**table.columns, **table.derived}.items()
        ]
        yield SQL("CREATE TABLE {} ({}, PRIMARY KEY ({}))").format(
            place, SQL(", ").join(columns), SQL(", ").join(map(Identifier, table.keys))
        )
        for index in table.indexes:
            yield SQL("CREATE INDEX ON {} {}").format(place, SQL(index))


def indexing(schema: str, tables: Sequence[Table]) -> Iterator[Composed]:
    """The indexes that only readers need, where they are missing: quicker made of a full table than kept while it fills."""
    for table in tables:
        for number, index in enumerate(table.readers_indexes, 1):
            yield SQL("CREATE INDEX IF NOT EXISTS {} ON {} {}").format(
                Identifier(f"{table.name}_readers_{number}"), Identifier(schema, table.name), SQL(index)
            )


def dropping(schema: str) -> Composed:
    """With every view on its tables."""
    return SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(schema))


def view(database_schema: str, schema: str, table: Table) -> Composed:
    """What readers know the table by; its columns are named and typed, so that it is as declared whatever is below."""
    columns = [
        SQL("{name}::{type} AS {name}").format(name=Identifier(name), type=SQL(table.type_of(name)))
        for name in (*table.columns, *table.derived)
    ]
    return SQL("CREATE VIEW {} AS SELECT {} FROM {}").format(
        Identifier(database_schema, table.name), SQL(", ").join(columns), Identifier(schema, table.name)
    )


def without_view(database_schema: str, table_name: str) -> Composed:
    return SQL("DROP VIEW IF EXISTS {}").format(Identifier(database_schema, table_name))

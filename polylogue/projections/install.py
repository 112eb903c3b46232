"""Gives every projection of the code its first tables, so that readers find their views before anything was built."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import Connection

from polylogue.projections.protocol import Projection
from polylogue.projections.tables_sql import (
    creation,
    declaration,
    dropping,
    indexing,
    version_schema,
    view,
    without_view,
)


def install(connection: Connection[Any], database_schema: str, projections: Iterable[Projection]) -> None:
    """Runs in the caller's transaction, whose search path is DATABASE_SCHEMA. Never touches tables that were read into."""
    newest: dict[str, Projection] = {}
    for projection in projections:
        known = newest.get(projection.name)
        newest[projection.name] = projection if known is None or known.version < projection.version else known
    for projection in newest.values():
        row = connection.execute(
            "SELECT v.version, v.schema_name, EXISTS (SELECT FROM projection_checkpoints AS c"
            "   WHERE (c.projection, c.version) = (v.projection, v.version) AND c.next_offset > 0)"
            " FROM projection_versions AS v WHERE v.projection = %s AND v.state = 'promoted'",
            [projection.name],
        ).fetchone()
        if row is None:
            _promote_empty(connection, database_schema, projection)
        elif row[0] < projection.version and not row[2]:
            # Nothing was ever built: there is nobody to keep the former version for.
            connection.execute(dropping(row[1]))
            for table in ("projection_versions", "projection_checkpoints"):
                connection.execute(
                    f"DELETE FROM {table} WHERE projection = %s AND version = %s",  # noqa: S608
                    [projection.name, row[0]],
                )
            _promote_empty(connection, database_schema, projection)


def _promote_empty(connection: Connection[Any], database_schema: str, projection: Projection) -> None:
    """The tables of a projection that has none: what is read from now on comes from here, and the projector fills it."""
    schema = version_schema(database_schema, projection.name, projection.version)
    # One that was being built gives way; it is filled anew.
    connection.execute(dropping(schema))
    connection.execute(
        "DELETE FROM projection_checkpoints WHERE projection = %s AND version = %s",
        [projection.name, projection.version],
    )
    connection.execute(
        "DELETE FROM projection_states WHERE projection = %s AND version = %s",
        [projection.name, projection.version],
    )
    for statement in (*creation(schema, projection.tables), *indexing(schema, projection.tables)):
        connection.execute(statement)
    for table in projection.tables:
        connection.execute(without_view(database_schema, table.name))
        connection.execute(view(database_schema, schema, table))
    connection.execute(
        "INSERT INTO projection_versions (projection, version, schema_name, declaration, state, promoted_at)"
        " VALUES (%(name)s, %(version)s, %(schema)s, %(declaration)s, 'promoted', now())"
        " ON CONFLICT (projection, version) DO UPDATE SET state = 'promoted', declaration = %(declaration)s",
        {
            "name": projection.name,
            "version": projection.version,
            "schema": schema,
            "declaration": declaration(projection),
        },
    )

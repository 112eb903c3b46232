"""Each version of a projection in a schema of its own; readers go through views of the tables' former names."""

from __future__ import annotations

import hashlib

from alembic import op
from sqlalchemy import text

revision = "0006"
down_revision = "0005"

# As they stood at this revision; all that they hold moves with them.
MOVED = {
    "conversations": ("conversations", "conversation_turns"),
    "conversation_messages": ("conversation_messages", "conversation_message_media"),
    "media_objects": ("media_objects",),
}


def upgrade() -> None:
    schema = op.get_bind().scalar(text("SELECT current_schema()"))
    op.execute(
        """
        CREATE TABLE projection_versions (
            projection text NOT NULL,
            version integer NOT NULL,
            schema_name text NOT NULL UNIQUE,
            declaration text,
            state text NOT NULL CHECK (state IN ('building', 'ready', 'promoted', 'retained')),
            paused boolean NOT NULL DEFAULT false,
            orders bigint NOT NULL DEFAULT 0,
            created_at timestamptz NOT NULL DEFAULT now(),
            promoted_at timestamptz,
            PRIMARY KEY (projection, version)
        );
        COMMENT ON COLUMN projection_versions.orders IS
            'rises with every order of an operator, so that running projectors notice it';
        CREATE UNIQUE INDEX projection_versions_promoted ON projection_versions (projection) WHERE state = 'promoted';
        CREATE TABLE projection_skips (
            projection text NOT NULL,
            version integer NOT NULL,
            log_id text NOT NULL,
            "partition" integer NOT NULL,
            "offset" bigint NOT NULL,
            why text NOT NULL,
            decided_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (projection, version, log_id, "partition", "offset")
        );
        COMMENT ON COLUMN projection_skips.version IS '0: every version';
        CREATE TABLE projection_stops (
            projection text NOT NULL,
            version integer NOT NULL,
            "partition" integer NOT NULL,
            "offset" bigint NOT NULL,
            reason text NOT NULL,
            stopped_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (projection, version, "partition")
        );
        CREATE TABLE projection_builders (
            projection text NOT NULL,
            version integer NOT NULL,
            token text NOT NULL,
            pid integer NOT NULL,
            backend_start timestamptz NOT NULL,
            PRIMARY KEY (projection, version, pid)
        );
        COMMENT ON TABLE projection_builders IS
            'the sessions of the rebuild under way, so that its successor can end them wherever they stand';
        """
    )
    op.execute(
        "CREATE INDEX conversations_parent ON conversations (parent_conversation_id)"
        " WHERE parent_conversation_id IS NOT NULL"
    )
    for projection, tables in MOVED.items():
        moved = _schema_name(str(schema), projection)
        op.execute(f'CREATE SCHEMA "{moved}"')
        for table in tables:
            columns = _columns(table)
            op.execute(f'ALTER TABLE "{table}" SET SCHEMA "{moved}"')
            # Names of this file's and of the settings', which allow lower-case identifiers only.
            op.execute(f'CREATE VIEW "{schema}"."{table}" AS SELECT {columns} FROM "{moved}"."{table}"')  # noqa: S608
        op.execute(
            "INSERT INTO projection_versions (projection, version, schema_name, state, promoted_at)"  # noqa: S608
            f" VALUES ('{projection}', 1, '{moved}', 'promoted', now())"
        )


def downgrade() -> None:
    bind = op.get_bind()
    schema = bind.scalar(text("SELECT current_schema()"))
    versions = bind.execute(
        text("SELECT projection, version, schema_name FROM projection_versions")
    ).fetchall()
    kept = {(projection, 1) for projection in MOVED}
    missing = sorted(kept - {(row.projection, row.version) for row in versions})
    if missing:
        raise RuntimeError(
            f"version 1 of {missing[0][0]} was pruned, and the tables before this revision can hold no other:"
            " let them be built anew by going back to base and forward again."
        )
    for row in versions:
        if (row.projection, row.version) not in kept:
            op.execute(f'DROP SCHEMA IF EXISTS "{row.schema_name}" CASCADE')
            values = {"projection": row.projection, "version": row.version}
            for table in ("projection_checkpoints", "projection_states"):
                bind.execute(
                    text(f"DELETE FROM {table} WHERE projection = :projection AND version = :version"),  # noqa: S608
                    values,
                )
            continue
        for table in MOVED[row.projection]:
            op.execute(f'DROP VIEW IF EXISTS "{table}"')
            op.execute(f'ALTER TABLE "{row.schema_name}"."{table}" SET SCHEMA "{schema}"')
        op.execute(f'DROP SCHEMA "{row.schema_name}" CASCADE')
    op.execute("DROP INDEX conversations_parent")
    op.execute("DROP TABLE projection_builders, projection_stops, projection_skips, projection_versions")


def _schema_name(schema: str, projection: str) -> str:
    name = f"{schema}__{projection}_v1"
    if len(name) <= 63:
        return name
    return f"{schema[:20]}_{hashlib.sha256(name.encode()).hexdigest()[:12]}_{projection[:20]}_v1"


def _columns(table: str) -> str:
    found = op.get_bind().execute(
        text(
            "SELECT format('%I::%s AS %I', attname, format_type(atttypid, atttypmod), attname) FROM pg_attribute"
            " WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        ),
        {"table": table},
    )
    return ", ".join(found.scalars())

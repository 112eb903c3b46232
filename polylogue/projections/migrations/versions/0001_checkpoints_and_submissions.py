"""Where each projection stands, what its reducer remembers, and what the API has accepted."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE projection_checkpoints (
            projection text NOT NULL,
            version integer NOT NULL,
            "partition" integer NOT NULL,
            log_id text NOT NULL,
            next_offset bigint NOT NULL CHECK (next_offset >= 0),
            PRIMARY KEY (projection, version, "partition")
        );
        CREATE TABLE projection_states (
            projection text NOT NULL,
            version integer NOT NULL,
            conversation_id text NOT NULL,
            "partition" integer NOT NULL,
            state json NOT NULL,
            PRIMARY KEY (projection, version, conversation_id)
        );
        CREATE TABLE submissions (
            owner_id text NOT NULL,
            idempotency_key text NOT NULL,
            body_hash text NOT NULL,
            conversation_id text NOT NULL,
            turn_id text NOT NULL UNIQUE,
            first_sent_at timestamptz NOT NULL,
            command_partition integer,
            command_offset bigint,
            events_offset bigint,
            PRIMARY KEY (owner_id, idempotency_key)
        );
        CREATE INDEX submissions_conversation_id ON submissions (conversation_id);
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE submissions, projection_states, projection_checkpoints")

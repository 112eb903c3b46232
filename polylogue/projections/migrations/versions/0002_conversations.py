"""The list of conversations and their turns."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE conversations (
            conversation_id text PRIMARY KEY,
            owner_id text NOT NULL,
            title text NOT NULL,
            pinned boolean NOT NULL,
            share_id text,
            parent_conversation_id text,
            parent_turn_id text,
            "partition" integer NOT NULL,
            first_offset bigint NOT NULL,
            last_turn_id text,
            turn_running boolean NOT NULL,
            deleted boolean NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL
        );
        CREATE INDEX conversations_of_owner ON conversations (owner_id, updated_at DESC, conversation_id)
            WHERE NOT deleted;
        CREATE TABLE conversation_turns (
            turn_id text PRIMARY KEY,
            conversation_id text NOT NULL,
            owner_id text NOT NULL,
            prompt text NOT NULL,
            system text,
            round integer NOT NULL,
            start_offset bigint NOT NULL,
            finished boolean NOT NULL,
            created_at timestamptz NOT NULL,
            completed_at timestamptz
        );
        CREATE INDEX conversation_turns_of_conversation ON conversation_turns (conversation_id, start_offset);
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE conversation_turns, conversations")

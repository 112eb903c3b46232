"""What rounds, breakouts, attachments and repeated submissions need: where a turn began, whose past is shared, what was sent."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE conversations ADD COLUMN parent_model_id text;
        ALTER TABLE conversation_turns ADD COLUMN first_offset bigint;
        ALTER TABLE conversation_messages ADD COLUMN attachments json;
        ALTER TABLE submissions
            ADD COLUMN round integer NOT NULL DEFAULT 1,
            ADD COLUMN last_response integer NOT NULL DEFAULT 0,
            ADD COLUMN command bytea,
            DROP CONSTRAINT submissions_turn_id_key;
        CREATE UNIQUE INDEX submissions_round ON submissions (turn_id, round);
        CREATE INDEX submissions_first_sent_at ON submissions (first_sent_at);
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DELETE FROM submissions WHERE round <> 1;
        DROP INDEX submissions_first_sent_at, submissions_round;
        ALTER TABLE submissions
            DROP COLUMN command, DROP COLUMN last_response, DROP COLUMN round,
            ADD CONSTRAINT submissions_turn_id_key UNIQUE (turn_id);
        ALTER TABLE conversation_messages DROP COLUMN attachments;
        ALTER TABLE conversation_turns DROP COLUMN first_offset;
        ALTER TABLE conversations DROP COLUMN parent_model_id;
        """
    )

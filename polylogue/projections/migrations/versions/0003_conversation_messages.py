"""Prompts and answers with `media_urls`, and the media of each answer in their order."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE conversation_messages (
            message_id text PRIMARY KEY,
            conversation_id text NOT NULL,
            turn_id text NOT NULL,
            owner_id text NOT NULL,
            role text NOT NULL CHECK (role IN ('user', 'assistant')),
            model_id text,
            content text NOT NULL,
            reasoning text,
            media_urls json,
            status text NOT NULL,
            finish_reason text,
            error_class text,
            error_message text,
            retryable boolean,
            usage json,
            cost_usd_micros bigint,
            time_to_first_token_ms integer,
            duration_ms integer,
            position integer NOT NULL,
            attempt integer NOT NULL,
            created_at timestamptz NOT NULL,
            completed_at timestamptz
        );
        CREATE INDEX conversation_messages_of_conversation
            ON conversation_messages (conversation_id, turn_id, position);
        CREATE TABLE conversation_message_media (
            media_id text PRIMARY KEY,
            conversation_id text NOT NULL,
            message_id text NOT NULL,
            position integer NOT NULL,
            status text NOT NULL,
            type text NOT NULL,
            url text,
            key text,
            format text,
            content_type text,
            size_bytes bigint,
            sha256 text,
            width integer,
            height integer,
            duration_ms integer,
            renditions json
        );
        CREATE INDEX conversation_message_media_of_message
            ON conversation_message_media (message_id, position);
        CREATE INDEX conversation_message_media_of_conversation
            ON conversation_message_media (conversation_id);
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE conversation_message_media, conversation_messages")

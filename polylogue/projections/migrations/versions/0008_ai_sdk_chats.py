"""Chats of the AI SDK: which conversation is meant by the name that a client made up, and which turn by a message."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE ai_sdk_chats (
            owner_id text NOT NULL,
            chat_id text NOT NULL,
            conversation_id text NOT NULL,
            changed_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (owner_id, chat_id)
        );
        COMMENT ON TABLE ai_sdk_chats IS 'clients name chats themselves, so that two owners may use one name';
        CREATE TABLE ai_sdk_messages (
            owner_id text NOT NULL,
            chat_id text NOT NULL,
            message_id text NOT NULL,
            conversation_id text NOT NULL,
            turn_id text NOT NULL,
            PRIMARY KEY (owner_id, chat_id, message_id),
            FOREIGN KEY (owner_id, chat_id) REFERENCES ai_sdk_chats ON DELETE CASCADE
        );
        COMMENT ON COLUMN ai_sdk_messages.message_id IS 'of a message of the user, which became the prompt of the turn';
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE ai_sdk_messages, ai_sdk_chats")

"""Every medium that a model announced, and what became of it."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE media_objects (
            media_id text PRIMARY KEY,
            conversation_id text NOT NULL,
            turn_id text NOT NULL,
            response_id text NOT NULL,
            owner_id text NOT NULL,
            model_id text NOT NULL,
            media_type text NOT NULL CHECK (media_type IN ('image', 'audio', 'video')),
            status text NOT NULL CHECK (status IN (
                'generating', 'uploading', 'refused', 'stored', 'rejected', 'failed', 'expired', 'deleted')),
            key text,
            url text,
            format text,
            content_type text,
            declared_content_type text,
            size_bytes bigint,
            sha256 text,
            width integer,
            height integer,
            duration_ms integer,
            reason text,
            message text,
            retry integer NOT NULL,
            position integer NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL
        );
        CREATE INDEX media_objects_of_conversation ON media_objects (conversation_id, turn_id);
        CREATE INDEX media_objects_of_owner ON media_objects (owner_id, created_at DESC, media_id);
        CREATE INDEX media_objects_of_response ON media_objects (response_id, position);
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE media_objects")

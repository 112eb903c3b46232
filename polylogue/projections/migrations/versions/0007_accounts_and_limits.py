"""Who may use the API: users, keys, browser sessions, one-time secrets; and what everybody has used of their limits."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE users (
            owner_id text PRIMARY KEY,
            created_at timestamptz NOT NULL DEFAULT now(),
            disabled_at timestamptz
        );
        CREATE TABLE api_keys (
            key_id text PRIMARY KEY,
            owner_id text NOT NULL REFERENCES users,
            digest bytea NOT NULL,
            scopes text[] NOT NULL,
            label text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz,
            revoked_at timestamptz,
            successor text REFERENCES api_keys
        );
        COMMENT ON COLUMN api_keys.digest IS 'SHA-256 of a random secret of 256 bits; the secret itself is kept nowhere';
        CREATE INDEX api_keys_owner_id ON api_keys (owner_id);
        CREATE TABLE sessions (
            digest bytea PRIMARY KEY,
            owner_id text NOT NULL REFERENCES users,
            scopes text[] NOT NULL,
            key_id text REFERENCES api_keys,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL
        );
        COMMENT ON COLUMN sessions.key_id IS 'the key that it was exchanged for, and with which it ends';
        CREATE TABLE one_time_secrets (
            digest bytea PRIMARY KEY,
            kind text NOT NULL CHECK (kind IN ('link', 'ticket')),
            owner_id text NOT NULL REFERENCES users,
            scopes text[] NOT NULL,
            key_id text REFERENCES api_keys,
            session bytea REFERENCES sessions ON DELETE CASCADE,
            expires_at timestamptz NOT NULL
        );
        -- Counters of a minute: after a crash of the server they begin anew, and are not worth a write to its log.
        CREATE UNLOGGED TABLE request_windows (
            subject text PRIMARY KEY,
            minute bigint NOT NULL,
            requests bigint NOT NULL,
            bytes bigint NOT NULL
        ) WITH (fillfactor = 50);
        CREATE UNLOGGED TABLE open_streams (
            process text NOT NULL,
            subject text NOT NULL,
            streams integer NOT NULL,
            renewed_at timestamptz NOT NULL,
            PRIMARY KEY (subject, process)
        ) WITH (fillfactor = 50);
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE open_streams, request_windows, one_time_secrets, sessions, api_keys, users")

"""Runs the migrations on the connection, and within the transaction, that the caller hands over."""

from __future__ import annotations

from alembic import context

from polylogue.projections.migrate import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()

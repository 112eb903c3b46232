"""`polylogue tables`: brings the tables of the projections forward or back."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Bring the tables of DATABASE_SCHEMA forward or back.")


@app.command()
def upgrade(
    revision: Annotated[str, typer.Argument(help="The revision to reach.")] = "head",
) -> None:
    """Create what is missing and change what has changed; run it before newer processes start."""
    from polylogue.infra.settings import load_settings
    from polylogue.projections import migrate

    settings = load_settings()
    settings.require("database_url")
    migrate.upgrade(settings, revision)
    print(f"The tables in schema {settings.database_schema} are at revision {revision}.")


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="The revision to go back to; `base` removes every table.")],
) -> None:
    """Go back; the events stay in the log, and a replay builds the tables again."""
    from polylogue.infra.settings import load_settings
    from polylogue.projections import migrate

    settings = load_settings()
    settings.require("database_url")
    migrate.downgrade(settings, revision)
    print(f"The tables in schema {settings.database_schema} are back at revision {revision}.")

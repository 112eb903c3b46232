"""`polylogue tables`: brings the tables of DATABASE_SCHEMA forward or back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from polylogue.cli.problems import Problem, postgres_away
from polylogue.cli.servers_here import settings_here

if TYPE_CHECKING:
    from polylogue.infra.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Bring the tables of DATABASE_SCHEMA forward or back.")


@app.command()
def upgrade(
    revision: Annotated[str, typer.Argument(help="The revision to reach.")] = "head",
) -> None:
    """Create what is missing and change what has changed; run it before newer processes start."""
    from polylogue.projections import migrate

    schema = _carry_out(lambda settings: migrate.upgrade(settings, revision))
    print(f"The tables in schema {schema} are at revision {revision}.")


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="The revision to go back to; `base` removes every table.")],
    *,
    drop_accounts: Annotated[
        bool, typer.Option("--drop-accounts", help="Also where users and their keys go for good.")
    ] = False,
) -> None:
    """Go back. Conversations stay in the log, and a replay builds their tables again; users and keys do not."""
    from polylogue.projections import migrate

    try:
        schema = _carry_out(
            lambda settings: migrate.downgrade(settings, revision, drop_accounts=drop_accounts)
        )
    except migrate.AccountsWouldGoError as error:
        raise Problem(
            f"{error} They and their keys cannot be brought back; if so be it: --drop-accounts"
        ) from None
    print(f"The tables in schema {schema} are back at revision {revision}.")


def _carry_out(work: Callable[[Settings], None]) -> str:
    """The schema's name. Raises Problem."""
    from alembic.util import CommandError
    from sqlalchemy.exc import OperationalError

    settings = settings_here()
    settings.require("database_url")
    try:
        work(settings)
    except CommandError as error:
        raise Problem(f"The tables cannot get there: {error}.") from None
    except OperationalError as error:
        raise postgres_away(error) from None
    return settings.database_schema

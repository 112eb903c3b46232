"""Runs what a command of `polylogue projections` asks for, and says in a sentence what keeps it from being done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from polylogue.cli.problems import Problem, postgres_away
from polylogue.cli.servers_here import settings_here

if TYPE_CHECKING:
    from polylogue.infra.settings import Settings

T = TypeVar("T")

DIFFERENT = 1  # exit code: it was done, and the answer is no
INTERRUPTED = 130  # exit code: by Ctrl-C, as shells have it

Name = Annotated[str, typer.Argument(help="The projection, as `polylogue projections list` names it.")]
MaybeName = Annotated[str | None, typer.Argument(help="Only this projection.", show_default=False)]
Number = Annotated[
    int | None, typer.Option("--version", min=1, help="Its version; each command says which without it.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def carry_out(work: Callable[[Settings], Coroutine[Any, Any, T]], *, refused: int = 2) -> T:
    """The result of `work`. Raises Problem, with the exit code `refused` where what was asked for cannot be done."""
    import psycopg
    from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

    from polylogue.projections.operations import REFUSALS

    settings = settings_here()
    settings.require("kafka_bootstrap_servers", "database_url")
    try:
        return asyncio.run(work(settings))
    except REFUSALS as error:
        raise Problem(str(error), exit_code=refused) from None
    except psycopg.errors.UndefinedTable:
        raise Problem(
            f"Schema {settings.database_schema} has no tables of projections yet; make them with:"
            " polylogue tables upgrade"
        ) from None
    except psycopg.OperationalError as error:
        raise postgres_away(error) from None
    except UnknownTopicOrPartitionError:
        raise Problem(
            "There is no topic conversation-events yet; make it with: polylogue topics apply"
        ) from None
    except KafkaError as error:
        raise Problem(f"Kafka does not answer ({error}); is KAFKA_BOOTSTRAP_SERVERS right?") from None

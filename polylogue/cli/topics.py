"""`polylogue topics`: makes or checks the topics of the catalogue."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from polylogue.cli.asyncapi import asyncapi
from polylogue.cli.problems import Problem
from polylogue.cli.servers_here import settings_here

app = typer.Typer(
    no_args_is_help=True, help="Make the topics, check them against the catalogue, describe them."
)
app.command()(asyncapi)


@app.command()
def apply(
    partitions: Annotated[
        int | None,
        typer.Option(help="Partitions of commands and conversation-events; fixed once they exist.", min=1),
    ] = None,
    replication_factor: Annotated[int, typer.Option(help="Copies of each partition.", min=1)] = 1,
) -> None:
    """Create what is missing, and set what may be changed."""
    from polylogue.infra.topic_admin import apply_topics

    changes = asyncio.run(
        apply_topics(settings_here(), partitions=partitions, replication_factor=replication_factor)
    )
    for change in changes or ["Nothing to change: the topics are as the catalogue says."]:
        print(change)


@app.command()
def check() -> None:
    """Compare the topics with the catalogue; exit code 1 if they differ."""
    from polylogue.infra.topic_admin import check_topics

    findings = asyncio.run(check_topics(settings_here()))
    if findings:
        raise Problem("\n".join(findings), exit_code=1)
    print("The topics are as the catalogue says.")

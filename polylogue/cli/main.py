"""The `polylogue` command: its sub-commands, and what becomes of their errors."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from polylogue.cli import (
    ask,
    aws,
    child,
    costs,
    dlq,
    doctor,
    keys,
    media,
    problems,
    processes,
    projections,
    stack,
    tables,
    topics,
    usage,
    users,
    version,
    watch,
)
from polylogue.cli import run as everything

app = typer.Typer(
    name="polylogue",
    help="Several AI models answer one prompt side by side.\n\n"
    "Start everything with `polylogue run`, then ask with `polylogue ask` in a second terminal.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_USE, _LOOK, _PARTS = "Use it", "Look after it", "Its processes, one by one"

app.command(rich_help_panel=_USE)(everything.run)
app.command(rich_help_panel=_USE)(ask.ask)
app.command(rich_help_panel=_USE)(watch.watch)
app.command(rich_help_panel=_LOOK)(doctor.doctor)
app.add_typer(stack.app, name="stack", rich_help_panel=_LOOK)
app.add_typer(topics.app, name="topics", rich_help_panel=_LOOK)
app.add_typer(tables.app, name="tables", rich_help_panel=_LOOK)
app.add_typer(aws.app, name="aws", rich_help_panel=_LOOK)
app.command(rich_help_panel=_LOOK)(costs.costs)
app.add_typer(dlq.app, name="dlq", rich_help_panel=_LOOK)
app.add_typer(media.app, name="media", rich_help_panel=_LOOK)
app.add_typer(projections.app, name="projections", rich_help_panel=_LOOK)
app.add_typer(usage.app, name="usage", rich_help_panel=_LOOK)
app.add_typer(users.app, name="users", rich_help_panel=_LOOK)
app.add_typer(keys.app, name="keys", rich_help_panel=_LOOK)
app.command(rich_help_panel=_LOOK)(version.version)
app.command(rich_help_panel=_PARTS)(processes.api)
app.command(rich_help_panel=_PARTS)(processes.runner)
app.command(rich_help_panel=_PARTS)(processes.media_agent)
app.command(rich_help_panel=_PARTS)(processes.sweeper)
app.command(rich_help_panel=_PARTS)(processes.projector)
app.command(rich_help_panel=_PARTS)(processes.webhooks)
app.command(rich_help_panel=_PARTS)(processes.simulator)


@app.callback()
def _root(
    supervised_in: Annotated[
        str | None,
        typer.Option(hidden=True, help="The data dir of the `polylogue run` that started this process."),
    ] = None,
) -> None:
    if supervised_in is not None:
        child.declare()


def main() -> None:
    """The entry point. An expected problem is one sentence on standard error and exit code 2."""
    # What libraries have to say is for logs, and a process that keeps one replaces this.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        app()
    except Exception as error:  # whatever is not expected is raised again
        sentence = problems.sentence(error)
        if sentence is None:
            raise
        print(sentence, file=sys.stderr)
        sys.exit(problems.exit_code(error))


if __name__ == "__main__":
    main()

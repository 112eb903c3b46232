"""`polylogue stack`: the local servers without the rest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polylogue.cli.home import Home, home_directory
from polylogue.cli.problems import Problem

if TYPE_CHECKING:
    from polylogue.infra.local.stack import LocalStack

app = typer.Typer(no_args_is_help=True, help="Start and stop Kafka, PostgreSQL and S3 on this machine.")

DataDir = Annotated[
    Path | None, typer.Option(help="Where the data are kept [POLYLOGUE_HOME, else .polylogue].")
]


@app.command()
def up(data_dir: DataDir = None) -> None:
    """Start the servers, and print the settings that name them; they go on running."""
    import shlex

    from polylogue.infra.local.stack import environment

    for name, value in environment(_stack(home_directory(data_dir)).up()).items():
        print(f"export {name}={shlex.quote(value)}")


@app.command()
def down(data_dir: DataDir = None) -> None:
    """Stop the servers, and a `polylogue run` that uses them; the data stay."""
    _down(home_directory(data_dir))


@app.command()
def status(data_dir: DataDir = None) -> None:
    """Show which servers run; exit code 1 if one does not."""
    states = _stack(home_directory(data_dir)).status()
    for one in states:
        memory = f", {one.resident_bytes / 1e6:.0f} MB" if one.resident_bytes else ""
        process = f" (process {one.pid}{memory})" if one.pid else ""
        print(f"{one.name:9} {one.state:8} port {one.port or '-'}{process}")
    if any(one.state != "running" for one in states):
        raise typer.Exit(1)


@app.command()
def reset(
    data_dir: DataDir = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Stop the servers and delete every conversation and medium of this data dir."""
    directory = home_directory(data_dir)
    if not yes and not typer.confirm(f"Delete all conversations and media in {directory.resolve()}?"):
        raise Problem("Nothing was deleted.", exit_code=1)
    _down(directory)
    _stack(directory).reset()


def _down(directory: Path) -> None:
    if not directory.exists():
        return
    home = Home(directory)
    if home.stop_run():
        typer.echo("Stopped Polylogue", err=True)
    with home.held():
        home.clear_leftovers()
        home.unpublish()
        _stack(directory).down()


def _stack(directory: Path) -> LocalStack:
    from polylogue.infra.local.stack import LocalStack

    return LocalStack(directory, say=lambda line: typer.echo(line, err=True))

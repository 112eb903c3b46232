"""`polylogue api | runner | media-agent | sweeper | projector | webhooks | simulator`: one process of the system each."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polylogue.cli import child
from polylogue.cli.problems import Problem

if TYPE_CHECKING:
    from polylogue.infra.lifecycle import Main

_DATA = ("kafka_bootstrap_servers", "database_url")


def _serve(name: str, module: str, *required: str, socket: Path | None = None, **overrides: object) -> None:
    from polylogue.infra.lifecycle import run_process
    from polylogue.infra.settings import load_settings

    if child.supervised():
        # The servers are still starting: time enough for the imports.
        run = _main(module, socket)
        child.take_environment()
        settings = load_settings(**overrides)
        settings.require(*required)
    else:
        settings = load_settings(**overrides)
        settings.require(*required)
        run = _main(module, socket)
    run_process(name, settings, run)


def _main(module: str, socket: Path | None) -> Main:
    run: Main = (
        partial(import_module(module).serve_beside, socket=socket) if socket else import_module(module).serve
    )
    return run


def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on [HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [PORT].", min=0, max=65535)] = None,
    workers: Annotated[int, typer.Option(help="Processes that share the port.", min=1, max=64)] = 1,
    worker: Annotated[Path | None, typer.Option(hidden=True, help="Being one of them: its socket.")] = None,
) -> None:
    """Serve HTTP: takes prompts, streams answers, shows what is stored."""
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    if workers > 1:
        from polylogue.cli.api_workers import keeping
        from polylogue.infra.lifecycle import run_process
        from polylogue.infra.settings import load_settings

        settings = load_settings(**given)
        settings.require(*_DATA)
        run_process("api", settings, keeping(workers))
        return
    _serve("api", "polylogue.cli.projections.operator", *_DATA, socket=worker, **given)


def runner() -> None:
    """Carry out commands: call the models and write what they say to the log."""
    _serve("runner", "polylogue.streams.runner", "kafka_bootstrap_servers", "openrouter_api_key")


def media_agent() -> None:
    """Check the media that models make, and store them in S3."""
    _serve("media-agent", "polylogue.streams.media_agent", "kafka_bootstrap_servers")


def sweeper() -> None:
    """Send claims again that nobody finished, end the life of old media, remove what nobody is shown."""
    _serve("sweeper", "polylogue.streams.sweeper", "kafka_bootstrap_servers")


def projector() -> None:
    """Build the tables from the log."""
    _serve("projector", "polylogue.projections.projector", *_DATA)


def webhooks() -> None:
    """Tell WEBHOOK_URL when a turn with media is done; `polylogue run` starts it where that is set."""
    _serve(
        "webhooks", "polylogue.streams.webhooks", "kafka_bootstrap_servers", "webhook_url", "webhook_secret"
    )


def simulator(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8089,
    key: Annotated[
        str | None,
        typer.Option(envvar="SIMULATOR_KEY", help="The only bearer token accepted; without it, any or none."),
    ] = None,
) -> None:
    """Serve simulated models the way OpenRouter does; they need no key and send real media."""
    import asyncio
    import os

    from polylogue.infra.logs import configure_logs, get_logger
    from polylogue.infra.settings import load_settings
    from polylogue.simulator.app import serve

    if child.supervised():
        child.take_environment()
        key = os.environ.get("SIMULATOR_KEY") or key
    configure_logs(load_settings(), process="simulator")
    from polylogue import __version__

    get_logger("polylogue").info("starting", version=__version__, pid=os.getpid())
    try:
        asyncio.run(serve(host, port, key=key))
    except OSError as error:
        raise Problem(f"The simulator cannot listen on {host}:{port}: {error.strerror}.") from error

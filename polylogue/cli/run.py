"""`polylogue run`: everything on one machine, started in parallel, kept running, and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polylogue.cli import api_port
from polylogue.cli.home import DEFAULT_HOME, Home, home_directory
from polylogue.cli.problems import Problem

if TYPE_CHECKING:
    from polylogue.infra.settings import Settings

SIMULATED_MODELS = "sim/text,sim/painter,sim/mixed"
REAL_MODELS = "openai/gpt-5-mini,google/gemini-2.5-flash-image"


def run(
    *,
    port: Annotated[
        int | None, typer.Option(help="Port of the API [PORT, else 8000 or a free one].", min=1, max=65535)
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the data are kept [POLYLOGUE_HOME, else .polylogue].")
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(help="Partitions of commands and conversation-events, at the first start.", min=1),
    ] = None,
) -> None:
    """Start everything on this machine, and print where it is; Ctrl-C stops all of it.

    Servers that the environment or `.env` names are used; the others (Kafka, PostgreSQL, S3) are started here. Without
    OPENROUTER_API_KEY the models are simulated.
    """
    _need_local_extra()
    from polylogue.infra.settings import load_settings

    home = Home(home_directory(data_dir))
    settings = load_settings(polylogue_home=home.directory, **({} if port is None else {"port": port}))
    asked = port is not None or "port" in settings.model_fields_set
    with home.held(), api_port.held(settings.host, settings.port, asked=asked, say=_say) as chosen:
        asyncio.run(_until_stopped(settings, home, chosen, partitions))


async def _until_stopped(settings: Settings, home: Home, port: int, partitions: int | None) -> None:
    from polylogue.cli.whole import Whole

    whole = Whole(settings, home, port=port, partitions=partitions, say=_say)
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    ending = False

    def asked_to_stop() -> None:
        if ending and stop.is_set():
            _say("Stopping at once")
            whole.hurry()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked_to_stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # not under nohup
        loop.add_signal_handler(signal.SIGHUP, asked_to_stop)
    stopped = asyncio.create_task(stop.wait())
    given_up = asyncio.create_task(whole.until_given_up())
    try:
        if await _first(asyncio.create_task(whole.start()), stopped, given_up):
            _announce(whole.url, home, simulated=whole.simulated)
            if whole.settings.auth_mode == "keys":
                await _welcome(whole.settings, whole.url)
            await _first(given_up, stopped)
    finally:
        ending = True
        for task in (stopped, given_up):
            task.cancel()
        await asyncio.wait([stopped, given_up])
        await whole.stop()


async def _first(work: asyncio.Task[Any], *others: asyncio.Task[Any]) -> bool:
    """Waits for the work; False where one of the others came first. Raises what the first one raises."""
    await asyncio.wait([work, *others], return_when=asyncio.FIRST_COMPLETED)
    finished = work.done()
    if not finished:
        work.cancel()
        await asyncio.wait([work])
    for task in (work, *others):
        if task.done() and not task.cancelled():
            await task
    return finished


def _announce(url: str, home: Home, *, simulated: bool) -> None:
    models = SIMULATED_MODELS if simulated else REAL_MODELS
    where = "" if home.directory == Path(DEFAULT_HOME).resolve() else f" --url {url}"
    print(
        f"""
Polylogue is ready at {url}

Three things to try in a second terminal:

  {_ourselves()} ask "Draw a red circle and describe it" --models {models}{where}

  curl -N {url}/api/compare-stream -H 'Content-Type: application/json' \\
    -d '{{"input_data": "Draw a blue square", "models": ["{models.split(",")[1]}"]}}'

  curl {url}/api/conversations

Ctrl-C stops everything; the data stay in {home.directory}.""",
        flush=True,
    )


async def _welcome(settings: Settings, url: str) -> None:
    """At the first start where a sign-in is needed: the administrator's link, on a terminal only."""
    import psycopg

    from polylogue.api.auth import accounts, first_start
    from polylogue.infra.postgres import connection_string

    async with await psycopg.AsyncConnection.connect(connection_string(settings)) as connection:
        if not sys.stdout.isatty():  # what is printed may be kept in a file
            if await accounts.nobody_yet(connection):
                print("Nobody can sign in yet; run: polylogue users first-link", flush=True)
            return
        link = await accounts.first_link(connection)
    if link is not None:
        print(f"\n{first_start.told(url, link)}", flush=True)


def _ourselves() -> str:
    """The command as the person can type it here."""
    typed = Path(sys.argv[0])
    found = shutil.which("polylogue")
    if typed.name != "polylogue" or (found is not None and typed.exists() and typed.samefile(found)):
        return "polylogue"
    near = os.path.relpath(typed)
    return str(typed) if near.startswith("..") else near


def _need_local_extra() -> None:
    from importlib.util import find_spec

    if find_spec("psutil") is None:
        raise Problem("`polylogue run` needs the extra `local`; run: pip install 'polylogue[local]'")


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that is gone must not keep us from stopping in order
        print(line, flush=True)

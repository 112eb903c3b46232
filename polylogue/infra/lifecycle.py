"""Runs one process of the system: logs first, then its main coroutine until a signal asks it to stop."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
from collections.abc import Awaitable, Callable

import uvloop
from prometheus_client import start_http_server
from pydantic import PostgresDsn

from polylogue import __version__
from polylogue.infra import crash_points
from polylogue.infra.logs import configure_logs, get_logger
from polylogue.infra.settings import Settings

Main = Callable[[Settings, asyncio.Event], Awaitable[None]]


def run_process(name: str, settings: Settings, main: Main) -> None:
    """Runs `main(settings, stop)`; `stop` is set by SIGTERM or SIGINT, and `main` then ends in its own time.

    Raises SettingsError where the environment names a crash point that does not exist.
    """
    configure_logs(settings, process=name)
    crash_points.arm()
    get_logger("polylogue").info(
        "starting",
        version=__version__,
        python=platform.python_version(),
        pid=os.getpid(),
        kafka=settings.kafka_bootstrap_servers,
        postgres=_place(settings.database_url) if settings.database_url else None,
        s3=str(settings.s3_endpoint_url or "AWS"),
        topic_prefix=settings.kafka_topic_prefix,
    )
    if settings.metrics_port:
        start_http_server(settings.metrics_port, addr=settings.host)
    uvloop.run(_until_stopped(settings, main))


async def _until_stopped(settings: Settings, main: Main) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await main(settings, stop)


def _place(database_url: PostgresDsn) -> str:
    """host:port of each Postgres server, without user and password."""
    return ",".join(f"{host['host']}:{host['port']}" for host in database_url.hosts())

"""The API's process: uvicorn in our own loop, ended by our own signal handling within ten seconds."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from polylogue.api.admin import ProjectionOperator
from polylogue.api.app import create_app
from polylogue.api.auth.first_start import greet
from polylogue.api.slow_clients import impatient
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings, SettingsError
from polylogue.media.quota_file import quotas_of
from polylogue.media.urls_cloudfront import private_key

GRACE_S = 4  # streams end at once; ordinary requests get this long
BACKLOG = 2048
IDLE_S = 75  # between two requests of a connection; proxies that keep theirs must give them up sooner

log = get_logger("polylogue.api")


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self.closed = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.closed.set()  # who waits for it comes when uvicorn waits for the first time, and has closed the port
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's affair."""
        yield


async def serve(
    settings: Settings,
    stop: asyncio.Event,
    *,
    listening: asyncio.Future[int] | None = None,
    operator: ProjectionOperator | None = None,
    worker: Path | None = None,
    alone: bool = False,
) -> None:
    """Serves until `stop`; `listening` is told the port, and `operator` looks after the projections for
    administrators. With `worker`, a socket's path, other processes listen on the same port, and have theirs beside it.
    `alone`: the process does nothing else. Open streams are sent off with a cursor.

    Raises SettingsError where the address cannot be had, and whatever ended the tail.
    """
    settings.require("kafka_bootstrap_servers", "database_url")
    quotas_of(settings)  # a bad file ends the process with a sentence
    if settings.media_url_mode == "cloudfront-signed":
        private_key(
            settings
        )  # a bad one ends the process with a sentence, and not the first reader's request
    listener = _listen(settings, shared=worker is not None)
    app = create_app(settings, operator, worker)
    if alone:
        _spare_collector()
    server = _Server(config_of(app, settings))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    up = asyncio.create_task(server.up.wait())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({up, serving}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
            return
        port = listener.getsockname()[1]
        log.info("listening", host=settings.host, port=port)
        await greet(app.state.access, port)
        if listening is not None:
            listening.set_result(port)
        tail = app.state.services.tail
        await asyncio.wait({stopping, serving, tail}, return_when=asyncio.FIRST_COMPLETED)
        failure = tail.exception() if tail.done() and not tail.cancelled() else None
        server.should_exit = True
        # Whoever is sent off must not come back here: EventSource gives up where it is told 503.
        closed = asyncio.create_task(server.closed.wait())
        await asyncio.wait({closed, serving}, return_when=asyncio.FIRST_COMPLETED)
        closed.cancel()
        hub = app.state.services.hub
        await hub.wind_down() if failure is None else hub.stop()
        await serving
        if failure is not None:
            raise failure
    finally:
        up.cancel()
        stopping.cancel()
        if not serving.done():
            server.should_exit = True
            await serving
        listener.close()


def config_of(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Of uvicorn. Its protocol is ours whatever else is installed: streams are written past its layers."""
    return uvicorn.Config(
        app,
        http=impatient(settings),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=IDLE_S,
    )


def _spare_collector() -> None:
    """What is here now stays to the end: to look through all of it for garbage took a hundred milliseconds each time, in
    which no reader got anything. What comes is looked through less often; most of it dies by its reference count."""
    gc.freeze()
    gc.set_threshold(5_000, 20, 20)


def _listen(settings: Settings, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server(
            (settings.host, settings.port), family=family, backlog=BACKLOG, reuse_port=shared
        )
        # Its connections inherit it: asyncio sets it for itself only where a socket names its protocol.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise SettingsError(
            f"HOST and PORT cannot be used: {settings.host}:{settings.port} says {error.strerror}."
        ) from None

"""The server speaks HTTP through the connection that streams write to, whatever else uvicorn could use."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.server import ServerState

from polylogue.api.connection import CONNECTION, Connection, Heir
from polylogue.api.server import config_of
from polylogue.infra.settings import Settings


class Transport:
    """What uvicorn and a stream ask of one."""

    def __init__(self) -> None:
        self.written = b""
        self.high: int | None = None
        self.protocol: Any = None
        self.closed = False

    def get_extra_info(self, name: str) -> Any:
        return {"socket": None, "sockname": ("127.0.0.1", 8000), "peername": ("127.0.0.1", 9)}.get(name)

    def set_write_buffer_limits(self, high: int | None = None) -> None:
        self.high = high

    def write(self, data: bytes) -> None:
        self.written += data

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Stream(Heir):
    """Whoever is given the socket."""


@pytest.fixture
def scopes() -> list[dict[str, Any]]:
    """Of the requests that the app was given."""
    return []


@pytest.fixture
async def connection(scopes: list[dict[str, Any]]) -> Connection:
    """One that is up, of the class that the server is configured with."""

    async def app(scope: dict[str, Any], _receive: Any, send: Any) -> None:
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    config = config_of(FastAPI(), Settings(_env_file=None))
    config.load()
    made: Connection = config.http_protocol_class(config=config, server_state=ServerState(), app_state={})  # type: ignore[call-arg,assignment]
    made.app = app
    made.connection_made(Transport())  # type: ignore[arg-type]
    return made


def test_the_server_uses_no_other_protocol_than_ours() -> None:
    config = config_of(FastAPI(), Settings(_env_file=None))
    config.load()
    assert issubclass(config.http_protocol_class, Connection)
    # What uvicorn takes by itself knows nothing of streams that write: it must never be left to choose.
    assert not issubclass(AutoHTTPProtocol, Connection)


async def test_every_request_finds_its_connection_in_its_scope(
    connection: Connection, scopes: list[dict[str, Any]]
) -> None:
    connection.data_received(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert not connection.begun
    (task,) = connection.tasks
    await task
    assert scopes[0][CONNECTION] is connection


async def test_a_stream_may_write_once_the_head_has_gone_out(connection: Connection) -> None:
    connection.data_received(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    (task,) = connection.tasks
    await task
    assert connection.begun


async def test_a_stream_is_given_the_socket_and_the_request_is_over(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    heir = Stream()
    transport: Any = connection.transport
    connections: set[Any] = connection.connections

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        assert connection.hand_over(heir) is transport

    connection.app = app
    connection.data_received(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    (task,) = connection.tasks
    await task
    # uvicorn says so where an app leaves an answer unfinished, and closes the connection.
    assert caplog.records == []
    assert transport.protocol is heir
    assert transport.high == 0  # whatever does not fit into the socket pauses it
    assert connections == {heir}  # which a server that stops waits for
    heir.shutdown()
    assert not transport.closed


async def test_a_socket_whose_peer_has_gone_is_nobodys(connection: Connection) -> None:
    connection.data_received(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    (task,) = connection.tasks
    await task
    connection.transport.close()
    assert connection.hand_over(Stream()) is None
    assert connection.connections == {connection}

"""A client that cannot start, or is not to start any more, leaves nothing open."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiokafka.conn
import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError

from polylogue.infra.kafka import (
    READ_AHEAD_BYTES,
    group_consumer,
    idempotent_producer,
    manual_consumer,
    start_or_stop,
)
from polylogue.infra.settings import Settings, load_settings

CLIENTS: list[Callable[[Settings], Any]] = [
    lambda settings: group_consumer(settings, "group"),
    idempotent_producer,
    manual_consumer,
]


class Silent:
    """A server that takes connections and answers nothing."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        self.asked.set()
        while await reader.read(1024):
            pass
        self.left.set()
        writer.close()


@pytest.fixture
def silent() -> Silent:
    return Silent()


@pytest.fixture
async def settings(silent: Silent) -> AsyncIterator[Settings]:
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield load_settings(_env_file=None, kafka_bootstrap_servers=f"127.0.0.1:{port}")


@pytest.mark.parametrize("made", CLIENTS)
async def test_a_start_that_is_cancelled_ends_its_connections(
    made: Callable[[Settings], Any], settings: Settings, silent: Silent
) -> None:
    client = made(settings)
    starting = asyncio.create_task(start_or_stop(client))
    async with asyncio.timeout(60):
        await silent.asked.wait()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await silent.left.wait()
    assert client._closed


@pytest.mark.parametrize("made", CLIENTS)
async def test_a_client_that_finds_nobody_is_stopped(made: Callable[[Settings], Any]) -> None:
    client = made(load_settings(_env_file=None, kafka_bootstrap_servers="127.0.0.1:1"))
    with pytest.raises(KafkaConnectionError):
        await start_or_stop(client)
    assert client._closed


def test_aiokafka_still_reads_how_far_a_socket_is_read_ahead() -> None:
    assert "limit=READER_LIMIT" in inspect.getsource(AIOKafkaConnection)
    assert aiokafka.conn.READER_LIMIT == READ_AHEAD_BYTES

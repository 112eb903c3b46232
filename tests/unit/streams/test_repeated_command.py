"""A command that may be here twice is looked up in the log, however long the broker is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaConnectionError

from polylogue.infra.settings import load_settings
from polylogue.schemas.codec import command_codec, event_codec
from polylogue.schemas.events import PromptSubmitted
from polylogue.streams import partition_reader
from polylogue.streams.command_events import command_event
from polylogue.streams.owned_partition import OwnedPartition, PartitionServices
from tests.support.log import start_turn


def _record(value: bytes, offset: int) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord("t", 0, offset, 0, 1, b"k", value, None, 1, len(value), ())


async def test_a_broker_that_is_away_delays_the_look_up_and_does_not_end_the_runner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = msgspec.structs.replace(start_turn("sim/text"), resend=True)
    opening = command_event(command, 0, PromptSubmitted(prompt="p", responses=()))
    tries = []

    async def log_that_is_away_once(*_: object, **__: object) -> AsyncIterator[ConsumerRecord[bytes, bytes]]:
        tries.append(1)
        if len(tries) == 1:
            raise KafkaConnectionError
        yield _record(event_codec.encode(opening), 7)

    monkeypatch.setattr(partition_reader, "read_to_end", log_that_is_away_once)
    monkeypatch.setattr(partition_reader, "RETRY_S", 0)
    services = PartitionServices(
        load_settings(_env_file=None),
        cast("Any", None),
        cast("Any", None),
        on_lost=lambda _: None,
        on_crash=lambda _: None,
    )
    owned = OwnedPartition(services, 0)
    owned.ready = True
    await owned.serve(_record(command_codec.encode(command), 0))
    assert len(tries) == 2
    assert owned.ledger.committable == 1

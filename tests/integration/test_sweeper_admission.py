"""New media are refused while the operator says so, and while too many wait; text goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from polylogue.infra.kafka import client_options
from polylogue.infra.settings import Settings
from polylogue.infra.topics import MEDIA_SEGMENTS, topic_name
from polylogue.schemas.controls import MediaPaused, MediaResumed
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import (
    MediaProduced,
    MediaRefused,
    ResponseCompleted,
    ResponseStarted,
    TextAppended,
)
from polylogue.streams.admission import OVERLOADED, PAUSED, MediaAdmission
from polylogue.streams.media_switch import MediaSwitch, latest_control, write_control
from polylogue.streams.segment_backlog import SegmentBacklog
from tests.support.log import Log, of_type, open_log
from tests.support.media_agent import agent, png, runner
from tests.support.processes import Simulator, process, simulator

WITHIN_S = 60


@pytest.fixture(scope="module")
def gateway() -> Iterator[Simulator]:
    with simulator() as running:
        yield running


@pytest.fixture
def ours(prepared: Settings, gateway: Simulator) -> Settings:
    return prepared.model_copy(update={"openrouter_base_url": gateway.base_url})


@pytest.fixture
async def log(ours: Settings) -> AsyncIterator[Log]:
    async with open_log(ours) as opened:
        yield opened


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await asyncio.sleep(0.05)


async def answer(log: Log, model: str) -> list[Event]:
    turn = await log.start_turn(model)
    return await log.wait_for(
        turn.conversation_id, lambda seen: bool(of_type(seen, ResponseCompleted)), "its end"
    )


async def test_a_pause_reaches_runners_that_run_and_those_that_start_later(ours: Settings, log: Log) -> None:
    switch = MediaSwitch(ours)
    await switch.start()
    try:
        assert not switch.paused
        with process("runner", ours):
            assert of_type(await answer(log, "sim/mixed"), MediaProduced)
            await write_control(ours, MediaPaused(reason="Too dear."))
            await until(lambda: switch.paused)

            async def refused() -> list[Event]:
                # The runner hears of it when this reader does, or a moment later.
                async with asyncio.timeout(WITHIN_S):
                    while not of_type(events := await answer(log, "sim/painter"), MediaRefused):
                        pass
                return events

            [refusal] = of_type(await refused(), MediaRefused)
            assert (refusal.data.reason, refusal.data.message) == ("disabled", PAUSED)
        with process("runner", ours):
            events = await answer(log, "sim/mixed")
            assert of_type(events, TextAppended)
            assert not of_type(events, MediaProduced)
            assert not of_type(events, ResponseStarted)[0].data.media_enabled
            await write_control(ours, MediaResumed())
            await until(lambda: not switch.paused)
            async with asyncio.timeout(WITHIN_S):
                while not of_type(await answer(log, "sim/painter"), MediaProduced):
                    pass
    finally:
        await switch.stop()
    control = await latest_control(ours)
    assert control is not None
    assert isinstance(control.data, MediaResumed)


async def test_media_are_refused_above_half_of_the_budget_until_they_are_stored(
    ours: Settings, log: Log, tmp_path
) -> None:
    await _limit(ours, 1_000_000)
    backlog = SegmentBacklog(ours, group=f"{ours.kafka_topic_prefix}media-agent")
    switch = MediaSwitch(ours)
    admission = MediaAdmission(ours, switch, backlog)
    try:
        await admission.measure()
        assert admission.refusal() is None
        async with runner(ours) as play:
            await play.produce(png(200_000))
            await admission.measure()
            assert admission.refusal() is None
            for _ in range(12):  # some partition has more than half a budget then
                await play.produce(png(400_000))
        await admission.measure()
        assert admission.refusal() == ("overloaded", OVERLOADED)
        with process("runner", ours):
            async with asyncio.timeout(WITHIN_S):
                while not of_type(events := await answer(log, "sim/mixed"), MediaRefused):
                    pass
        assert {one.data.reason for one in of_type(events, MediaRefused)} == {"overloaded"}
        assert of_type(events, TextAppended)
        with agent(ours, tmp_path):
            async with asyncio.timeout(WITHIN_S):
                while admission.refusal() is not None:
                    await admission.measure()
    finally:
        await admission.stop()


async def _limit(settings: Settings, bytes_a_partition: int) -> None:
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        wanted = dict(MEDIA_SEGMENTS.config) | {"retention.bytes": str(bytes_a_partition)}
        name = topic_name(settings, MEDIA_SEGMENTS)
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=wanted)])
    finally:
        await admin.close()

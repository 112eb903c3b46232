"""New media are refused while the operator says so, and while too many wait; text goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

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
from tests.support.log import Log, of_type
from tests.support.media_agent import agent
from tests.support.media_runner import png, runner
from tests.support.processes import process

WITHIN_S = 60


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await asyncio.sleep(0.05)


async def answer(log: Log, model: str) -> list[Event]:
    turn = await log.start_turn(model)
    return await log.one_of(turn.conversation_id, ResponseCompleted)


async def test_a_pause_reaches_runners_that_run_and_those_that_start_later(
    runner_settings: Settings, log: Log
) -> None:
    switch = MediaSwitch(runner_settings)
    await switch.start()
    try:
        assert not switch.paused
        with process("runner", runner_settings):
            assert of_type(await answer(log, "sim/mixed"), MediaProduced)
            await write_control(runner_settings, MediaPaused(reason="Too dear."))
            await until(lambda: switch.paused)

            async def refused() -> list[Event]:
                # The runner hears of it when this reader does, or a moment later.
                async with asyncio.timeout(WITHIN_S):
                    while not of_type(events := await answer(log, "sim/painter"), MediaRefused):
                        pass
                return events

            [refusal] = of_type(await refused(), MediaRefused)
            assert (refusal.data.reason, refusal.data.message) == ("disabled", PAUSED)
        with process("runner", runner_settings):
            events = await answer(log, "sim/mixed")
            assert of_type(events, TextAppended)
            assert not of_type(events, MediaProduced)
            assert not of_type(events, ResponseStarted)[0].data.media_enabled
            await write_control(runner_settings, MediaResumed())
            await until(lambda: not switch.paused)
            async with asyncio.timeout(WITHIN_S):
                while not of_type(await answer(log, "sim/painter"), MediaProduced):
                    pass
    finally:
        await switch.stop()
    control = await latest_control(runner_settings)
    assert control is not None
    assert isinstance(control.data, MediaResumed)


async def test_media_are_refused_above_half_of_the_budget_until_they_are_stored(
    runner_settings: Settings, log: Log
) -> None:
    await _limit(runner_settings, 1_000_000)
    backlog = SegmentBacklog(runner_settings, group=f"{runner_settings.kafka_topic_prefix}media-agent")
    switch = MediaSwitch(runner_settings)
    admission = MediaAdmission(runner_settings, switch, backlog)
    try:
        await admission.measure()
        assert admission.refusal() is None
        async with runner(runner_settings) as play:
            await play.produce(png(200_000))
            await admission.measure()
            assert admission.refusal() is None
            for _ in range(12):  # some partition has more than half a budget then
                await play.produce(png(400_000))
        await admission.measure()
        assert admission.refusal() == ("overloaded", OVERLOADED)
        with process("runner", runner_settings):
            async with asyncio.timeout(WITHIN_S):
                while not of_type(events := await answer(log, "sim/mixed"), MediaRefused):
                    pass
        assert {one.data.reason for one in of_type(events, MediaRefused)} == {"overloaded"}
        assert of_type(events, TextAppended)
        with agent(runner_settings):
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

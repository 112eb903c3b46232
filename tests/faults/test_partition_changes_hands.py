"""A partition that is fenced without a rebalance, and turns that had ended in all but their media when a runner died."""

from __future__ import annotations

import asyncio

from polylogue.infra.kafka import partition_for
from polylogue.infra.settings import Settings
from polylogue.schemas.events import TextAppended
from polylogue.streams.partition_writer import PartitionWriter
from tests.faults.walk import all_ended, neighbour
from tests.support.log import PARTITIONS, Log, of_type
from tests.support.observer import faults_at_the_end, observe
from tests.support.processes import process

ENDLESS = "sim/slow:pace=50ms:tokens=5000"


async def test_a_runner_that_is_fenced_while_its_group_still_gives_it_the_partition_takes_it_over_again(
    runner_settings: Settings, log: Log
) -> None:
    """As happens when a member of the last generation starts its writer late."""
    with process("runner", runner_settings) as runner:
        turn = await log.start_turn(ENDLESS)
        await log.one_of(turn.conversation_id, TextAppended)
        late = PartitionWriter(
            runner_settings, partition_for(turn.conversation_id, PARTITIONS), on_lost=lambda _: None
        )
        await late.start()
        await late.close()
        await all_ended(log, turn)
        following = await log.start_turn("sim/text", conversation=neighbour(turn))
        await all_ended(log, following)
        assert await asyncio.to_thread(runner.stop) == 0
    after = await observe(str(runner_settings.kafka_bootstrap_servers), runner_settings.kafka_topic_prefix)
    assert after.outcome(f"{turn.turn_id}-1") == "interrupted"
    assert after.outcome(f"{following.turn_id}-1") == "completed"
    assert faults_at_the_end(after, {}) == []


async def test_a_turn_that_waits_for_its_media_alone_is_in_nobodys_way_after_a_death(
    runner_settings: Settings, log: Log
) -> None:
    with process("runner", runner_settings) as dying:
        # Keeps the committed offset below all that follows in this partition.
        busy = await log.start_turn(ENDLESS)
        drawn = await log.start_turn("sim/painter", conversation=neighbour(busy))
        other = await log.start_turn("sim/painter", conversation=neighbour(busy))
        await all_ended(log, drawn, other)
        answering = await log.start_turn(ENDLESS, conversation=drawn.conversation_id)
        await log.wait_for(
            answering.conversation_id,
            lambda seen: any(event.turn_id == answering.turn_id for event in of_type(seen, TextAppended)),
            "some text",
        )
        dying.kill()
    waiting = await log.start_turn("sim/text", conversation=other.conversation_id)
    with process("runner", runner_settings):
        await all_ended(log, busy, answering, waiting)
        after = await observe(
            str(runner_settings.kafka_bootstrap_servers), runner_settings.kafka_topic_prefix
        )
    assert after.outcome(f"{answering.turn_id}-1") == "interrupted"
    assert after.outcome(f"{waiting.turn_id}-1") == "completed"
    assert faults_at_the_end(after, {}) == []

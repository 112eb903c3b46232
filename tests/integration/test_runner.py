"""The runner on real Kafka, against the simulated gateway: turns, stops, deaths and zombies."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import msgspec
import pytest

from polylogue.infra.kafka import partition_for
from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import Settings
from polylogue.infra.topics import COMMANDS, COMMANDS_DLQ, topic_name
from polylogue.schemas.commands import HistoryMessage, StartConversation
from polylogue.schemas.events import (
    ConversationRenamed,
    ConversationStarted,
    MediaJobStarted,
    MediaProduced,
    MediaRefused,
    ParentRef,
    PromptSubmitted,
    ResponseCancelled,
    ResponseCompleted,
    ResponseFailed,
    ResponseQueued,
    ResponseSlot,
    ResponseStarted,
    TextAppended,
)
from polylogue.streams.log_reader import read_to_end
from polylogue.streams.segment_reader import SegmentReader, Spooled
from tests.support.log import PARTITIONS, Log, of_type, open_log, start_turn
from tests.support.processes import Simulator, process, wait_until
from tests.support.whole_system import led_to

ENDS = (ResponseCompleted, ResponseFailed, ResponseCancelled)


@dataclass(frozen=True)
class Served:
    """A runner that goes on from test to test, by its settings and its log."""

    settings: Settings
    log: Log


@pytest.fixture(scope="module")
def lasting_runner(prepared_once: Settings, gateway: Simulator) -> Iterator[Settings]:
    settings = led_to(gateway, prepared_once)
    with process("runner", settings):
        yield settings


@pytest.fixture
async def served(lasting_runner: Settings) -> AsyncIterator[Served]:
    async with open_log(lasting_runner) as log:
        yield Served(lasting_runner, log)


async def test_every_model_of_a_turn_answers_and_media_follow_their_segments(
    served: Served, gateway: Simulator
) -> None:
    turn = await served.log.start_turn("sim/text", "sim/painter", "sim/speaker")
    events = await served.log.wait_for(
        turn.conversation_id, lambda seen: len(of_type(seen, *ENDS)) == 3, "three ends"
    )
    assert [type(event.data) for event in events[:2]] == [ConversationStarted, PromptSubmitted]
    assert len(of_type(events, ResponseCompleted)) == 3
    produced = {event.data.claim.segments.sha256 for event in of_type(events, MediaProduced)}
    assert len(produced) == 2
    assert produced <= set(gateway.media_sha256()) | {
        event.data.claim.segments.sha256
        for event in of_type(events, MediaProduced)
        if event.data.claim.media_type == "audio"  # PCM16 is wrapped as WAV here, so its hash is ours
    }
    assert all(
        event.data.claim.answer_partition == _partition(turn.conversation_id)
        for event in of_type(events, MediaProduced)
    )


async def test_a_large_picture_lies_whole_in_its_segments(served: Served, gateway: Simulator) -> None:
    """It is written while it arrives, so most of it lies there before the runner knows that it is a medium."""
    turn = await served.log.start_turn("sim/painter:images=2:size=4mb")
    events = await served.log.wait_for(
        turn.conversation_id, lambda seen: bool(of_type(seen, *ENDS)), "an end"
    )
    claims = [event.data.claim for event in of_type(events, MediaProduced)]
    assert len(claims) == 2
    for claim in claims:
        found = await SegmentReader(served.settings).read(claim.media_id, claim.segments)
        assert isinstance(found, Spooled)
        with found.spool as spool:
            assert (spool.sha256, spool.size_bytes) == (claim.segments.sha256, claim.segments.size_bytes)
            assert spool.size_bytes >= 4_000_000
            assert spool.sha256 in gateway.media_sha256()


async def test_one_failing_model_leaves_the_others_alone(served: Served) -> None:
    turn = await served.log.start_turn("sim/failing", "sim/text", "sim/refused")
    events = await served.log.wait_for(
        turn.conversation_id, lambda seen: len(of_type(seen, *ENDS)) == 3, "three ends"
    )
    ends = {event.response_id: event.data for event in of_type(events, *ENDS)}
    assert isinstance(ends[f"{turn.turn_id}-1"], ResponseFailed)
    assert isinstance(ends[f"{turn.turn_id}-2"], ResponseCompleted)
    assert ends[f"{turn.turn_id}-3"].failure_class == "auth"
    assert any(event.response_id == f"{turn.turn_id}-1" for event in of_type(events, TextAppended))


async def test_a_cancel_closes_the_upstream_connection_and_keeps_the_text(
    served: Served, gateway: Simulator
) -> None:
    aborted = gateway.stats()["aborted"]
    turn = await served.log.start_turn("sim/slow:tokens=2000:pace=50ms")
    await served.log.one_of(turn.conversation_id, TextAppended)
    await served.log.cancel(turn)
    events = await served.log.one_of(turn.conversation_id, *ENDS)
    wait_until(lambda: gateway.stats()["aborted"] == aborted + 1, "the gateway sees the connection closed")
    assert of_type(events, ResponseCancelled)
    assert of_type(events, TextAppended)


async def test_a_command_sent_twice_starts_one_turn(served: Served) -> None:
    turn = await served.log.start_turn("sim/text")
    await served.log.command(turn)
    await served.log.one_of(turn.conversation_id, *ENDS)
    other = await served.log.start_turn("sim/text", conversation=turn.conversation_id)
    events = await served.log.wait_for(
        turn.conversation_id, lambda seen: len(of_type(seen, *ENDS)) == 2, "the end of the next turn"
    )
    assert [event.turn_id for event in of_type(events, ResponseStarted)] == [turn.turn_id, other.turn_id]


async def test_a_second_turn_while_one_runs_ends_as_a_conflict(served: Served) -> None:
    first = await served.log.start_turn("sim/slow:pace=20ms:tokens=40")
    second = await served.log.start_turn("sim/text", conversation=first.conversation_id)
    events = await served.log.wait_for(
        first.conversation_id, lambda seen: len(of_type(seen, *ENDS)) == 2, "both ends"
    )
    ends = {event.turn_id: event.data for event in of_type(events, *ENDS)}
    assert isinstance(ends[first.turn_id], ResponseCompleted)
    assert ends[second.turn_id].failure_class == "conflict"


async def test_garbage_goes_to_the_dead_letters_and_the_next_command_is_served(
    runner_settings: Settings, log: Log
) -> None:
    turn_first = await log.start_turn("sim/text")
    place = _partition(turn_first.conversation_id)
    offset = await log.send(COMMANDS, b"\x00 no command", key="k", partition=place)
    with process("runner", runner_settings):
        await log.one_of(turn_first.conversation_id, *ENDS)
        turn = await log.start_turn("sim/text", conversation=turn_first.conversation_id)
        await log.wait_for(
            turn.conversation_id, lambda seen: len(of_type(seen, *ENDS)) == 2, "the end of the next one"
        )
    dlq = topic_name(runner_settings, COMMANDS_DLQ)
    letters = [record async for record in read_to_end(runner_settings, dlq, 0, offset=0)]
    assert [letter.value for letter in letters] == [b"\x00 no command"]
    headers = dict(letters[0].headers)
    assert headers["source_offset"] == str(offset).encode()
    assert headers["source_partition"] == str(place).encode()
    assert headers["reason"]


async def test_a_killed_runner_leaves_no_response_without_an_end(runner_settings: Settings, log: Log) -> None:
    with process("runner", runner_settings) as dying:
        turn = await log.start_turn("sim/slow:pace=50ms:tokens=2000", "sim/text:delay=60s")
        await log.one_of(turn.conversation_id, TextAppended)
        dying.kill()
        before = len(of_type(await log.visible(turn.conversation_id), TextAppended))
    with process("runner", runner_settings):
        events = await log.wait_for(
            turn.conversation_id,
            lambda seen: len(of_type(seen, ResponseStarted)) == 3,
            "an end and a restart",
        )
        await log.cancel(turn)
        events = await log.wait_for(
            turn.conversation_id, lambda seen: len(of_type(seen, *ENDS)) == 2, "both ends"
        )
    ends = {event.response_id: event for event in of_type(events, *ENDS)}
    # What had shown something is kept and ended; what had shown nothing is begun again under a new attempt.
    assert ends[f"{turn.turn_id}-1"].data.failure_class == "interrupted"
    assert len(of_type(events, TextAppended)) >= before
    assert isinstance(ends[f"{turn.turn_id}-2"].data, ResponseCancelled)
    assert ends[f"{turn.turn_id}-2"].attempt == 2


async def test_a_cancel_that_came_while_no_runner_lived_is_obeyed_without_asking_the_model(
    runner_settings: Settings, log: Log, gateway: Simulator
) -> None:
    turn = await log.start_turn("sim/text", "sim/painter")
    await log.cancel(turn)
    started = gateway.stats()["started"]
    with process("runner", runner_settings):
        events = await log.wait_for(
            turn.conversation_id, lambda seen: len(of_type(seen, *ENDS)) == 2, "both ends"
        )
    assert len(of_type(events, ResponseCancelled)) == 2
    assert gateway.stats()["started"] == started


async def test_a_runner_paused_beyond_its_session_is_fenced_and_writes_nothing_more(
    runner_settings: Settings, log: Log
) -> None:
    with process("runner", runner_settings) as zombie:
        turn = await log.start_turn("sim/slow:pace=20ms:tokens=5000")
        await log.one_of(turn.conversation_id, TextAppended)
        zombie.signal(signal.SIGSTOP)
        with process("runner", runner_settings):
            await log.one_of(turn.conversation_id, *ENDS)
            at_end = len(await log.events(turn.conversation_id))
            zombie.signal(signal.SIGCONT)
            wait_until(lambda: "partition_lost" in zombie.text(), "the zombie notices")
            other = await log.start_turn("sim/text")
            await log.one_of(other.conversation_id, *ENDS)
        events = await log.events(turn.conversation_id)
    assert len(events) == at_end
    assert len(of_type(events, *ENDS)) == 1


async def test_a_stopped_runner_ends_its_responses_as_interrupted_and_leaves_the_group(
    runner_settings: Settings, log: Log
) -> None:
    with process("runner", runner_settings) as stopping:
        turn = await log.start_turn("sim/slow:pace=50ms:tokens=5000")
        await log.one_of(turn.conversation_id, TextAppended)
        assert stopping.stop() == 0
    events = await log.visible(turn.conversation_id)
    (end,) = of_type(events, *ENDS)
    assert end.data.failure_class == "interrupted"
    assert end.data.retryable
    with process("runner", runner_settings):
        # A member that had not left would hold its partitions for the whole session time-out.
        other = await log.start_turn("sim/text")
        await log.one_of(other.conversation_id, *ENDS, within_s=5)


async def test_a_turn_that_reaches_its_cost_cap_is_stopped_and_keeps_its_text(served: Served) -> None:
    turn = start_turn("sim/slow:pace=5ms:tokens=4000", "sim/slow:pace=5ms:tokens=4000")
    capped = msgspec.structs.replace(turn.data, max_cost_usd_micros=60)
    await served.log.command(msgspec.structs.replace(turn, data=capped))
    events = await served.log.wait_for(
        turn.conversation_id, lambda seen: len(of_type(seen, *ENDS)) == 2, "both ends"
    )
    ends = [event.data for event in of_type(events, *ENDS)]
    assert [end.reason for end in ends] == ["cost_limit", "cost_limit"]
    assert all(end.usage.estimated for end in ends)
    assert of_type(events, TextAppended)


async def test_responses_beyond_the_limit_wait_and_say_so(runner_settings: Settings, log: Log) -> None:
    with process("runner", runner_settings, RUNNER_MAX_RESPONSES="1"):
        turn = await log.start_turn("sim/text:pace=1ms", "sim/text:pace=1ms", "sim/text:pace=1ms")
        events = await log.wait_for(
            turn.conversation_id, lambda seen: len(of_type(seen, ResponseCompleted)) == 3, "three ends"
        )
    queued = of_type(events, ResponseQueued)
    assert {event.response_id: event.data.position for event in queued} == {
        f"{turn.turn_id}-2": 1,
        f"{turn.turn_id}-3": 2,
    }


async def test_a_naming_model_gives_the_conversation_a_better_title(
    runner_settings: Settings, log: Log
) -> None:
    with process("runner", runner_settings, TITLE_MODEL="sim/text:tokens=4:pace=0"):
        turn = await log.start_turn("sim/text:tokens=5:pace=0", prompt="Draw a circle")
        events = await log.one_of(turn.conversation_id, ConversationRenamed)
    (started,) = of_type(events, ConversationStarted)
    (renamed,) = of_type(events, ConversationRenamed)
    assert started.data.title == "Draw a circle"
    assert renamed.data.title not in ("", "Draw a circle")
    assert renamed.command_offset > started.command_offset


async def test_a_breakout_begins_a_conversation_that_names_its_parent(served: Served) -> None:
    parent = ParentRef(conversation_id="p" * 32, turn_id="t" * 32)
    command = msgspec.structs.replace(
        start_turn("sim/text"), turn_id="", data=StartConversation(title="Only one", parent=parent)
    )
    await served.log.command(command)
    await served.log.command(command)
    await served.log.wait_for(command.conversation_id, lambda seen: len(seen) == 1, "the conversation")
    turn = await served.log.start_turn("sim/text", conversation=command.conversation_id)
    events = await served.log.one_of(turn.conversation_id, ResponseCompleted)
    started = of_type(events, ConversationStarted)
    assert started[0].data == ConversationStarted(title="Only one", parent=parent)


async def test_a_further_round_of_a_turn_has_an_end_of_its_own(served: Served) -> None:
    turn = await served.log.start_turn("sim/text")
    await served.log.one_of(turn.conversation_id, *ENDS)
    added = msgspec.structs.replace(
        turn.data,
        round=2,
        new_conversation=False,
        responses=(ResponseSlot(response_id=f"{turn.turn_id}-2", model="sim/text"),),
    )
    await served.log.command(msgspec.structs.replace(turn, command_id="another", data=added))
    await served.log.wait_for(
        turn.conversation_id, lambda seen: len(of_type(seen, *ENDS)) == 2, "the end of the further round"
    )
    completed = await served.log.completed(turn.conversation_id)
    assert [(done.round, done.requested) for done in completed] == [(1, 1), (2, 1)]


async def test_a_history_in_an_object_is_read_and_a_missing_one_ends_the_turn_with_a_sentence(
    served: Served,
) -> None:
    turn = start_turn("sim/text")
    lost = msgspec.structs.replace(turn.data, history_key="private/history/none.json")
    found = start_turn("sim/text")
    history = msgspec.json.encode([HistoryMessage(role="user", content="earlier words")])
    key = "private/history/some.json"
    create_s3_client(served.settings).put_object(
        Bucket=served.settings.s3_media_bucket, Key=key, Body=history
    )
    await served.log.command(msgspec.structs.replace(turn, data=lost))
    await served.log.command(
        msgspec.structs.replace(found, data=msgspec.structs.replace(found.data, history_key=key))
    )
    events = await served.log.one_of(found.conversation_id, *ENDS)
    (end,) = of_type(
        await served.log.one_of(turn.conversation_id, *ENDS, within_s=60),
        *ENDS,
    )
    assert of_type(events, ResponseCompleted)
    assert (end.data.failure_class, end.data.retryable) == ("connection", True)


async def test_a_film_that_was_ordered_is_polled_on_by_the_successor_and_not_ordered_again(
    runner_settings: Settings, log: Log, gateway: Simulator
) -> None:
    ordered = gateway.stats()["jobs_ordered"]
    quick = {"VIDEO_POLL_INTERVAL_S": "0.2"}
    with process("runner", runner_settings, **quick) as dying:
        turn = await log.start_turn("sim/director:delay=8s")
        await log.one_of(turn.conversation_id, MediaJobStarted)
        dying.kill()
    with process("runner", runner_settings, **quick):
        events = await log.one_of(turn.conversation_id, *ENDS, within_s=60)
    assert gateway.stats()["jobs_ordered"] == ordered + 1
    (job,), (film,) = of_type(events, MediaJobStarted), of_type(events, MediaProduced)
    assert film.data.claim.media_id == job.data.media_id
    assert film.data.claim.remote is not None
    (end,) = of_type(events, *ENDS)
    assert isinstance(end.data, ResponseCompleted)
    assert end.attempt == 2


async def test_a_film_that_is_stopped_leaves_no_place_that_waits_for_ever(served: Served) -> None:
    turn = await served.log.start_turn("sim/director:delay=60s")
    await served.log.one_of(turn.conversation_id, MediaJobStarted)
    await served.log.cancel(turn)
    events = await served.log.one_of(turn.conversation_id, *ENDS)
    (refused,) = of_type(events, MediaRefused)
    assert refused.data.media_id == of_type(events, MediaJobStarted)[0].data.media_id
    assert of_type(events, ResponseCancelled)


async def test_media_switched_off_leave_the_text_unharmed(runner_settings: Settings, log: Log) -> None:
    with process("runner", runner_settings, ENABLE_MEDIA_RESPONSES="false"):
        turn = await log.start_turn("sim/painter")
        events = await log.one_of(turn.conversation_id, *ENDS)
    assert of_type(events, ResponseCompleted)
    assert of_type(events, TextAppended)
    assert not of_type(events, MediaProduced)


def _partition(conversation_id: str) -> int:
    return partition_for(conversation_id, PARTITIONS)

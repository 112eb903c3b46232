"""`polylogue dlq` on real Kafka: what it lists, sends again and lets go, also when it is cut off and run again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from click.testing import Result
from typer.testing import CliRunner

from polylogue.cli import main
from polylogue.cli.dlq import decide, letters, one_letter
from polylogue.infra.kafka import manual_consumer
from polylogue.infra.settings import Settings
from polylogue.infra.topics import COMMANDS, COMMANDS_DLQ, topic_name
from polylogue.streams.dead_letter_decisions import DeadLetterDecisions
from polylogue.streams.dead_letter_log import Position, with_letters
from polylogue.streams.dead_letters import DeadLetters, SourceRecord
from polylogue.streams.log_reader import read_to_end
from polylogue.streams.replaceable_producer import ReplaceableProducer
from tests.support.media_agent import agent
from tests.support.media_runner import runner
from tests.support.processes import environment

pytestmark = pytest.mark.stack

SECRET = b'{"type": "StartTurn", "prompt": "my secret \x1b[2J"'


def commands(settings: Settings) -> str:
    return topic_name(settings, COMMANDS)


def place(settings: Settings, partition: int, offset: int) -> Position:
    return Position(commands(settings), partition, offset)


async def bury(settings: Settings, *sources: tuple[int, int, bytes, str]) -> None:
    """Each is partition, offset, value and reason."""
    producer = ReplaceableProducer(settings)
    try:
        dead = DeadLetters(producer, topic_name(settings, COMMANDS_DLQ))
        for partition, offset, value, reason in sources:
            source = SourceRecord(commands(settings), partition, offset, b"conversation", value)
            await dead.bury(source, reason)
    finally:
        await producer.stop()


@pytest.fixture
async def two(prepared: Settings) -> Settings:
    await bury(
        prepared, (1, 7, SECRET, "the value is not JSON"), (2, 9, b"\xff\x00", "the value is not JSON")
    )
    return prepared


async def sent(settings: Settings, partition: int) -> list[Any]:
    return [record async for record in read_to_end(settings, commands(settings), partition)]


async def run(settings: Settings, *words: str) -> Result:
    """As the program runs, in a thread: its commands have loops of their own."""
    arguments: Sequence[str] = ["dlq", *words]
    return await asyncio.to_thread(CliRunner().invoke, main.app, arguments, env=environment(settings))


async def states(settings: Settings) -> dict[tuple[int, int], str]:
    found = await letters(settings, None)
    return {(position.partition, position.offset): one.state for position, one in found.items()}


async def test_letters_are_counted_by_reason_and_shown_without_their_bytes(two: Settings) -> None:
    listed = await run(two, "list")
    assert f"2  {commands(two)}: the value is not JSON" in listed.output
    assert f"{commands(two)}/1/7" in listed.output
    shown = await run(two, "show", f"{commands(two)}/1/7")
    assert "the value is not JSON" in shown.output
    assert "secret" not in listed.output + shown.output


async def test_bytes_are_shown_when_asked_for_and_a_terminal_obeys_none_of_them(two: Settings) -> None:
    shown = await run(two, "show", f"{commands(two)}/1/7", "--payload")
    assert "my secret \\x1b[2J" in shown.output
    assert "\x1b" not in shown.output
    raw = json.loads((await run(two, "show", f"{commands(two)}/2/9", "--payload", "--json")).stdout)
    assert raw["payload_base64"] == "/wA="


async def test_a_retry_sends_the_original_bytes_and_key_to_the_original_partition_once(two: Settings) -> None:
    first = await run(two, "retry", f"{commands(two)}/1/7")
    assert f"{commands(two)}/1/7: retried" in first.output
    again = await run(two, "retry", f"{commands(two)}/1/7")
    assert "decided before" in again.output
    (record,) = await sent(two, 1)
    assert (record.key, record.value) == (b"conversation", SECRET)
    assert await sent(two, 2) == []
    assert await states(two) == {(1, 7): "retried", (2, 9): "open"}
    assert f"{commands(two)}/1/7" not in (await run(two, "list")).output
    assert f"{commands(two)}/1/7" in (await run(two, "list", "--decided")).output


async def test_a_dropped_letter_is_neither_listed_nor_sent(two: Settings) -> None:
    assert "dropped" in (await run(two, "drop", f"{commands(two)}/1/7")).output
    assert "decided before" in (await run(two, "retry", f"{commands(two)}/1/7")).output
    assert await sent(two, 1) == []
    assert await states(two) == {(1, 7): "dropped", (2, 9): "open"}


async def test_all_means_those_that_nothing_was_decided_about(two: Settings) -> None:
    await run(two, "drop", f"{commands(two)}/1/7")
    done = json.loads((await run(two, "retry", "--all", "--topic", "commands", "--json")).stdout)
    assert done == {f"{commands(two)}/2/9": "retried"}
    assert "nothing to decide" in (await run(two, "retry", "--all")).output
    assert [record.value for record in await sent(two, 2)] == [b"\xff\x00"]


async def test_a_letter_that_is_buried_again_keeps_what_was_decided(two: Settings) -> None:
    await decide(two, "retry", [place(two, 1, 7)])
    # Its reader had died before it acknowledged the record.
    await bury(two, (1, 7, SECRET, "the value is not JSON"))
    assert (await states(two))[1, 7] == "retried"


@pytest.mark.parametrize("cut_before", ["sending", "noting"])
async def test_a_retry_that_was_cut_off_is_finished_by_the_next_one_and_sent_once(
    two: Settings, monkeypatch: pytest.MonkeyPatch, cut_before: str
) -> None:
    class CutOffError(Exception):
        pass

    send, note = ReplaceableProducer.send, DeadLetterDecisions._note

    async def cut_send(self: Any, topic: str, *arguments: Any, **named: Any) -> int:
        if cut_before == "sending" and topic == commands(two):
            raise CutOffError
        return await send(self, topic, *arguments, **named)

    async def cut_note(self: Any, letter: Any, decision: bytes) -> None:
        if cut_before == "noting" and decision == b"retried":
            raise CutOffError
        await note(self, letter, decision)

    with monkeypatch.context() as patch:
        patch.setattr(ReplaceableProducer, "send", cut_send)
        patch.setattr(DeadLetterDecisions, "_note", cut_note)
        with pytest.raises(CutOffError):
            await decide(two, "retry", [place(two, 1, 7)])
    assert (await states(two))[1, 7] == "retrying"
    assert await decide(two, "retry", [place(two, 1, 7)]) == {place(two, 1, 7): "retried"}
    assert [record.value for record in await sent(two, 1)] == [SECRET]


async def test_records_that_are_neither_letter_nor_decision_are_passed_over(two: Settings) -> None:
    topic = topic_name(two, COMMANDS_DLQ)
    producer = ReplaceableProducer(two)
    try:
        await producer.send(topic, b"stray", key=None, partition=0)
        # One that claims to come from another topic cannot make anything be written there.
        forged = Position("elsewhere", 0, 0)
        await producer.send(topic, b"x", key=None, partition=0, headers=forged.headers())
    finally:
        await producer.stop()
    assert set(await states(two)) == {(1, 7), (2, 9)}
    assert await one_letter(two, forged) is None


async def test_what_is_not_there_is_said_in_one_sentence(two: Settings) -> None:
    for words, sentence in {
        ("show", f"{commands(two)}/1/8"): "There is no dead letter",
        ("retry", f"{commands(two)}/1/8", f"{commands(two)}/1/7"): "nothing was done",
        ("show", "commands"): "is no position",
        ("retry",): "or all of them with --all",
        ("retry", "--all", f"{commands(two)}/1/7"): "or all of them with --all",
        (
            "list",
            "--topic",
            "media-usage",
        ): "has no dead letters; these topics have: commands, media-requests",
    }.items():
        result = await run(two, *words)
        assert sentence in str(result.exception), words
    assert await sent(two, 1) == []


async def test_a_decision_is_appended_and_nothing_is_removed(two: Settings) -> None:
    await decide(two, "drop", [place(two, 1, 7)])
    (topic,) = [name for source, name in with_letters(two) if source is COMMANDS]
    consumer = manual_consumer(two)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(topic, 0)])
    finally:
        await consumer.stop()
    assert list(ends.values()) == [3]


async def test_a_record_that_still_cannot_be_read_comes_back_as_a_new_letter(prepared: Settings) -> None:
    """With the media agent itself, which reads what was sent again like any other record."""
    async with runner(prepared) as play:
        with agent(prepared) as running:
            await running.ready()
            await play.write_request(b"\x00 no claim", b"some-key", partition=4)
            (first,) = await letters_when(prepared, 1)
            assert await decide(prepared, "retry", [first]) == {first: "retried"}
            second = (await letters_when(prepared, 2) - {first}).pop()
    assert (second.topic, second.partition) == (first.topic, first.partition)
    assert second.offset > first.offset
    found = await letters(prepared, "media-requests")
    assert {position: one.state for position, one in found.items()} == {first: "retried", second: "open"}


async def letters_when(settings: Settings, count: int) -> set[Position]:
    async with asyncio.timeout(60):
        while len(found := set(await letters(settings, "media-requests"))) < count:
            await asyncio.sleep(0.1)
    return found

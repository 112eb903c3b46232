"""A producer that fails or answers nothing is given up, and its record is sent by the next one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, OutOfOrderSequenceNumber

from polylogue.infra.settings import load_settings
from polylogue.streams import replaceable_producer
from polylogue.streams.dead_letters import DeadLetters, SourceRecord
from polylogue.streams.replaceable_producer import ProducerUnusableError, ReplaceableProducer


@dataclass
class Producer:
    """One of a row; `fault` is what its sends end in, None for success, "silence" for never."""

    fault: KafkaError | str | None
    sent: list[tuple[Any, ...]]
    closed: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    async def start(self) -> None:
        if isinstance(self.fault, KafkaConnectionError):
            raise self.fault

    async def stop(self) -> None:
        self.closed = True
        if self.fault == "silence":
            await asyncio.Event().wait()

    async def send(self, topic: str, value: bytes, **options: Any) -> asyncio.Future[SimpleNamespace]:
        answer = asyncio.get_running_loop().create_future()
        if isinstance(self.fault, KafkaError):
            answer.set_exception(self.fault)
        elif self.fault != "silence":
            self.sent.append((topic, value, options))
            answer.set_result(SimpleNamespace(offset=len(self.sent) - 1))
        return answer


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch):
    """Makes producers that fail as listed, then ones that work."""
    made: list[Producer] = []
    sent: list[tuple[Any, ...]] = []

    def of(
        *faults: KafkaError | str | None, then: KafkaError | None = None
    ) -> tuple[list[Producer], list[Any]]:
        rest = list(faults)

        def make(_: object, **__: object) -> Producer:
            made.append(Producer(rest.pop(0) if rest else then, sent))
            return made[-1]

        monkeypatch.setattr(replaceable_producer, "idempotent_producer", make)
        return made, sent

    monkeypatch.setattr(replaceable_producer, "SEND_TIMEOUT_S", 0.05)
    monkeypatch.setattr(replaceable_producer, "CLOSE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(replaceable_producer, "PAUSE_S", 0.0)
    return of


def producer(give_up_after_s: float = 5) -> ReplaceableProducer:
    return ReplaceableProducer(load_settings(_env_file=None), give_up_after_s=give_up_after_s)


@pytest.mark.parametrize("fault", [OutOfOrderSequenceNumber(), "silence", KafkaConnectionError()])
async def test_sends_the_same_record_through_a_new_producer(row, fault: KafkaError | str) -> None:
    made, sent = row(fault)
    assert await producer().send("topic", b"value", key=b"key", partition=3) == 0
    assert sent == [("topic", b"value", {"key": b"key", "partition": 3, "headers": []})]
    assert [one.closed for one in made] == [True, False]


async def test_many_senders_replace_a_wedged_producer_once(row) -> None:
    made, sent = row("silence")
    shared = producer()
    await asyncio.gather(*(shared.send("topic", str(number).encode(), key=None) for number in range(10)))
    assert sorted(value for _, value, _ in sent) == [str(number).encode() for number in range(10)]
    assert len(made) == 2


async def test_what_nobody_waits_for_is_sent_once_and_lies_before_what_follows(row) -> None:
    made, sent = row()
    shared = producer()
    await shared.start()
    shared.send_unheeded("topic", b"notice", key=b"key", partition=3)
    await shared.send("topic", b"outcome", key=b"key", partition=3)
    assert [value for _, value, _ in sent] == [b"notice", b"outcome"]
    assert len(made) == 1


@pytest.mark.parametrize("fault", [OutOfOrderSequenceNumber(), "silence"])
async def test_what_nobody_waits_for_may_be_lost_without_a_word(row, fault: KafkaError | str) -> None:
    _, sent = row(fault)
    shared = producer()
    await shared.start()
    shared.send_unheeded("topic", b"notice", key=b"key", partition=3)
    await shared.send("topic", b"outcome", key=b"key", partition=3)
    assert [value for _, value, _ in sent] == [b"outcome"]
    await shared.stop()
    shared.send_unheeded("topic", b"notice", key=b"key", partition=3)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_gives_up_when_no_producer_can_write(row) -> None:
    made, _ = row(then=KafkaConnectionError())
    with pytest.raises(ProducerUnusableError, match="topic took no record"):
        await producer(give_up_after_s=0.05).send("topic", b"value", key=None)
    assert all(one.closed for one in made)


async def test_a_dead_letter_holds_the_bytes_the_reason_and_the_place(row) -> None:
    _, sent = row()
    await DeadLetters(producer(), "requests-dlq").bury(
        SourceRecord("requests", 4, 17, b"k", b"\xff"), "no JSON"
    )
    ((topic, value, options),) = sent
    assert (topic, value, options["key"]) == ("requests-dlq", b"\xff", b"k")
    assert dict(options["headers"]) == {
        "reason": b"no JSON",
        "source_topic": b"requests",
        "source_partition": b"4",
        "source_offset": b"17",
    }

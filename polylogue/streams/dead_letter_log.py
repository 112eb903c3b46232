"""Reads a `-dlq` topic: its dead letters, and what an operator has decided about each.

The topic is only ever appended to. A decision is a record of its own with the source position of its letter and a
header `resolution`: `retrying` before the record is sent again, `retried` after it, or `dropped`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from aiokafka import ConsumerRecord

from polylogue.infra.settings import Settings
from polylogue.infra.topics import CATALOGUE, Topic, topic_name
from polylogue.streams.dead_letters import REASON, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC
from polylogue.streams.log_reader import read_to_end

RESOLUTION = "resolution"
RETRIED_FROM = "retried_from"  # header of a record that was sent again: the position of its letter
SUFFIX = "-dlq"

State = Literal["open", "retrying", "retried", "dropped"]
DECISIONS: Mapping[bytes, State] = {b"retrying": "retrying", b"retried": "retried", b"dropped": "dropped"}
FINAL = ("retried", "dropped")

Headers = Iterable[tuple[str, bytes]]


@dataclass(frozen=True, order=True)
class Position:
    """Where the record lies that could not be read; it names the letter, however often that was buried."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @staticmethod
    def parse(text: str) -> Position | None:
        match text.split("/"):
            case [topic, partition, offset] if topic and partition.isdecimal() and offset.isdecimal():
                return Position(topic, int(partition), int(offset))
        return None

    def headers(self) -> list[tuple[str, bytes]]:
        return [
            (SOURCE_TOPIC, self.topic.encode()),
            (SOURCE_PARTITION, str(self.partition).encode()),
            (SOURCE_OFFSET, str(self.offset).encode()),
        ]


@dataclass(frozen=True)
class DeadLetter:
    position: Position
    reason: str
    key: bytes | None
    value: bytes | None  # None, too, where it was not asked for
    size_bytes: int
    buried_at_ms: int
    dlq_topic: str
    dlq_offset: int
    state: State = "open"
    decided_at_ms: int | None = None


def with_letters(settings: Settings) -> list[tuple[Topic, str]]:
    """Each topic that has dead letters, and the name of the topic that they lie in."""
    known = {topic.name: topic for topic in CATALOGUE}
    return [
        (source, topic_name(settings, known[name + SUFFIX]))
        for name, source in known.items()
        if name + SUFFIX in known
    ]


async def read_letters(settings: Settings, topics: Iterable[str]) -> dict[Position, DeadLetter]:
    """The letters of the named `-dlq` topics, without their values, which may be many MiB."""
    letters: dict[Position, DeadLetter] = {}
    for topic in topics:
        fold: dict[Position, DeadLetter] = {}
        async for record in _records(settings, topic):
            take_in(fold, record)
        letters |= fold
    return letters


async def with_value(settings: Settings, letter: DeadLetter) -> DeadLetter | None:
    """The letter with its bytes; None where retention has removed it."""
    records = read_to_end(settings, letter.dlq_topic, 0, offset=letter.dlq_offset)
    async with contextlib.aclosing(records):
        async for record in records:
            return replace(letter, value=record.value) if record.offset == letter.dlq_offset else None
    return None


def _records(settings: Settings, topic: str) -> AsyncGenerator[ConsumerRecord[bytes, bytes]]:
    # One partition, so that a decision lies behind its letter.
    return read_to_end(settings, topic, 0)


def take_in(letters: dict[Position, DeadLetter], record: ConsumerRecord[bytes, bytes]) -> None:
    """Folds one record. A decision about a letter that retention has removed is nothing any more."""
    position = position_of(record.headers)
    if position is None or position.topic + SUFFIX != record.topic:
        return
    headers = dict(record.headers)
    letter = letters.get(position)
    if RESOLUTION in headers:
        decision = DECISIONS.get(headers[RESOLUTION])
        if letter is not None and decision is not None and letter.state not in FINAL:
            letters[position] = replace(letter, state=decision, decided_at_ms=record.timestamp)
    elif letter is None:
        # One that is buried again, after a death of its reader, is the same letter; what was decided stays.
        letters[position] = DeadLetter(
            position=position,
            reason=headers.get(REASON, b"").decode(errors="replace"),
            key=record.key,
            value=None,
            size_bytes=len(record.value or b""),
            buried_at_ms=record.timestamp,
            dlq_topic=record.topic,
            dlq_offset=record.offset,
        )


def position_of(headers: Headers) -> Position | None:
    """None where the record is neither letter nor decision."""
    found = dict(headers)
    try:
        return Position(found[SOURCE_TOPIC].decode(), int(found[SOURCE_PARTITION]), int(found[SOURCE_OFFSET]))
    except (KeyError, ValueError):
        return None

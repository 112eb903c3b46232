"""Writes `conversation-events` as a busy installation would have written it, as bytes and fast; the same seed, the same log."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count, islice
from typing import Any

from aiokafka import AIOKafkaProducer

from polylogue.infra.kafka import idempotent_producer, partition_for
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CONVERSATION_EVENTS, topic_name
from polylogue.projections.testing import Answer, Story
from polylogue.schemas.clock import parse_rfc3339_ms, rfc3339
from polylogue.schemas.codec import event_codec

ACTIVE = 40  # conversations that are answered at the same time in a partition
TEMPLATES = 8  # turns to take turns with, so that not all are equally long
BATCH_BYTES = 512 * 1024
IN_FLIGHT = 4  # batches of a partition that are not acknowledged yet
MEAN_STEP_MS = 3  # between two records of a partition
START_MS = parse_rfc3339_ms("2026-01-05T08:00:00.000Z")

_CONVERSATION = "c" * 32
_OWNER = "owner-of-the-template"
WORDS = (
    "a",
    "circle",
    "is",
    "the",
    "set",
    "of",
    "all",
    "points",
    "in",
    "plane",
    "at",
    "one",
    "distance",
    "from",
)


@dataclass(frozen=True)
class Mix:
    """What a turn is made of. `pieces` are text deltas of an answer."""

    name: str
    models: int
    pieces: tuple[int, int]
    reasoning: tuple[int, int]
    media_share: float
    rated_share: float
    turns: int


# Nearly all records of a log are text: answers that arrive token by token.
TEXT = Mix("text", models=3, pieces=(200, 400), reasoning=(0, 0), media_share=0, rated_share=0, turns=3)
# Short answers, reasoning, pictures with renditions, ratings, failures: little to fold, much to write.
FULL = Mix("full mix", models=3, pieces=(8, 40), reasoning=(0, 12), media_share=0.4, rated_share=0.3, turns=4)

Template = list[Callable[[bytes, bytes, bytes], bytes]]


def records(mix: Mix, partition: int, partitions: int, seed: int = 1) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each record of a partition, without end; conversations lie among each other."""
    templates = _templates(mix, seed)
    random_ = random.Random(f"{seed}/{mix.name}/{partition}")
    ids = _ids(partition, partitions, random_)
    active = [_conversation(next(ids), templates, random_) for _ in range(ACTIVE)]
    at_ms, clock = START_MS, b""
    for number in count():
        if number % 20 == 0:
            # Twenty records share their time: making it is dearer than all else.
            at_ms += random_.randint(1, 2 * MEAN_STEP_MS * 20)
            clock = rfc3339(at_ms).encode()
        place = random_.randrange(ACTIVE)
        found = next(active[place], None)
        if found is None:
            active[place] = _conversation(next(ids), templates, random_)
            found = next(active[place])
        key, make, owner = found
        yield key, make(key, owner, clock)


async def write_log(settings: Settings, mix: Mix, events: int, partitions: int, seed: int = 1) -> None:
    """Appends about `events` records, evenly to all partitions, behind what is there."""
    producer = idempotent_producer(settings, compression_type="lz4", max_batch_size=BATCH_BYTES)
    await producer.start()
    try:
        async with asyncio.TaskGroup() as group:
            for partition in range(partitions):
                made = islice(records(mix, partition, partitions, seed), events // partitions)
                group.create_task(
                    _write(producer, topic_name(settings, CONVERSATION_EVENTS), partition, made)
                )
    finally:
        await producer.stop()


async def _write(
    producer: AIOKafkaProducer, topic: str, partition: int, made: Iterator[tuple[bytes, bytes]]
) -> None:
    waiting: list[Any] = []
    batch = producer.create_batch()
    for key, value in made:
        if batch.append(key=key, value=value, timestamp=None) is None:
            waiting.append(await producer.send_batch(batch, topic, partition=partition))
            if len(waiting) >= IN_FLIGHT:
                await waiting.pop(0)
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
            await asyncio.sleep(0)
    if batch.record_count():
        waiting.append(await producer.send_batch(batch, topic, partition=partition))
    for one in waiting:
        await one


def _ids(partition: int, partitions: int, random_: random.Random) -> Iterator[bytes]:
    while True:
        name = f"{random_.getrandbits(128):032x}"
        if partition_for(name, partitions) == partition:
            yield name.encode()


def _conversation(
    name: bytes, templates: list[Template], random_: random.Random
) -> Iterator[tuple[bytes, Callable[[bytes, bytes, bytes], bytes], bytes]]:
    owner = b"user-%d" % random_.randrange(200)
    for make in random_.choice(templates):
        yield name, make, owner


@cache
def _templates(mix: Mix, seed: int) -> list[Template]:
    random_ = random.Random(f"{seed}/{mix.name}")
    return [_template(mix, random_) for _ in range(TEMPLATES)]


def _template(mix: Mix, random_: random.Random) -> Template:
    """A conversation as the codec encodes it, each record cut at its id, its owner and its time."""
    story = Story(_CONVERSATION, owner_id=_OWNER)
    for turn in range(mix.turns):
        models = [f"vendor/model-{random_.randrange(12)}-{number}" for number in range(mix.models)]
        answers = story.ask("What is a circle, and why?", *models, start="Circles" if turn == 0 else None)
        for answer in answers:
            answer.begin()
        media = _answer(mix, answers, random_)
        for medium in media:
            story.stored(medium)
            story.renditions(medium)
        if random_.random() < mix.rated_share:
            story.rate(answers[0].turn_id, answers[0])
    return [_cut(event_codec.encode(event), event.occurred_at) for event in story.events]


def _answer(mix: Mix, answers: list[Answer], random_: random.Random) -> list[str]:
    """Its answers come piece by piece, in turns."""
    left = {answer.response_id: random_.randint(*mix.pieces) for answer in answers}
    for answer in answers:
        answer.reason(*(_words(random_) for _ in range(random_.randint(*mix.reasoning))))
    media: list[str] = []
    while any(left.values()):
        answer = random_.choice([one for one in answers if left[one.response_id]])
        answer.text(_words(random_))
        left[answer.response_id] -= 1
        if left[answer.response_id]:
            continue
        if random_.random() < mix.media_share:
            media.append(answer.produce())
        if random_.random() < 0.05:
            answer.fail()
        else:
            answer.complete()
    return media


def _words(random_: random.Random) -> str:
    return " ".join(random_.choices(WORDS, k=random_.randint(1, 4))) + " "


def _cut(value: bytes, occurred_at: str) -> Callable[[bytes, bytes, bytes], bytes]:
    name, owner, at = b"\x00", b"\x01", b"\x02"
    text = value.replace(_CONVERSATION.encode(), name).replace(_OWNER.encode(), owner)
    text = text.replace(f'"occurred_at":"{occurred_at}"'.encode(), b'"occurred_at":"' + at + b'"')
    # Formatting is one pass in C.
    pattern = text.replace(b"%", b"%%")
    pattern = pattern.replace(name, b"%(name)b").replace(owner, b"%(owner)b").replace(at, b"%(at)b")

    def make(conversation: bytes, owner_id: bytes, clock: bytes) -> bytes:
        return pattern % {b"name": conversation, b"owner": owner_id, b"at": clock}

    return make

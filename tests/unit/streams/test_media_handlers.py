"""What the media agent does with each kind of request, and that nothing but an unwritable outcome escapes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec
import pytest

from polylogue.infra.settings import load_settings
from polylogue.media.spool import Spool
from polylogue.media.store import Conflict, ObjectHead, StorageUnavailableError, Stored, Upload
from polylogue.media.verdicts import Accepted, MadeRendition
from polylogue.schemas.claims import (
    DeleteConversationMedia,
    DeleteMedia,
    ExpireMedia,
    MediumRef,
    RetryMedia,
    StoreMedia,
)
from polylogue.schemas.clock import now_ms
from polylogue.schemas.codec import event_codec, request_codec, usage_codec
from polylogue.schemas.envelope import Event, Request, UsageEvent
from polylogue.schemas.events import MediaRenditionsStored, MediaStored, MediaValidated
from polylogue.streams.conversation_removal import ConversationRemoval
from polylogue.streams.dead_letters import SourceRecord
from polylogue.streams.media_outcomes import MediaOutcomes
from polylogue.streams.media_removal import MediaRemoval
from polylogue.streams.media_renditions import MediaRenditions
from polylogue.streams.media_requests import MediaRequests
from polylogue.streams.media_storing import MediaStoring
from polylogue.streams.media_work import Afterwards, Settled, Work
from tests.support.claims import claim_of

SETTINGS = load_settings(_env_file=None, kafka_topic_prefix="t-")
CLAIM = claim_of("a1", answer_partition=3)
STEM = CLAIM.key.removesuffix(".png")
MEDIUM = MediumRef(
    media_id="a1",
    media_type="image",
    conversation_id="c1",
    owner_id="local",
    answer_partition=3,
    key=CLAIM.key,
    size_bytes=7,
)
FACTS = Accepted(media_type="image", format="png", content_type="image/png", width=4, height=3)


@dataclass
class Producer:
    sent: list[tuple[str, bytes, int | None]] = field(default_factory=list)

    async def send(self, topic: str, value: bytes, *, key: bytes, partition: int | None = None) -> int:
        self.sent.append((topic, value, partition))
        return len(self.sent)

    def send_unheeded(self, topic: str, value: bytes, *, key: bytes, partition: int) -> None:
        self.sent.append((topic, value, partition))

    def events(self) -> list[Event]:
        found = [event_codec.decode(value) for topic, value, _ in self.sent if topic.endswith("events")]
        assert all(isinstance(event, Event) for event in found)
        return found  # type: ignore[return-value]

    def kinds(self) -> list[str]:
        return [type(event.data).__name__ for event in self.events()]

    def usage(self) -> list[UsageEvent]:
        return [usage_codec.decode(value) for topic, value, _ in self.sent if topic.endswith("usage")]  # type: ignore[misc]


@dataclass
class Store:
    objects: dict[str, bytes] = field(default_factory=dict)
    down: bool = False

    async def put(self, key: str, upload: Upload, *, deadline: float) -> Any:
        self._work(deadline)
        if key in self.objects:
            return Conflict(ObjectHead(len(self.objects[key]), "image/webp", "other"))
        assert not isinstance(upload.source, Spool)
        self.objects[key] = upload.source.read()
        return Stored()

    async def keys(self, prefix: str, *, deadline: float) -> AsyncIterator[str]:
        self._work(deadline)
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield key

    async def delete(self, key: str, *, deadline: float) -> None:
        self._work(deadline)
        self.objects.pop(key, None)

    def _work(self, deadline: float) -> None:
        assert deadline > time.monotonic()
        if self.down:
            raise StorageUnavailableError("S3 cannot be used: EndpointConnectionError")


@dataclass
class Pool:
    made: list[MadeRendition] = field(default_factory=list)
    error: Exception | None = None

    async def renditions(self, source: Any, facts: Accepted) -> list[MadeRendition]:
        assert facts == FACTS
        if self.error is not None:
            raise self.error
        return self.made


@dataclass
class Settlement:
    asked: list[Work] = field(default_factory=list)
    spools: list[Spool] = field(default_factory=list)

    async def settle(self, work: Work) -> Settled:
        self.asked.append(work)
        self.spools.append(Spool())
        claim = work.claim
        stored = MediaStored(
            media_id=claim.media_id,
            media_type="image",
            key=claim.key,
            url="http://s3/x",
            format="png",
            content_type="image/png",
            size_bytes=7,
            sha256="0" * 64,
            retry=claim.retry,
        )
        return Settled(stored, spool=self.spools[-1], facts=FACTS)


@dataclass
class Letters:
    buried: list[str] = field(default_factory=list)

    async def bury(self, record: SourceRecord, reason: str) -> None:
        self.buried.append(reason)


@dataclass
class Agent:
    """All of it but S3, Kafka and the decoders."""

    store: Store = field(default_factory=Store)
    pool: Pool = field(default_factory=Pool)
    producer: Producer = field(default_factory=Producer)
    settlement: Settlement = field(default_factory=Settlement)
    letters: Letters = field(default_factory=Letters)

    async def carry_out(self, data: Any) -> None:
        """With all that it leaves to be done."""
        if (afterwards := await self.begin(data)) is not None:
            await afterwards.run()
            afterwards.close()

    async def begin(self, data: Any) -> Afterwards | None:
        return await self.requests.carry_out(
            SourceRecord(
                "media-requests",
                0,
                0,
                b"k",
                data
                if isinstance(data, bytes)
                else request_codec.encode(Request(request_id="r1", data=data)),
            )
        )

    @cached_property
    def requests(self) -> MediaRequests:
        outcomes = MediaOutcomes(SETTINGS, self.producer)  # type: ignore[arg-type]
        renditions = MediaRenditions(self.pool, self.store, outcomes, limit_s=5)  # type: ignore[arg-type]
        storing = MediaStoring(self.settlement, outcomes, renditions)  # type: ignore[arg-type]
        removal = MediaRemoval(SETTINGS, self.store, outcomes, quiet=renditions.ended)  # type: ignore[arg-type]
        return MediaRequests(
            {
                StoreMedia: storing.store,
                RetryMedia: storing.retry,
                DeleteMedia: removal.delete,
                ExpireMedia: removal.expire,
                DeleteConversationMedia: ConversationRemoval(removal).delete,
            },
            self.letters,  # type: ignore[arg-type]
        )


WEBP = MadeRendition(name="webp", content_type="image/webp", data=b"webp", width=4, height=3)
THUMBNAIL = MadeRendition(name="thumbnail", content_type="image/webp", data=b"small", width=2, height=1)
STORE = StoreMedia(claim=CLAIM, produced_at_ms=now_ms(), traceparent="00-a-b-01")


async def test_smaller_versions_follow_the_outcome() -> None:
    agent = Agent(pool=Pool([WEBP, THUMBNAIL]))
    await agent.carry_out(STORE)
    assert agent.producer.kinds() == ["MediaStored", "MediaRenditionsStored"]
    followed = agent.producer.events()[1]
    assert isinstance(followed.data, MediaRenditionsStored)
    assert [(one.name, one.key, one.size_bytes, one.width) for one in followed.data.renditions] == [
        ("webp", f"{STEM}.webp.webp", 4, 4),
        ("thumbnail", f"{STEM}.thumbnail.webp", 5, 2),
    ]
    assert (followed.event_id, followed.traceparent) == ("a1.MediaRenditionsStored.0", "00-a-b-01")
    assert {partition for topic, _, partition in agent.producer.sent if topic.endswith("events")} == {3}
    assert agent.settlement.spools[0].file.closed


async def test_what_another_attempt_made_stays_and_is_told_of() -> None:
    agent = Agent(store=Store({f"{STEM}.webp.webp": b"theirs"}), pool=Pool([WEBP]))
    await agent.carry_out(STORE)
    data = agent.producer.events()[1].data
    assert isinstance(data, MediaRenditionsStored)
    assert data.renditions[0].size_bytes == len(b"theirs")


@pytest.mark.parametrize(
    "agent",
    [
        Agent(pool=Pool(error=OSError("no process"))),
        Agent(pool=Pool(error=ZeroDivisionError())),
        Agent(pool=Pool([WEBP]), store=Store(down=True)),
        Agent(pool=Pool([])),
    ],
    ids=["no process", "defect", "no storage", "none made"],
)
async def test_smaller_versions_that_fail_leave_the_medium_as_it_is(agent: Agent) -> None:
    await agent.carry_out(STORE)
    assert agent.producer.kinds() == ["MediaStored"]
    assert agent.letters.buried == []
    assert agent.settlement.spools[0].file.closed


@pytest.mark.parametrize(
    "removal",
    [
        DeleteMedia(medium=MEDIUM),
        ExpireMedia(medium=MEDIUM),
        DeleteConversationMedia(conversation_id="c1", owner_id="local", answer_partition=3),
    ],
    ids=lambda data: type(data).__name__,
)
async def test_a_removal_waits_for_smaller_versions_that_would_outlive_it(removal: Any) -> None:
    agent = Agent(pool=Pool([WEBP]))
    afterwards = await agent.begin(STORE)
    assert afterwards is not None
    removing = asyncio.create_task(agent.carry_out(removal))
    for _ in range(5):
        await asyncio.sleep(0)
    assert agent.producer.kinds() == ["MediaStored"]
    assert not removing.done()
    await afterwards.run()
    afterwards.close()
    await removing
    assert agent.store.objects == {}
    assert agent.producer.kinds()[:2] == ["MediaStored", "MediaRenditionsStored"]


async def test_a_removal_does_not_wait_for_another_conversation_s() -> None:
    agent = Agent(pool=Pool([WEBP]))
    afterwards = await agent.begin(STORE)
    assert afterwards is not None
    await agent.carry_out(DeleteMedia(medium=msgspec.structs.replace(MEDIUM, conversation_id="c2")))
    assert agent.producer.kinds() == ["MediaStored", "MediaDeleted"]
    afterwards.close()
    assert agent.settlement.spools[0].file.closed


async def test_that_a_medium_was_accepted_is_told_once_for_each_try() -> None:
    producer = Producer()
    outcomes = MediaOutcomes(SETTINGS, producer)  # type: ignore[arg-type]
    claim = msgspec.structs.replace(CLAIM, retry=2)
    facts = MediaValidated(
        media_id="a1", media_type="image", format="png", content_type="image/png", size_bytes=7, retry=2
    )
    for _ in range(2):
        outcomes.validated(Work("r1", claim, 5, "00-a-b-01"), facts)
    first, second = producer.events()
    assert first.event_id == second.event_id == "a1.MediaValidated.2"
    assert (first.conversation_id, first.turn_id, first.response_id) == ("c1", "t1", "t1-1")
    assert (first.causation_id, first.traceparent, first.data) == ("r1", "00-a-b-01", facts)
    assert [partition for _, _, partition in producer.sent] == [3, 3]
    assert producer.usage() == []


async def test_a_retry_is_announced_before_it_is_tried() -> None:
    agent = Agent()
    claim = msgspec.structs.replace(CLAIM, retry=2)
    await agent.carry_out(RetryMedia(claim=claim, asked_at_ms=5_000))
    assert agent.producer.kinds() == ["MediaRetried", "MediaStored"]
    assert [event.event_id for event in agent.producer.events()] == ["a1.MediaRetried.2", "a1.MediaStored.2"]
    assert agent.settlement.asked[0].since_ms == 5_000
    assert [event.event_id for event in agent.producer.usage()] == ["a1.stored.2"]


@pytest.mark.parametrize(
    ("request_", "kind", "outcome"),
    [
        (DeleteMedia(medium=MEDIUM, traceparent="00-a-b-01"), "MediaDeleted", "deleted"),
        (ExpireMedia(medium=MEDIUM), "MediaExpired", "expired"),
    ],
)
async def test_a_removal_takes_all_of_the_medium_and_nothing_else(
    request_: Any, kind: str, outcome: str
) -> None:
    other = f"{STEM}0.png"  # its name begins as this one's does
    agent = Agent(Store({f"{STEM}.png": b"", f"{STEM}.webp.webp": b"", other: b""}))
    for _ in range(2):
        await agent.carry_out(request_)
    assert list(agent.store.objects) == [other]
    assert agent.producer.kinds() == [kind, kind]
    first, second = agent.producer.events()
    assert first.event_id == second.event_id == f"a1.{kind}.0"
    usage = agent.producer.usage()[0].data
    assert (usage.outcome, usage.size_bytes, usage.response_id, usage.model) == (outcome, 7, "", "")  # type: ignore[attr-defined]


async def test_a_medium_that_never_had_an_object_is_deleted_all_the_same() -> None:
    agent = Agent(Store({f"{STEM}.png": b""}))
    await agent.carry_out(DeleteMedia(medium=msgspec.structs.replace(MEDIUM, key=None)))
    assert agent.producer.kinds() == ["MediaDeleted"]
    assert len(agent.store.objects) == 1


async def test_a_conversation_s_removal_finds_what_nobody_named() -> None:
    strange = "media/audio/c1/sim%2Fsinger/20260103_b2.waveform.json"
    kept = ["media/image/c10/sim%2Fpainter/20260102_a1.png", "private/local/t2/1.png"]
    gone = [f"{STEM}.png", strange, "private/local/t1/1.png", "private/history/local/t1-1.json"]
    agent = Agent(Store(dict.fromkeys([*kept, *gone], b"")))
    await agent.carry_out(
        DeleteConversationMedia(
            conversation_id="c1", owner_id="local", answer_partition=3, media=(MEDIUM,), turn_ids=("t1",)
        )
    )
    assert sorted(agent.store.objects) == sorted(kept)
    told = [(event.data.media_id, event.data.reason) for event in agent.producer.events()]  # type: ignore[attr-defined]
    assert told == [("a1", "conversation_deleted"), ("b2", "conversation_deleted")]
    assert agent.producer.usage()[1].data.model == "sim/singer"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "request_",
    [
        DeleteMedia(medium=MEDIUM),
        ExpireMedia(medium=MEDIUM),
        DeleteConversationMedia(conversation_id="c1", owner_id="local", answer_partition=3),
    ],
)
async def test_what_cannot_be_removed_is_told_to_nobody_and_buried(request_: Any) -> None:
    agent = Agent(Store({f"{STEM}.png": b""}, down=True))
    await agent.carry_out(request_)
    assert agent.producer.sent == []
    assert len(agent.letters.buried) == 1
    assert "could not be removed" in agent.letters.buried[0]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\x00", "the value is not JSON"),
        (b'{"request_id":"r","type":"Dance","version":1,"data":{}}', "the type Dance is not known"),
        (
            b'{"request_id":"r","type":"StoreMedia","version":99,"data":{}}',
            "version 99 of StoreMedia is newer than this software",
        ),
    ],
)
async def test_what_cannot_be_read_is_buried(value: bytes, reason: str) -> None:
    agent = Agent()
    await agent.carry_out(value)
    assert agent.letters.buried == [reason]
    assert agent.producer.sent == []

"""Looks at a runner's work from outside: reads the raw log as JSON and checks what was promised of it.

It shares no code with the system: neither codec nor reducer nor log reader, so an error in them shows here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

ENDS = ("ResponseCompleted", "ResponseFailed", "ResponseCancelled")
ANSWER = ("TextAppended", "ReasoningAppended", "MediaProduced", "MediaRefused", "ResponseNoted")

Event = dict[str, Any]


@dataclass(frozen=True)
class Observation:
    """The topics of one runner group as they stood at one moment, with every record that a fault left in them."""

    events: Sequence[Event]  # of every partition; in each in the order of the log
    claims: Sequence[Mapping[str, Any]]
    segments: Mapping[
        tuple[int, int], tuple[str, int, bytes]
    ]  # by partition and offset: medium, number, bytes
    commands: Sequence[tuple[int, int, Event]]  # partition, offset
    ends: Mapping[int, int]  # of each partition of commands
    committed: Mapping[int, int]
    closed: frozenset[int]  # partitions of events whose last entry is the end of a transaction

    def of_response(self, response_id: str) -> list[Event]:
        """What a reader is shown: (attempt, sequence) rises, and nothing comes after the end."""
        shown: list[Event] = []
        last, ended = (0, 0), False
        for event in self.events:
            if event.get("response_id") != response_id or "attempt" not in event:
                continue
            place = (event["attempt"], event["sequence"])
            if place > last and not ended:
                shown.append(event)
                last, ended = place, event["type"] in ENDS
        return shown

    def text(self, response_id: str) -> str:
        return "".join(
            event["data"]["text"]
            for event in self.of_response(response_id)
            if event["type"] == "TextAppended"
        )

    def end(self, response_id: str) -> Event | None:
        return next((event for event in self.of_response(response_id) if event["type"] in ENDS), None)

    def outcome(self, response_id: str) -> str:
        """`completed`, `cancelled`, the failure's class, or `running`."""
        end = self.end(response_id)
        if end is None:
            return "running"
        return str(end["data"].get("failure_class") or end["type"].removeprefix("Response").lower())

    def responses(self) -> list[str]:
        """Those that commands ask for."""
        return [
            slot["response_id"]
            for _, _, command in self.commands
            if command["type"] == "StartTurn"
            for slot in command["data"]["responses"]
        ]

    def started(self, response_id: str) -> int:
        return sum(event["type"] == "ResponseStarted" for event in self.of_response(response_id))


async def observe(bootstrap_servers: str, prefix: str) -> Observation:
    topics = ("commands", "conversation-events", "media-requests", "media-segments")
    places, committed = await _places_and_commits(bootstrap_servers, prefix, topics)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        enable_auto_commit=False,
        isolation_level="read_uncommitted",
        auto_offset_reset="earliest",  # from the start; to seek there would race with a reset to the end
        fetch_max_wait_ms=5,
        max_partition_fetch_bytes=8 * 1024 * 1024,
    )
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: dict[str, list[Any]] = {topic: [] for topic in topics}
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=100)).items():
                found[place.topic.removeprefix(prefix)].extend(r for r in records if r.offset < ends[place])
    finally:
        await consumer.stop()
    return Observation(
        events=[json.loads(record.value) for record in found["conversation-events"]],
        claims=[
            request["data"]["claim"]
            for request in (json.loads(record.value) for record in found["media-requests"])
            if request["type"] != "PrepareMedia"  # a hint, of which there may be none
        ],
        segments={
            (record.partition, record.offset): (
                dict(record.headers)["media_id"].decode(),
                int(dict(record.headers)["segment"]),
                record.value,
            )
            for record in found["media-segments"]
        },
        commands=[
            (record.partition, record.offset, json.loads(record.value)) for record in found["commands"]
        ],
        ends={place.partition: end for place, end in ends.items() if place.topic == f"{prefix}commands"},
        committed=committed,
        closed=frozenset(
            place.partition
            for place, end in ends.items()
            if place.topic == f"{prefix}conversation-events"
            and end
            > 1
            + max(
                (r.offset for r in found["conversation-events"] if r.partition == place.partition),
                default=end,
            )
        ),
    )


async def _places_and_commits(
    bootstrap_servers: str, prefix: str, topics: Sequence[str]
) -> tuple[list[TopicPartition], dict[int, int]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        described = await admin.describe_topics([prefix + topic for topic in topics])
        offsets = await admin.list_consumer_group_offsets(f"{prefix}polylogue-runner")
    finally:
        await admin.close()
    places = [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        for partition in topic["partitions"]
    ]
    assert places, f"there are no topics {prefix}…"
    return places, {place.partition: stored.offset for place, stored in offsets.items() if stored.offset >= 0}


@dataclass
class Faults:
    """What was found to be wrong; empty when every promise is kept."""

    found: list[str] = field(default_factory=list)

    def unless(self, kept: object, complaint: str) -> None:
        if not kept:
            self.found.append(complaint)


def faults_at_any_time(now: Observation) -> list[str]:
    """What must hold at every moment, also between a death and the takeover."""
    faults = Faults()
    seen: dict[tuple[str, int, int], Event] = {}
    for event in now.events:
        if "attempt" not in event or event.get("response_id") is None:
            continue
        place = (event["response_id"], event["attempt"], event["sequence"])
        first = seen.setdefault(place, event)
        faults.unless(first["data"] == event["data"], f"{place} was written with two contents")
    for response_id in now.responses():
        shown = now.of_response(response_id)
        faults.unless(
            all(event["attempt"] == shown[-1]["attempt"] for event in shown if event["type"] in ANSWER),
            f"{response_id} showed parts of two attempts",
        )
    claimed = {claim["media_id"] for claim in now.claims}
    for partition, offset, command in now.commands:
        if command["type"] != "StartTurn" or now.committed.get(partition, 0) <= offset:
            continue
        for slot in command["data"]["responses"]:
            name = slot["response_id"]
            faults.unless(now.end(name), f"the committed offset passed {name}, which has not ended")
            unclaimed = {medium["media_id"] for medium in _produced(now, name)} - claimed
            faults.unless(
                not unclaimed, f"the committed offset passed {name}, which has media without a claim"
            )
    return faults.found


def faults_at_the_end(now: Observation, texts: Mapping[str, str]) -> list[str]:
    """What must hold when all is quiet. `texts` is what each model says, undisturbed."""
    faults = Faults(faults_at_any_time(now))
    models = {
        slot["response_id"]: slot["model"]
        for _, _, command in now.commands
        if command["type"] == "StartTurn"
        for slot in command["data"]["responses"]
    }
    claimed = {claim["media_id"]: claim for claim in now.claims}
    for response_id, model in models.items():
        outcome, text, whole = now.outcome(response_id), now.text(response_id), texts.get(model)
        faults.unless(outcome != "running", f"{response_id} ({model}) has not ended")
        if whole is not None:
            good = text == whole if outcome == "completed" else whole.startswith(text)
            faults.unless(good, f"{response_id} ({model}, {outcome}) says {text!r} and not {whole!r}")
        for medium in _produced(now, response_id):
            name = medium["media_id"]
            faults.unless(claimed.get(name) == medium, f"medium {name} of {model} has no claim of its own")
            faults.unless(_bytes_are_there(now, medium), f"the segments of {name} are not what was announced")
    shown = [medium["media_id"] for name in models for medium in _produced(now, name)]
    faults.unless(len(shown) == len(set(shown)), "a medium was shown twice")
    prompts = [event["turn_id"] for event in _once(now, "PromptSubmitted")]
    faults.unless(len(prompts) == len(set(prompts)), "a prompt was shown twice")
    return faults.found


def faults_between(before: Observation, after: Observation) -> list[str]:
    """What was acknowledged before must be shown after, in the same order."""
    faults = Faults()
    for response_id in before.responses():
        then, now = before.of_response(response_id), after.of_response(response_id)
        faults.unless(now[: len(then)] == then, f"{response_id} lost or changed what it had shown")
    return faults.found


def _produced(now: Observation, response_id: str) -> Iterable[Mapping[str, Any]]:
    return [
        event["data"]["claim"] for event in now.of_response(response_id) if event["type"] == "MediaProduced"
    ]


def _once(now: Observation, kind: str) -> list[Event]:
    """Events of commands: one that is not above the last of its type in its conversation is a repetition."""
    last: dict[str, int] = {}
    shown = []
    for event in now.events:
        if event["type"] == kind and event["command_offset"] > last.get(event["conversation_id"], -1):
            last[event["conversation_id"]] = event["command_offset"]
            shown.append(event)
    return shown


def _bytes_are_there(now: Observation, claim: Mapping[str, Any]) -> bool:
    wanted = claim["segments"]
    pieces: dict[int, bytes] = {}
    for offset in range(wanted["first_offset"], wanted["last_offset"] + 1):
        medium, number, piece = now.segments.get((wanted["partition"], offset), ("", 0, b""))
        if medium == claim["media_id"]:
            pieces[number] = piece
    whole = b"".join(pieces[number] for number in sorted(pieces))
    return (
        sorted(pieces) == list(range(wanted["count"]))
        and len(whole) == wanted["size_bytes"]
        and hashlib.sha256(whole).hexdigest() == wanted["sha256"]
    )

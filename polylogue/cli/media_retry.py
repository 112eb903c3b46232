"""`polylogue media retry`: has failed media tried again, as long as their bytes are kept."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polylogue.cli.problems import Problem, postgres_away
from polylogue.cli.servers_here import settings_here

if TYPE_CHECKING:
    from polylogue.infra.settings import Settings
    from polylogue.streams.sweeper_facts import FoundClaim

NOT_TRIED = 1  # exit code
SEND_GIVES_UP_S = 30.0
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

# The place of the turn's first event: from there on the log tells everything of the medium.
_PLACES = """
    SELECT m.media_id::text, m.conversation_id::text, m.status::text, c."partition"::integer,
           t.first_offset::bigint
    FROM media_objects AS m
    JOIN conversations AS c ON c.conversation_id = m.conversation_id
    LEFT JOIN conversation_turns AS t ON t.turn_id = m.turn_id
"""
_CHOSEN = {
    "media_id": "WHERE m.media_id = %s",
    "conversation_id": "WHERE m.conversation_id = %s AND m.status = 'failed' ORDER BY m.created_at",
    "since": "WHERE m.status = 'failed' AND m.updated_at >= to_timestamp(%s) ORDER BY m.updated_at",
}


@dataclass(frozen=True)
class Place:
    media_id: str
    conversation_id: str
    status: str
    partition: int
    first_offset: int | None  # None: the turn is gone, since the conversation is deleted


def retry(
    media_id: Annotated[str | None, typer.Argument(help="The medium.")] = None,
    *,
    conversation: Annotated[
        str | None, typer.Option(metavar="ID", help="Every failed medium of a conversation.")
    ] = None,
    failed_since: Annotated[
        str | None, typer.Option(metavar="AGE", help="Every medium that has failed since, such as 2h or 3d.")
    ] = None,
) -> None:
    """Try failed media again; exit code 1 if one could not be."""

    import psycopg

    given = [one for one in (media_id, conversation, failed_since) if one is not None]
    if len(given) != 1:
        raise Problem("Name one of: a medium, --conversation, --failed-since.")
    if media_id is not None:
        chosen: tuple[str, Any] = ("media_id", media_id)
    elif conversation is not None:
        chosen = ("conversation_id", conversation)
    else:
        from polylogue.schemas.clock import now_ms

        chosen = ("since", now_ms() / 1000 - seconds(failed_since or ""))
    try:
        tried, lines = asyncio.run(try_again(settings_here(), *chosen))
    except psycopg.OperationalError as error:
        raise postgres_away(error) from None
    print("\n".join(lines) or "No failed medium was found.")
    if tried < len(lines):
        raise typer.Exit(NOT_TRIED)


def seconds(age: str) -> float:
    """`90s`, `30m`, `2h`, `3d`. Raises Problem."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", age.strip())
    if found is None:
        raise Problem(f"{age!r} is no age; write it like 30m, 2h or 3d.")
    return int(found[1]) * _SECONDS[found[2]]


async def try_again(settings: Settings, how: str, value: Any) -> tuple[int, list[str]]:
    """How many media are tried again, and a sentence for each that was looked at. Raises KafkaError, and psycopg's
    errors."""
    from polylogue.streams.sweeper_facts import find_claims

    places = await asyncio.to_thread(_places, settings, how, value)
    if not places:
        return 0, [f"No medium {value} is known."] if how == "media_id" else []
    lines = [
        f"{place.media_id}: it is {place.status}, and only failed media can be tried again."
        for place in places
        if place.status != "failed" or place.first_offset is None
    ]
    by_partition: defaultdict[int, list[Place]] = defaultdict(list)
    for place in places:
        if place.status == "failed" and place.first_offset is not None:
            by_partition[place.partition].append(place)
    found: dict[str, FoundClaim] = {}
    for partition, there in by_partition.items():
        offset = min(place.first_offset or 0 for place in there)
        wanted = {place.media_id: place.conversation_id for place in there}
        found |= await find_claims(settings, partition, offset, wanted)
    tried, told = await _ask([place for places in by_partition.values() for place in places], found, settings)
    return tried, lines + told


async def _ask(
    places: list[Place], found: dict[str, FoundClaim], settings: Settings
) -> tuple[int, list[str]]:
    import msgspec

    from polylogue.infra.topics import MEDIA_REQUESTS, topic_name
    from polylogue.schemas.claims import RetryMedia
    from polylogue.schemas.clock import now_ms
    from polylogue.schemas.codec import request_codec
    from polylogue.schemas.envelope import Request
    from polylogue.streams.replaceable_producer import ReplaceableProducer
    from polylogue.streams.sweeper_facts import kept_bytes

    kept = await kept_bytes(settings, [one.claim for one in found.values()])
    producer = ReplaceableProducer(settings, give_up_after_s=SEND_GIVES_UP_S)
    tried, lines = 0, []
    try:
        for place in places:
            one = found.get(place.media_id)
            why = _refusal(one, place.media_id in kept)
            if one is None or why is not None:
                lines.append(f"{place.media_id}: {why}")
                continue
            claim = msgspec.structs.replace(one.claim, retry=one.retry + 1)
            request = Request(
                request_id=f"{claim.media_id}.{claim.retry}",
                data=RetryMedia(claim=claim, asked_at_ms=now_ms()),
            )
            await producer.send(
                topic_name(settings, MEDIA_REQUESTS),
                request_codec.encode(request),
                key=claim.media_id.encode(),
            )
            tried += 1
            lines.append(f"{place.media_id}: tried again (try {claim.retry}).")
    finally:
        await producer.stop()
    return tried, lines


def _refusal(one: FoundClaim | None, kept: bool) -> str | None:
    if one is None:
        return "the log does not tell where its bytes are, so it cannot be tried again."
    if one.phase == "produced":
        return "it is being tried already."
    if one.phase != "failed":
        return f"it is {one.phase}, and only failed media can be tried again."
    return None if kept else "its bytes are kept no longer, so it cannot be tried again; ask the model again."


def _places(settings: Settings, how: str, value: Any) -> list[Place]:
    import psycopg

    from polylogue.infra.postgres import connection_string

    with psycopg.connect(connection_string(settings)) as connection:
        rows = connection.execute(_PLACES + _CHOSEN[how], [value]).fetchall()
    return [Place(*row) for row in rows]

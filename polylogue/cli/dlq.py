"""`polylogue dlq`: looks at the records that could not be read, sends them again, or lets them go."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from polylogue.cli.problems import Problem
from polylogue.cli.servers_here import settings_here

if TYPE_CHECKING:
    from polylogue.infra.settings import Settings
    from polylogue.streams.dead_letter_log import DeadLetter, Position

app = typer.Typer(no_args_is_help=True, help="Records that could not be read: look, send again, let go.")

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Topic = Annotated[str | None, typer.Option(help="Only those of this topic, such as commands.")]
_Every = Annotated[bool, typer.Option("--all", help="Every letter that nothing was decided about.")]
_Positions = Annotated[
    list[str] | None,
    typer.Argument(metavar="[POSITION]...", help="TOPIC/PARTITION/OFFSET, as `list` names it."),
]


@app.command("list")
def list_letters(
    topic: _Topic = None,
    decided: Annotated[bool, typer.Option(help="Those too that were retried or dropped.")] = False,
    as_json: _Json = False,
) -> None:
    """Count the letters by topic and reason, and name each."""
    from polylogue.streams.dead_letter_log import FINAL

    found = asyncio.run(letters(settings_here(), topic)).values()
    shown = sorted(
        (one for one in found if decided or one.state not in FINAL), key=lambda one: one.buried_at_ms
    )
    if as_json:
        print(json.dumps([described(one) for one in shown], indent=2))
        return
    if not shown:
        print("There are no dead letters." if not found else "Something was decided about every dead letter.")
        return
    for (source, reason), count in Counter((one.position.topic, one.reason) for one in shown).most_common():
        print(f"{count:>6}  {source}: {_printable(reason)}")
    print()
    for one in shown:
        print(f"{one.position}  {_when(one.buried_at_ms)}  {one.size_bytes} bytes  {one.state}")


@app.command()
def show(
    position: Annotated[str, typer.Argument(help="TOPIC/PARTITION/OFFSET, as `list` names it.")],
    payload: Annotated[bool, typer.Option("--payload", help="Its bytes too, which may be private.")] = False,
    as_json: _Json = False,
) -> None:
    """Show one letter: why it lies here, where it came from, what was decided."""
    settings = settings_here()
    letter = asyncio.run(one_letter(settings, _parsed(position)))
    if letter is None:
        raise Problem(f"There is no dead letter {position}; `polylogue dlq list --decided` names all.")
    told = described(letter)
    if payload:
        told |= _payload(letter.value)
    if as_json:
        print(json.dumps(told, indent=2))
        return
    for name, value in told.items():
        print(f"{name:<15} {_printable(str(value)) if value is not None else '-'}")


@app.command()
def retry(
    positions: _Positions = None, every: _Every = False, topic: _Topic = None, as_json: _Json = False
) -> None:
    """Send the original bytes to where they came from once more; a letter is sent again once."""
    _decide("retry", positions, topic, every=every, as_json=as_json)


@app.command()
def drop(
    positions: _Positions = None, every: _Every = False, topic: _Topic = None, as_json: _Json = False
) -> None:
    """Let letters go: they are no longer listed, and their bytes stay until retention removes them."""
    _decide("drop", positions, topic, every=every, as_json=as_json)


async def letters(settings: Settings, topic: str | None) -> Mapping[Position, DeadLetter]:
    """Without their values. Raises Problem for a topic that has none."""
    from polylogue.streams.dead_letter_log import read_letters

    return await read_letters(settings, _topics(settings, topic))


async def one_letter(settings: Settings, position: Position) -> DeadLetter | None:
    """With its value."""
    from polylogue.streams.dead_letter_log import read_letters, with_value

    found = (await read_letters(settings, _topics(settings, None))).get(position)
    return None if found is None else await with_value(settings, found)


async def decide(
    settings: Settings, what: Literal["retry", "drop"], wanted: Iterable[Position]
) -> dict[Position, str]:
    """What became of each, in order. Raises Problem where one is not there, before anything is done."""
    from polylogue.streams.dead_letter_decisions import DeadLetterDecisions
    from polylogue.streams.dead_letter_log import read_letters, with_value
    from polylogue.streams.replaceable_producer import ProducerUnusableError, ReplaceableProducer

    positions = list(dict.fromkeys(wanted))
    known = await read_letters(settings, _topics(settings, None))
    missing = [position for position in positions if position not in known]
    if missing:
        raise Problem(f"There is no dead letter {missing[0]}; nothing was done.")
    producer = ReplaceableProducer(settings, give_up_after_s=20)
    decisions = DeadLetterDecisions(settings, producer)
    done: dict[Position, str] = {}
    try:
        for position in positions:
            if what == "drop":
                done[position] = await decisions.drop(known[position])
                continue
            # One value at a time is in memory.
            letter = await with_value(settings, known[position])
            if letter is not None:
                done[position] = await decisions.retry(letter)
    except ProducerUnusableError as error:
        raise Problem(
            f"{len(done)} of {len(positions)} are done; run it again for the rest: {error}"
        ) from None
    finally:
        await producer.stop()
    return done


def _decide(
    what: Literal["retry", "drop"],
    positions: list[str] | None,
    topic: str | None,
    *,
    every: bool,
    as_json: bool,
) -> None:
    from polylogue.streams.dead_letter_log import FINAL

    if bool(positions) == every:
        raise Problem("Name positions as `polylogue dlq list` prints them, or all of them with --all.")
    settings = settings_here()
    wanted = [_parsed(text) for text in positions or ()]

    async def run() -> dict[Position, str]:
        chosen = wanted
        if every:
            found = await letters(settings, topic)
            chosen = [one.position for one in found.values() if one.state not in FINAL]
        return await decide(settings, what, chosen)

    done = asyncio.run(run())
    if as_json:
        print(json.dumps({str(position): outcome for position, outcome in done.items()}, indent=2))
        return
    for position, outcome in done.items():
        print(f"{position}: {outcome}")
    if not done:
        print("There is nothing to decide.")


def described(letter: DeadLetter) -> dict[str, Any]:
    """Without its bytes."""
    return {
        "position": str(letter.position),
        "state": letter.state,
        "reason": letter.reason,
        "size_bytes": letter.size_bytes,
        "key": letter.key.decode(errors="replace") if letter.key is not None else None,
        "buried_at": _when(letter.buried_at_ms),
        "decided_at": _when(letter.decided_at_ms) if letter.decided_at_ms is not None else None,
        "dlq_topic": letter.dlq_topic,
        "dlq_offset": letter.dlq_offset,
    }


def _payload(value: bytes | None) -> dict[str, str | None]:
    try:
        return {"payload": value.decode() if value is not None else None}
    except UnicodeDecodeError:
        return {"payload_base64": base64.b64encode(value or b"").decode()}


def _printable(text: str) -> str:
    """Without what a terminal would obey: the bytes are somebody else's."""
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)


def _topics(settings: Settings, topic: str | None) -> list[str]:
    from polylogue.streams.dead_letter_log import with_letters

    having = {source.name: letters_topic for source, letters_topic in with_letters(settings)}
    if topic is None:
        return list(having.values())
    if topic not in having:
        raise Problem(f"{topic} has no dead letters; these topics have: {', '.join(having)}.")
    return [having[topic]]


def _parsed(text: str) -> Position:
    from polylogue.streams.dead_letter_log import Position

    found = Position.parse(text)
    if found is None:
        raise Problem(f"{text} is no position; one is TOPIC/PARTITION/OFFSET, such as commands/3/17.")
    return found


def _when(at_ms: int) -> str:
    from polylogue.schemas.clock import rfc3339

    return rfc3339(at_ms)

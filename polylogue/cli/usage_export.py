"""`polylogue usage export`: the usage topic as Parquet or CSV, a folder a day, each event once."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from polylogue.cli.problems import Problem
from polylogue.cli.servers_here import settings_here

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from polylogue.cli.usage_files import Cell, Format
    from polylogue.infra.settings import Settings
    from polylogue.streams.usage_log import Day, Stretch, UsageLog

ROWS_AT_ONCE = 10_000  # a row group: fewer make Parquet files large and slow
_ONE_DAY = dt.timedelta(days=1)


def export(
    out: Annotated[Path, typer.Option(help="The folder; each day has one below it.")],
    form: Annotated[Literal["parquet", "csv"], typer.Option("--format", help="What to write.")] = "parquet",
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="The first day; the oldest there is.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="The last day, included; today.")
    ] = None,
) -> None:
    """Write the usage events of whole days; run it again to go on, finished days are kept."""
    from polylogue.cli.usage_files import require

    begin, end = _date("--from", first), _date("--to", last)
    require(form)
    asyncio.run(export_days(settings_here(), out, form, begin, end))


async def export_days(
    settings: Settings, out: Path, form: Format, first: dt.date | None, last: dt.date | None
) -> None:
    """Both days are included; without one, the oldest there is and today. Raises Problem."""
    from polylogue.streams.usage_log import UsageTopicMissingError, usage_log

    try:
        async with usage_log(settings) as log:
            today = dt.datetime.now(dt.UTC).date()
            end = min(last or today, today)
            exporter = Exporter(log, out, form)
            date = await log.first_date(first)
            if date is None or date > end:
                raise Problem("There is no day to export: no usage was recorded in these days.")
            while date is not None and date <= end:
                await exporter.write(await log.day(date))
                date = await log.first_date(date + _ONE_DAY)
    except UsageTopicMissingError as error:
        raise Problem(str(error)) from None


class Exporter:
    """Writes days in ascending order. In memory are one batch, and the ids of the day and the one before it."""

    def __init__(self, log: UsageLog, out: Path, form: Format) -> None:
        self._log, self._out, self._form = log, out, form
        self._ids: dict[int, set[bytes]] = {}  # by partition: those of the day that was written last
        self._ids_of: dt.date | None = None

    async def write(self, day: Day) -> None:
        """Leaves the day's folder as the topic has the day. A day that is final and written is left as it is."""
        from polylogue.cli.usage_files import whole_file

        folder = self._out / f"day={day.date.isoformat()}"
        marker = folder / f"_{self._form}.json"  # the underscore hides it from readers of the folder
        written = json.loads(marker.read_text(encoding="utf-8")) if marker.exists() else {}
        if written and written["topic"] != self._log.topic:
            raise Problem(f"{folder} holds an export of {written['topic']}; choose another --out.")
        if written.get("final"):
            print(f"{folder.name}: kept, {written['events']} events")
            return
        before = await self._before(day)
        counts: Counter[str] = Counter()
        ids: dict[int, set[bytes]] = {}
        for stretch in day.stretches:
            seen = ids[stretch.partition] = set()
            path = folder / f"partition-{stretch.partition}.{self._form}"
            if stretch.first == stretch.next_offset:
                path.unlink(missing_ok=True)
                continue
            with whole_file(path, self._form) as file:
                rows: list[tuple[Cell, ...]] = []
                async for records in self._log.read(stretch):
                    rows += _rows(records, before.get(stretch.partition, set()), seen, counts)
                    if len(rows) >= ROWS_AT_ONCE:
                        file.write(rows)
                        rows.clear()
                if rows:
                    file.write(rows)
        self._ids, self._ids_of = ids, day.date
        if not any(stretch.first < stretch.next_offset for stretch in day.stretches):
            return
        _mark(marker, self._log.topic, day, counts)
        print(f"{folder.name}: {_told(counts)}")

    async def _before(self, day: Day) -> dict[int, set[bytes]]:
        """The ids of the day before: an event that is sent again after midnight was counted then."""
        if self._ids_of == day.date - _ONE_DAY:
            return self._ids
        former = await self._log.day(day.date - _ONE_DAY)
        return {stretch.partition: await self._ids_in(stretch) for stretch in former.stretches}

    async def _ids_in(self, stretch: Stretch) -> set[bytes]:
        found: set[bytes] = set()
        async for records in self._log.read(stretch):
            _rows(records, set(), found, Counter())
        return found


def _rows(
    records: Sequence[ConsumerRecord[bytes, bytes]],
    before: set[bytes],
    seen: set[bytes],
    counts: Counter[str],
) -> list[tuple[Cell, ...]]:
    """The rows of events whose id was not seen; what cannot be read is counted by why."""
    from polylogue.cli.usage_files import row
    from polylogue.schemas.codec import NewerVersion, usage_codec
    from polylogue.schemas.envelope import UsageEvent

    rows = []
    for record in records:
        event = usage_codec.decode(record.value)
        if not isinstance(event, UsageEvent):
            counts["newer" if isinstance(event, NewerVersion) else "unreadable"] += 1
            continue
        try:
            made = row(event, record.timestamp, record.partition, record.offset)
        except (ValueError, OverflowError):  # its time is none
            counts["unreadable"] += 1
            continue
        name = hashlib.blake2b(event.event_id.encode(), digest_size=16).digest()
        known = name in seen or name in before
        seen.add(name)  # one that is known, too: it may come once more the day after
        counts["doubles" if known else "events"] += 1
        if not known:
            rows.append(made)
    return rows


def _mark(marker: Path, topic: str, day: Day, counts: Counter[str]) -> None:
    """Written last: what is there with it is whole."""
    # A newer version of the software will read what this one left out.
    final = day.final and not counts["newer"]
    stretches = [asdict(stretch) for stretch in day.stretches]
    content = {"topic": topic, "final": final, "events": counts["events"], "stretches": stretches}
    partial = marker.with_name(f".{marker.name}.partial")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(marker)


def _told(counts: Counter[str]) -> str:
    said = [f"{counts['events']} events"]
    if counts["doubles"]:
        said.append(f"{counts['doubles']} written twice, counted once")
    if counts["newer"]:
        said.append(f"{counts['newer']} left out that a newer version wrote: upgrade and run this again")
    if counts["unreadable"]:
        said.append(f"{counts['unreadable']} left out that cannot be read")
    return ", ".join(said)


def _date(option: str, text: str | None) -> dt.date | None:
    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        raise Problem(f"{option} {text} is no day; write it as 2026-11-30.") from None

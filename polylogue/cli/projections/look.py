"""`polylogue projections list | status | wait`: what there is, where it stands, and until it stands at the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from polylogue.cli.projections import wording
from polylogue.cli.projections.running import DIFFERENT, Json, MaybeName, carry_out

if TYPE_CHECKING:
    from polylogue.projections.operations import VersionStatus


def list_projections(name: MaybeName = None, as_json: Json = False) -> None:
    """Name every version that this software carries or the database holds; readers see the promoted ones."""
    from rich.console import Console
    from rich.table import Table

    from polylogue.cli.projections import described
    from polylogue.projections.operations import list_versions

    found = carry_out(lambda settings: list_versions(settings, name))
    if as_json:
        print(json.dumps([described.listed(one) for one in found], indent=2))
        return
    table = Table("projection", "version", "state", "promoted", "tables", box=None)
    for one in found:
        state = (
            one.state + (", paused" if one.paused else "") + ("" if one.in_code else ", not of this software")
        )
        since = f"{one.promoted_at:%Y-%m-%d %H:%M}" if one.promoted_at else ""
        table.add_row(one.projection, f"v{one.version}", state, since, ", ".join(one.tables))
    Console().print(table)


def status(
    name: MaybeName = None,
    as_json: Json = False,
    seconds: Annotated[
        float, typer.Option(min=0, max=60, help="For how long to watch, to say events/s and when it is done.")
    ] = 1.0,
) -> None:
    """Say how far each version is behind the log, in records and in seconds, how fast it goes, and what stopped."""
    from polylogue.cli.projections import described
    from polylogue.projections.operations import status as read_status

    found = carry_out(lambda settings: read_status(settings, name, over_s=seconds))
    if as_json:
        print(json.dumps([described.status(one) for one in found], indent=2))
        return
    _print_versions(found)
    for one in found:
        _print_stops(one)
    if name is not None:
        for one in found:
            _print_partitions(one)


def _print_versions(found: list[VersionStatus]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("projection", "version", "state", box=None)
    for heading in ("lag", "lag in time", "events/s", "done in"):
        table.add_column(heading, justify="right")
    table.add_column("notes")
    for one in found:
        table.add_row(
            one.projection,
            f"v{one.version}",
            one.state,
            wording.count(one.lag_records),
            wording.duration(one.lag_s),
            wording.count(one.events_per_s),
            wording.duration(one.eta_s),
            wording.notes(one),
        )
    Console().print(table)


def _print_stops(one: VersionStatus) -> None:
    for stop in one.stopped:
        print(
            f"{one.projection} v{one.version} has stopped at offset {stop.stopped_at} of partition {stop.partition}:"
            f" {stop.stopped_why}. Newer software may read it; to leave it out for good: polylogue projections skip"
            f" {one.projection} --partition {stop.partition} --offset {stop.stopped_at} --why REASON"
        )


def _print_partitions(one: VersionStatus) -> None:
    print(f"\n{one.projection} v{one.version}, by partition:")
    for place in one.partitions:
        print(
            f"  {place.partition}: offset {place.next_offset} of {place.end}, lag {wording.count(place.records)}"
        )
    for skip in one.skips:
        print(f"  skipped {skip.partition}/{skip.offset} on {skip.decided_at:%Y-%m-%d}: {skip.why}")


def wait(
    name: MaybeName = None,
    lag: Annotated[int, typer.Option(min=0, help="Records that may be left.")] = 0,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds; without it, for ever.")] = None,
) -> None:
    """Return once what readers see holds what is in the log now; exit code 1 if not in time, or if it has stopped."""
    from polylogue.projections.operations import wait_for_lag

    carry_out(
        lambda settings: wait_for_lag(settings, name, lag=lag, timeout_s=timeout),
        refused=DIFFERENT,
    )

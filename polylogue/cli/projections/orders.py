"""`polylogue projections pause | resume | skip | reset`: orders to the projector, which obeys within a second."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from polylogue.cli.problems import Problem
from polylogue.cli.projections import wording
from polylogue.cli.projections.running import DryRun, Json, Name, Number, carry_out

if TYPE_CHECKING:
    from polylogue.infra.settings import Settings


def pause(name: Name, version: Number = None, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Write no more to every version, or to the one named, until `resume`; readers go on with what is there."""
    _set_paused(name, version, dry_run=dry_run, as_json=as_json, paused=True)


def resume(name: Name, version: Number = None, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Go on after `pause`, and try again the records that could not be applied."""
    _set_paused(name, version, dry_run=dry_run, as_json=as_json, paused=False)


def _set_paused(name: str, version: int | None, *, dry_run: bool, as_json: bool, paused: bool) -> None:
    async def order(settings: Settings) -> list[int]:
        from polylogue.projections import operations

        if dry_run:
            return await _concerned(settings, name, version)
        act = operations.pause if paused else operations.resume
        return await act(settings, name, version)

    numbers = carry_out(order)
    if as_json:
        print(json.dumps({"projection": name, "versions": numbers, "paused": paused, "dry_run": dry_run}))
        return
    told = f"{name} {wording.versions(numbers)}"
    if dry_run:
        print(f"Would {'pause' if paused else 'resume'} {told}.")
    elif paused:
        print(f"{told} stands still. End it with: polylogue projections resume {name}")
    else:
        print(f"{told} goes on.")


async def _concerned(settings: Settings, name: str, version: int | None) -> list[int]:
    from polylogue.projections.operations import OperationRefusedError, list_versions

    found = [
        one.version
        for one in await list_versions(settings, name)
        if one.state != "unbuilt" and version in (None, one.version)
    ]
    if not found:
        raise OperationRefusedError(f"There are no such tables of {name}; see: polylogue projections list")
    return found


def skip(
    name: Name,
    *,
    partition: Annotated[int, typer.Option(min=0, help="The partition of conversation-events.")],
    offset: Annotated[int, typer.Option(min=0, help="The record, as `status` names it.")],
    why: Annotated[str, typer.Option(help="Kept with the decision.")],
    version: Number = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Leave one record out for good: live, in a rebuild and in a verification alike; of every version or the one named."""
    from polylogue.projections import operations

    decided = carry_out(
        lambda settings: operations.skip(
            settings, name, partition=partition, offset=offset, why=why, version=version, dry_run=dry_run
        )
    )
    which = "every version" if decided.version is None else f"v{decided.version}"
    if as_json:
        place = {"partition": decided.partition, "offset": decided.offset, "why": decided.why}
        print(json.dumps({"projection": name, "version": decided.version} | place | {"dry_run": dry_run}))
    elif dry_run:
        print(f"Would leave offset {offset} of partition {partition} out of {which} of {name}.")
    else:
        print(f"Offset {offset} of partition {partition} is left out of {which} of {name}: {decided.why}")


def reset(
    name: Name,
    version: Number = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Empty the promoted version's tables, or those of the one named, and fill them from the log that is there.

    For a topic that was made anew, or restored to an earlier end. Readers see the tables grow again.
    """
    from polylogue.projections import operations

    if not (yes or dry_run):
        if not sys.stdin.isatty():
            raise Problem("This empties what readers see; where nobody can be asked, it takes --yes.")
        typer.confirm(f"Empty the tables of {name} and fill them anew, while readers see it?", abort=True)
    emptied = carry_out(lambda settings: operations.reset(settings, name, version, dry_run=dry_run))
    if as_json:
        print(json.dumps({"projection": name, "version": emptied.version, "dry_run": dry_run}))
    elif dry_run:
        print(f"Would empty the tables of {name} v{emptied.version}.")
    else:
        print(
            f"The tables of {name} v{emptied.version} are empty, and the projector fills them."
            f" Wait for it with: polylogue projections wait {name}"
        )

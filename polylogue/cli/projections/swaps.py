"""`polylogue projections promote | rollback | prune`: which version readers see, and which are dropped."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from polylogue.cli.projections import wording
from polylogue.cli.projections.running import DryRun, Json, Name, Number, carry_out

if TYPE_CHECKING:
    from polylogue.projections.operations import Swapped

Timeout = Annotated[
    float, typer.Option(min=0, help="Seconds to wait for readers, writers and the projector.")
]


def promote(
    name: Name,
    version: Number = None,
    timeout: Timeout = 30.0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Show readers the newest version of this software, or the one named; the former one is kept current."""
    from polylogue.projections import operations

    swapped = carry_out(
        lambda settings: operations.promote(settings, name, version, timeout_s=timeout, dry_run=dry_run)
    )
    _say(swapped, dry_run=dry_run, as_json=as_json)


def rollback(name: Name, timeout: Timeout = 30.0, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Show readers the version that was promoted before."""
    from polylogue.projections import operations

    swapped = carry_out(
        lambda settings: operations.rollback(settings, name, timeout_s=timeout, dry_run=dry_run)
    )
    _say(swapped, dry_run=dry_run, as_json=as_json)


def _say(swapped: Swapped, *, dry_run: bool, as_json: bool) -> None:
    name = swapped.projection
    if as_json:
        print(json.dumps(asdict(swapped) | {"dry_run": dry_run}))
    elif dry_run:
        print(f"Readers would see {name} v{swapped.promoted}.")
    else:
        print(f"Readers see {name} v{swapped.promoted}.")
        if swapped.retained is not None:
            print(
                f"v{swapped.retained} is kept current: back with `polylogue projections rollback {name}`,"
                f" drop it with `polylogue projections prune {name}`."
            )


def prune(
    name: Name,
    version: Number = None,
    timeout: Timeout = 30.0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Drop the tables of every version that was promoted before, or of the one named unless readers see it."""
    from polylogue.projections import operations

    dropped = carry_out(
        lambda settings: operations.prune(settings, name, version, timeout_s=timeout, dry_run=dry_run)
    )
    if as_json:
        print(json.dumps({"projection": name, "pruned": dropped, "dry_run": dry_run}))
    elif not dropped:
        print(f"There is nothing to drop of {name}.")
    else:
        print(f"{'Would drop' if dry_run else 'Dropped'} the tables of {name} {wording.versions(dropped)}.")

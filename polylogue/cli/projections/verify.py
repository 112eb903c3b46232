"""`polylogue projections verify`: compares tables with a fresh replay, row for row."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from polylogue.cli.projections import wording
from polylogue.cli.projections.bar import Bar
from polylogue.cli.projections.running import DIFFERENT, INTERRUPTED, Json, Name, Number, carry_out

if TYPE_CHECKING:
    from polylogue.infra.settings import Settings
    from polylogue.projections.operations import Verified

_SHOWN = 20


def verify(
    name: Name,
    version: Number = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 2,
    as_json: Json = False,
) -> None:
    """Compare the promoted version, or the one named, with a replay at one position of the log, while live goes on.

    Exit code 1 if they differ. Of a differing row its key and columns are named, never what it holds.
    """

    async def compare(settings: Settings) -> Verified:
        from polylogue.projections import operations

        with Bar(f"Verifying {name}") as bar:
            return await operations.verify(
                settings, name, version=version, workers=workers, on_progress=bar.show
            )

    try:
        found = carry_out(compare)
    except KeyboardInterrupt:
        print(
            "Interrupted; what was compared with is removed, and the tables are untouched.", file=sys.stderr
        )
        sys.exit(INTERRUPTED)
    if as_json:
        from polylogue.cli.projections import described

        print(json.dumps(described.verified(found), indent=2))
    else:
        _say(found)
    if not found.equal:
        raise typer.Exit(DIFFERENT)


def _say(found: Verified) -> None:
    rows = ", ".join(f"{wording.count(number)} of {table}" for table, number in found.rows.items())
    if found.equal:
        print(f"{found.projection} v{found.version} equals a replay: {rows} rows.")
        return
    print(
        f"{found.projection} v{found.version} differs from a replay in {wording.count(found.differing)} rows:"
    )
    for one in found.differences[:_SHOWN]:
        columns = f" ({', '.join(one.columns)})" if one.columns else ""
        print(f"  {one.table} {'/'.join(one.key)}: {one.what}{columns}")
    print(f"To build it anew, raise its version and run: polylogue projections rebuild {found.projection}")

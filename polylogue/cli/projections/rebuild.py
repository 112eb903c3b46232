"""`polylogue projections rebuild`: fills a version from the whole log beside the one that is read, and shows how far."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from polylogue.cli.problems import Problem
from polylogue.cli.projections import wording
from polylogue.cli.projections.bar import Bar
from polylogue.cli.projections.running import INTERRUPTED, DryRun, Json, Name, Number, carry_out

if TYPE_CHECKING:
    from polylogue.infra.settings import Settings
    from polylogue.projections.operations import Progress


def rebuild(
    name: Name,
    version: Number = None,
    *,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="OFFSET|TIME", help="Stop there: an offset of every partition, or a time (RFC 3339)."
        ),
    ] = None,
    from_: Annotated[
        str,
        typer.Option(
            "--from", metavar="checkpoint|start", help="Go on where it stood, or forget what was filled."
        ),
    ] = "checkpoint",
    from_start: Annotated[bool, typer.Option("--from-start", help="The same as --from start.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 2,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Fill the newest version of this software, or the one named, from offset 0; readers see the other one meanwhile.

    An interrupted rebuild goes on where it stood. When it has caught up, the projector keeps it so, and `promote`
    shows it to readers. With --json there is a line a second.
    """
    if from_ not in ("checkpoint", "start"):
        raise Problem(
            "--from takes `checkpoint` or `start`: tables that are not built from the first record on are wrong."
        )
    bound, anew = bound_of(until), from_start or from_ == "start"
    if dry_run:
        carry_out(lambda settings: _say(settings, name, version, anew=anew))
        return
    seen: list[Progress] = []

    async def fill(settings: Settings) -> None:
        from contextlib import aclosing

        from polylogue.projections import operations

        steps = operations.rebuild(
            settings, name, version=version, until=bound, from_start=anew, workers=workers
        )
        view = _Lines() if as_json else _Shown(Bar(f"Rebuilding {name}"))
        with view:
            async with aclosing(steps):
                async for progress in steps:
                    seen[:] = [progress]
                    view.show(progress)

    try:
        carry_out(fill)
    except KeyboardInterrupt:
        _say_how_to_go_on(name, version, until, seen)
        sys.exit(INTERRUPTED)
    if not as_json:
        _say_what_now(seen[-1], stopped=until is not None)


def bound_of(text: str | None) -> int | datetime | None:
    """An offset or a time; one without a zone is UTC. Raises Problem."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Problem(
            f"--until takes an offset or a time such as 2026-03-01T12:00:00Z, not {text!r}."
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


async def _say(settings: Settings, name: str, version: int | None, *, anew: bool) -> None:
    from polylogue.projections.operations import list_versions
    from polylogue.projections.operations import status as read_status

    carried = [one for one in await list_versions(settings, name) if one.in_code]
    if not carried:
        raise Problem(f"This software carries no projection {name}; see: polylogue projections list")
    wanted = version or max(one.version for one in carried)
    state = next((one.state for one in carried if one.version == wanted), None)
    if state is None:
        raise Problem(f"This software carries no version {wanted} of {name}; see: polylogue projections list")
    if state in ("promoted", "retained", "ready"):
        print(f"Nothing to do: {name} v{wanted} is {state} and kept current.")
        return
    stands = await read_status(settings, name, over_s=0)
    total = max((sum(place.end for place in one.partitions) for one in stands), default=0)
    building = next((one for one in stands if one.version == wanted), None)
    done = 0 if building is None or anew else total - building.lag_records
    print(
        f"Would fill {name} v{wanted} with {wording.count(total - done)} of {wording.count(total)} records"
        f" {'from the start' if done == 0 else 'where it stood'}; readers go on with what they see."
    )


def _say_how_to_go_on(name: str, version: int | None, until: str | None, seen: list[Progress]) -> None:
    options = f" --version {version}" if version else ""
    options += f" --until {until}" if until else ""
    stood = f" at {wording.share(seen[-1].applied, seen[-1].total)}" if seen else ""
    print(
        f"Interrupted{stood}; what is filled is kept, and readers saw nothing of it."
        f" Go on with: polylogue projections rebuild {name}{options}",
        file=sys.stderr,
    )


def _say_what_now(last: Progress, *, stopped: bool) -> None:
    told = f"{last.projection} v{last.version} holds {wording.count(last.applied)} records"
    if stopped:
        print(f"{told} and stays where it is. Go on with: polylogue projections rebuild {last.projection}")
    else:
        print(f"{told} and is kept current. Show it with: polylogue projections promote {last.projection}")


class _Shown:
    """As a bar."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar

    def __enter__(self) -> None:
        self._bar.__enter__()

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()

    def show(self, progress: Progress) -> None:
        self._bar.show(progress.applied, progress.total, progress.events_per_s, progress.eta_s)


class _Lines:
    """As JSON, a line a second and the last one."""

    def __init__(self) -> None:
        self._next = 0.0

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> Literal[False]:
        return False

    def show(self, progress: Progress) -> None:
        from polylogue.cli.projections import described

        if progress.done or time.monotonic() >= self._next:
            self._next = time.monotonic() + 1
            print(json.dumps(described.progress(progress)), flush=True)

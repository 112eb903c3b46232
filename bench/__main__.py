"""`python -m bench [NAME…]`: measures the figures named, or all of them; `web` names all that begin with `web_`."""

from __future__ import annotations

import argparse
import sys

import uvloop
from rich.console import Console
from rich.markup import escape

from bench import report
from bench.figure import Figure
from bench.figures import (
    added_latency,
    ingest,
    loop_stall,
    media_latency,
    media_memory,
    media_throughput,
    memory,
    open_conversation,
    parser,
    projection_lag,
    replay,
    response_memory,
    sse_fan_out,
    startup,
    streaming_cpu,
    validation,
    web_frames,
    web_media,
    web_memory,
)
from bench.machine import machine, versions
from bench.processes import BenchError

# Those that need no server come first: a mistake shows early.
FIGURES = (
    parser,
    loop_stall,
    validation,
    ingest,
    startup,
    memory,
    open_conversation,
    response_memory,
    streaming_cpu,
    added_latency,
    media_latency,
    media_memory,
    media_throughput,
    replay,
    projection_lag,
    sse_fan_out,
    web_frames,
    web_media,
    web_memory,
)


def main() -> int:
    figures: dict[str, Figure] = {module.FIGURE.name: module.FIGURE for module in FIGURES}
    figures[replay.LARGE_FIGURE.name] = replay.LARGE_FIGURE
    arguments = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    arguments.add_argument(
        "names", nargs="*", metavar="NAME", help="figures to measure; all where none is named"
    )
    arguments.add_argument("--list", action="store_true", help="name the figures and what they measure")
    arguments.add_argument(
        "--quick", action="store_true", help="a smoke run: everything once or twice, no figure to quote"
    )
    chosen = arguments.parse_args()
    console = Console()
    if chosen.list:
        for figure in figures.values():
            console.print(f"[bold]{figure.name}[/]\n  {figure.measures}")
        return 0
    named: list[str] = []
    for name in chosen.names:
        meant = [name] if name in figures else [one for one in figures if one.startswith(f"{name}_")]
        if not meant:
            arguments.error(f"there is no figure {name}; there are {', '.join(figures)}")
        named += meant
    failed = False
    for name in named or [name for name, figure in figures.items() if not figure.only_if_named]:
        failed |= not _measure(console, figures[name], quick=chosen.quick)
    return int(failed)


def _measure(console: Console, figure: Figure, *, quick: bool) -> bool:
    """Whether it could be measured; one that cannot leaves the others alone."""
    console.print(f"Measuring {figure.name} …")
    before = machine()
    try:
        # The loop that every process of the product runs on.
        series = uvloop.run(figure.run(quick))
    except BenchError as error:
        console.print(f"[red]{figure.name} could not be measured:[/] {escape(str(error))}\n")
        return False
    report.show(console, figure, series)
    path = report.write(figure, series, quick=quick, machine=before, versions=versions())
    console.print(f"[dim]{path.relative_to(report.RESULTS.parent.parent)}[/]\n")
    return True


if __name__ == "__main__":
    sys.exit(main())

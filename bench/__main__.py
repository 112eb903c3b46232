"""`python -m bench [NAME…]`: measures the figures named, or all of them."""

from __future__ import annotations

import argparse
import sys

import uvloop
from rich.console import Console

from bench import report
from bench.figure import Figure
from bench.figures import added_latency, ingest, loop_stall, media_latency, memory, parser, startup
from bench.machine import machine, versions

# Those that need no server come first: a mistake shows early.
FIGURES = (parser, loop_stall, ingest, startup, memory, added_latency, media_latency)


def main() -> int:
    figures: dict[str, Figure] = {module.FIGURE.name: module.FIGURE for module in FIGURES}
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
    if unknown := [name for name in chosen.names if name not in figures]:
        arguments.error(f"there is no figure {unknown[0]}; there are {', '.join(figures)}")
    for name in chosen.names or figures:
        figure = figures[name]
        console.print(f"Measuring {name} …")
        before = machine()
        # The loop that every process of the product runs on.
        series = uvloop.run(figure.run(chosen.quick))
        report.show(console, figure, series)
        report.write(figure, series, quick=chosen.quick, machine=before, versions=versions())
        console.print(f"[dim]written to bench/results/{name}-….json[/]\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

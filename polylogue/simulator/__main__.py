"""Runs the simulator alone: `python -m polylogue.simulator`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

DEFAULT_PORT = 8089


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m polylogue.simulator",
        description="An OpenRouter-compatible gateway whose models need no key and send real media.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port; 0 takes a free one (%(default)s)"
    )
    parser.add_argument(
        "--key",
        default=os.environ.get("SIMULATOR_KEY") or None,
        help="the only bearer token accepted (SIMULATOR_KEY); without it any or none will do",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    import structlog

    from polylogue.simulator.app import serve

    given = arguments(argv)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        asyncio.run(serve(given.host, given.port, key=given.key))
    except OSError as error:
        print(f"The simulator cannot listen on {given.host}:{given.port}: {error.strerror}.", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m polylogue.infra.local`: the local stack without the rest of the product."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from polylogue.infra.local.errors import LocalStackError
from polylogue.infra.local.stack import LocalStack, environment


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 (this is a command; standard output is for `env`)


def main() -> int:
    parser = argparse.ArgumentParser(prog="polylogue.infra.local", description=__doc__)
    parser.add_argument("action", choices=["up", "down", "status", "reset", "env"])
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("POLYLOGUE_HOME", ".polylogue")))
    chosen = parser.parse_args()
    stack = LocalStack(chosen.data_dir, say=say)
    try:
        match chosen.action:
            case "up":
                stack.up()
            case "down":
                stack.down()
            case "reset":
                stack.reset()
            case "status":
                for one in stack.status():
                    memory = f", {one.resident_bytes / 1e6:.0f} MB" if one.resident_bytes else ""
                    process = f" (process {one.pid}{memory})" if one.pid else ""
                    sys.stdout.write(f"{one.name:9} {one.state:8} port {one.port or '-'}{process}\n")
            case _:
                for name, value in environment(stack.endpoints()).items():
                    sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    except LocalStackError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

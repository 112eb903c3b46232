"""`polylogue doctor`: says what is missing or unreachable, and the remedy."""

from __future__ import annotations

import typer


def doctor() -> None:
    """Check this machine and every configured server; exit code 1 if something is wrong."""
    import asyncio

    from polylogue.cli.checks import all_checks
    from polylogue.infra.settings import load_settings

    problems = 0
    for finding in asyncio.run(all_checks(load_settings())):
        problems += not finding.ok
        mark = "ok     " if finding.ok else "problem"
        remedy = f"\n          remedy: {finding.remedy}" if finding.remedy and not finding.ok else ""
        print(f"{mark}  {finding.what}: {finding.detail}{remedy}", flush=True)
    if problems:
        raise typer.Exit(1)

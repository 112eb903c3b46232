"""The processes of a running system by part: `polylogue run`, what it has started, and its servers."""

from __future__ import annotations

import psutil

from bench.processes import System
from polylogue.infra.local.stack import LocalStack

PARTS = ("api", "runner", "media-agent", "projector", "sweeper", "simulator")


def parts_of(running: System) -> dict[str, list[psutil.Process]]:
    """With each what it has started; `run` is counted alone, since everything is below it."""
    parts = {"run": psutil.Process(running.pid)}
    for service in LocalStack(running.data_dir).status():
        assert service.pid is not None
        parts[service.name] = psutil.Process(service.pid)
    servers = {process.pid for process in parts.values()}
    for child in parts["run"].children():
        if child.pid not in servers:
            words = child.cmdline()
            parts[next(part for part in PARTS if part in words)] = child
    counted = {process.pid for process in parts.values()}
    families: dict[str, list[psutil.Process]] = {}
    for name, process in parts.items():
        below = [] if name == "run" else process.children(recursive=True)
        families[name] = [process, *(one for one in below if one.pid not in counted)]
    return families

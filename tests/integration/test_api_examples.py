"""The examples in the guide to the API: curl, EventSource and Python are run as they are written, against the live API."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from polylogue.infra.settings import Settings
from tests.support.child import output_of
from tests.support.processes import Simulator
from tests.support.whole_system import WAIT_S, System, running

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/api.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(sh|js|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STREAMING = ("Ask", "Resume", "From a program")
SLOW = "sim/slow"
DOCUMENTED = "http://127.0.0.1:8000"

pytestmark = [pytest.mark.stack]


def blocks(section: str) -> list[tuple[str, str]]:
    """The blocks of a section, each with its language."""
    text = GUIDE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    assert text, section
    return BLOCK.findall(text)


def _ids(stream: str) -> list[str]:
    """Of all frames but those of smaller versions, which may come while the turn is read and after its end."""
    frames = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: ")]
    return [frame["id"] for frame in frames if "id" in frame and frame["type"] != "media_renditions"]


async def test_the_examples_of_streaming_do_what_the_guide_says(
    prepared: Settings, gateway: Simulator, tmp_path: Path
) -> None:
    async with running(prepared, gateway) as system:
        shell = [body for section in STREAMING[:2] for language, body in blocks(section) if language == "sh"]
        asked, resumed, standard = await _shell(system, tmp_path, shell)
        frames = [line for line in asked.splitlines() if line]
        assert all(line.startswith('data: {"type":"') for line in frames)
        assert '"type":"complete"' in frames[-1]
        # Everything after the fifth frame, each once; the same turn as standard SSE.
        assert _ids(resumed) == _ids(asked)[5:]
        assert _ids(standard) == _ids(asked)
        assert set(_ids(standard)) <= set(re.findall(r"^id: (.+)$", standard, re.MULTILINE))
        assert "complete" in re.findall(r"^event: (\w+)$", standard, re.MULTILINE)

        found = dict(blocks("From a program"))
        assert set(found) == {"js", "python"}
        for language, program in found.items():
            told = await _program(system, tmp_path, language, program)
            assert told.rstrip().endswith("complete"), told
            assert SLOW in told


async def _shell(system: System, folder: Path, scripts: list[str]) -> list[str]:
    """What each of the streaming requests printed; all of them run in one shell, as a reader does it."""
    marked = "\necho =====\n".join(scripts)
    told = await _run(["bash", "-euo", "pipefail", "-c", _here(system, marked)], folder)
    parts = told.split("=====\n")
    assert len(parts) == 3, told
    return parts


async def _program(system: System, folder: Path, language: str, program: str) -> str:
    if language == "python":
        return await _run([sys.executable, "-c", _here(system, program)], folder)
    # Packages are looked for beside the file.
    modules = folder / "node_modules"
    modules.exists() or modules.symlink_to(ROOT / "web/node_modules")
    file = folder / "example.mjs"
    file.write_text(_here(system, program), encoding="utf-8")
    return await _run([shutil.which("node") or "node", str(file)], folder)


def _here(system: System, text: str) -> str:
    """The same text for this server. The slow model speaks for people who watch it, and faster here."""
    return text.replace(DOCUMENTED, str(system.one.base_url).rstrip("/")).replace(SLOW, f"{SLOW}:pace=10ms")


async def _run(command: list[str], folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return await output_of(*command, cwd=folder, environment=environment, within_s=WAIT_S)

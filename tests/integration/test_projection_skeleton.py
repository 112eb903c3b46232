"""`polylogue projections new` writes a projection and a test that work as they are."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from polylogue.cli.problems import Problem
from polylogue.cli.projections.new import new
from polylogue.infra.settings import Settings
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.skeleton import NameRefusedError, skeleton

ROOT = Path(__file__).parents[2]
NAME = "answers_of_a_day"
MODULE = f"polylogue/projections/{NAME}.py"
TEST = f"tests/integration/test_{NAME}.py"
MOST_LINES = 60


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "polylogue" / "projections"
    folder.mkdir(parents=True)
    for name in ("catalogue.py", "conversations.py"):
        (folder / name).write_text("", encoding="utf-8")
    return tmp_path


@pytest.fixture
def written(checkout: Path) -> Path:
    new(NAME, checkout)
    return checkout


@pytest.fixture
def loaded(written: Path) -> Iterator[ModuleType]:
    """The test's module; the projection's is where it imports it from."""
    names = (f"polylogue.projections.{NAME}", f"tests.integration.test_{NAME}")
    try:
        for name, path in zip(names, (MODULE, TEST), strict=True):
            spec = importlib.util.spec_from_file_location(name, written / path)
            assert spec is not None
            assert spec.loader is not None
            module = sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        yield module
    finally:
        for name in names:
            sys.modules.pop(name, None)


@pytest.mark.stack
async def test_the_test_that_is_written_passes(loaded: ModuleType, settings: Settings) -> None:
    tests = [one for name, one in vars(loaded).items() if name.startswith("test_")]
    assert tests
    for one in tests:
        assert inspect.iscoroutinefunction(one)
        await one(settings)


def test_the_files_are_short_and_clean(written: Path) -> None:
    for path in (MODULE, TEST):
        text = (written / path).read_text(encoding="utf-8")
        assert len(text.splitlines()) < MOST_LINES
        assert ast.get_docstring(ast.parse(text))
        for check in (["check"], ["format", "--check"]):
            command = [sys.executable, "-m", "ruff", *check, "--config", "pyproject.toml", "--no-cache"]
            # Ruff looks for the module, which is not written into this checkout.
            command += ["--config", 'lint.isort.known-first-party=["polylogue"]']
            command += ["--stdin-filename", path, "-"]
            done = subprocess.run(command, cwd=ROOT, check=False, input=text, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_written_over(written: Path) -> None:
    before = (written / MODULE).read_text(encoding="utf-8")
    with pytest.raises(Problem, match="already"):
        new(NAME, written)
    (written / MODULE).unlink()
    with pytest.raises(Problem, match=f"{TEST} is there already; nothing was written"):
        new(NAME, written)
    assert not (written / MODULE).exists()
    assert before


@pytest.mark.parametrize("name", ["Words", "words-daily", "1st", "", "class", "_words", "w" * 41, "a__b"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(NameRefusedError, match="cannot be a table's name"):
        skeleton(name, ())


def test_a_name_that_is_taken_is_refused(checkout: Path) -> None:
    with pytest.raises(Problem, match="There is a projection or module conversations already"):
        new("conversations", checkout)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="is no checkout of Polylogue"):
        new(NAME, tmp_path)


def test_every_projection_that_is_there_has_a_name_that_would_be_taken() -> None:
    for projection in PROJECTIONS:
        assert skeleton(projection.name, ())

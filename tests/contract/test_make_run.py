"""`make run` builds the web UI where it has changed, and nothing where it has not: a copy of the Makefile says so."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What the rules call, each saying that it was called and leaving what the real one leaves.
NPM = """#!/bin/sh
echo "npm $1 $3" >> "$DONE"
case $1 in
  ci) mkdir -p node_modules ;;
  run) mkdir -p dist && echo built > dist/index.html ;;
esac
"""
POLYLOGUE = """#!/bin/sh
echo "polylogue $1" >> "$DONE"
"""
LONG_AGO = 1_000_000_000


@dataclass
class Checkout:
    home: Path

    def make(self, target: str) -> list[str]:
        """What was called."""
        done = self.home / "done"
        done.unlink(missing_ok=True)
        environment = {"PATH": f"{self.home / 'bin'}:{os.environ['PATH']}", "DONE": str(done)}
        made = subprocess.run(
            ["make", "--no-print-directory", target],
            cwd=self.home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        return done.read_text().splitlines() if done.exists() else []

    def write(self, name: str, text: str = "", *, mode: int = 0o644, at: float = LONG_AGO) -> None:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        os.utime(path, (at, at))

    def edit(self, name: str) -> None:
        """Later than whatever was built, however fast the test is."""
        self.write(name, "changed", at=(self.home / "web/dist/index.html").stat().st_mtime + 1)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """With an environment that is up to date, and a UI that was built."""
    made = Checkout(tmp_path)
    for name in ("Makefile", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("requirements/run.lock", "pyproject.toml", "requirements/bootstrap.lock"):
        made.write(name)
    for name in (".venv/.bootstrap", ".venv/.run"):
        made.write(name, at=LONG_AGO + 1)
    made.write("bin/npm", NPM, mode=0o755)
    made.write(".venv/bin/polylogue", POLYLOGUE, mode=0o755)
    for name in ("package.json", "package-lock.json", "index.html", "src/main.tsx", "src/gone.tsx"):
        made.write(f"web/{name}")
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "web"], check=True)
    assert made.make("run") == ["npm ci ", "npm run build", "polylogue run"]
    return made


def test_a_second_run_builds_nothing(checkout: Checkout) -> None:
    assert checkout.make("run") == ["polylogue run"]
    assert checkout.make("web") == []


@pytest.mark.parametrize("name", ["web/src/main.tsx", "web/index.html", "web/src/new.tsx"])
def test_what_was_changed_or_is_new_is_built_once(checkout: Checkout, name: str) -> None:
    checkout.edit(name)
    assert checkout.make("run") == ["npm run build", "polylogue run"]
    os.utime(checkout.home / "web/dist/index.html")
    os.utime(checkout.home / name, (LONG_AGO, LONG_AGO))
    assert checkout.make("run") == ["polylogue run"]


def test_other_packages_are_installed_and_built_with(checkout: Checkout) -> None:
    checkout.edit("web/package-lock.json")
    assert checkout.make("web") == ["npm ci ", "npm run build"]


def test_a_file_that_was_removed_is_not_missed(checkout: Checkout) -> None:
    (checkout.home / "web/src/gone.tsx").unlink()
    checkout.edit("web/src/main.tsx")
    assert checkout.make("web") == ["npm run build"]


def test_the_environment_follows_its_lock_and_is_no_reason_to_build(checkout: Checkout) -> None:
    checkout.write(".venv/.dev", at=LONG_AGO + 1)  # whoever develops has more than `run` needs
    checkout.edit("requirements/run.lock")
    assert checkout.make("run") == ["polylogue run"]

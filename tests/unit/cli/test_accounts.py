"""Where the commands for users and keys look for PostgreSQL, and the lengths of time that they take."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from polylogue.cli import accounts
from polylogue.cli.problems import Problem
from polylogue.infra.local.stack import Endpoints, LocalStack

STARTED = "postgresql://polylogue@127.0.0.1:1/polylogue"


@pytest.fixture
def beside_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data dir whose PostgreSQL was started by `polylogue run`, and no setting that names one."""
    monkeypatch.chdir(tmp_path)  # no .env
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("POLYLOGUE_HOME", str(tmp_path))
    monkeypatch.setattr(LocalStack, "endpoints", lambda _: Endpoints(database_url=STARTED))


@pytest.mark.usefixtures("beside_a_run")
def test_the_postgresql_that_run_has_started_is_found() -> None:
    assert accounts._here() == {"database_url": STARTED}


@pytest.mark.usefixtures("beside_a_run")
def test_a_setting_that_names_one_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/x")
    assert accounts._here() == {}


@pytest.mark.usefixtures("beside_a_run")
def test_where_nothing_was_started_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYLOGUE_HOME", str(tmp_path / "nothing"))
    assert accounts._here() == {}
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("text", "length"),
    [("30m", timedelta(minutes=30)), ("12h", timedelta(hours=12)), ("90d", timedelta(days=90))],
)
def test_a_length_of_time_has_a_number_and_a_unit(text: str, length: timedelta) -> None:
    assert accounts.length_of_time(text) == length


@pytest.mark.parametrize("text", ["", "0h", "-1h", "1", "h", "1.5h", "1y", "9999999d", "1h "])
def test_what_is_no_length_of_time_is_said(text: str) -> None:
    with pytest.raises(Problem, match="no length of time"):
        accounts.length_of_time(text)

"""Which servers a command of an operator works with: those that settings name, else those that `run` has started here."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import NoCredentialsError
from typer.testing import CliRunner

from polylogue.cli import media_audit
from polylogue.cli.main import app
from polylogue.cli.problems import Problem, sentence
from polylogue.cli.servers_here import not_named, settings_here
from polylogue.infra.local.stack import Endpoints, LocalStack
from polylogue.infra.settings import load_settings

STARTED = {
    "kafka": {"kafka": "127.0.0.1:1"},
    "postgres": {"database_url": "postgresql://polylogue@127.0.0.1:2/polylogue"},
    "s3": {"s3_endpoint_url": "http://127.0.0.1:3", "s3_access_key": "KEY", "s3_secret_key": "secret"},
}
NAMES = (
    "KAFKA_BOOTSTRAP_SERVERS",
    "DATABASE_URL",
    "S3_ENDPOINT_URL",
    "S3_MEDIA_BUCKET",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)


@pytest.fixture(autouse=True)
def beside_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data dir in which `polylogue run` has started every server, and no setting that names one."""
    monkeypatch.chdir(tmp_path)  # no .env
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("POLYLOGUE_HOME", str(tmp_path))

    def endpoints(stack: LocalStack) -> Endpoints:
        values = [STARTED[one.name] for one in stack._services]
        return Endpoints(**{name: value for each in values for name, value in each.items()})

    monkeypatch.setattr(LocalStack, "endpoints", endpoints)


def test_what_run_has_started_is_found() -> None:
    settings = settings_here()
    assert settings.kafka_bootstrap_servers == "127.0.0.1:1"
    assert str(settings.database_url) == STARTED["postgres"]["database_url"]
    assert (str(settings.s3_endpoint_url), settings.aws_access_key_id) == ("http://127.0.0.1:3/", "KEY")


def test_a_server_that_a_setting_names_is_taken_and_the_others_are_those_of_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "elsewhere:9092")
    monkeypatch.setenv("S3_MEDIA_BUCKET", "a-bucket-of-aws")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    assert not_named(load_settings()) == {"postgres"}
    settings = settings_here()
    assert settings.kafka_bootstrap_servers == "elsewhere:9092"
    assert (settings.s3_endpoint_url, settings.aws_access_key_id) == (None, "AKID")
    assert settings.database_url is not None


def test_where_nothing_was_started_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYLOGUE_HOME", str(tmp_path / "nothing"))
    assert settings_here().kafka_bootstrap_servers is None
    assert not (tmp_path / "nothing").exists()


def test_a_bucket_that_cannot_be_looked_through_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise NoCredentialsError

    monkeypatch.setattr(media_audit, "examine", away)
    done = CliRunner().invoke(app, ["media", "audit"])
    assert isinstance(done.exception, Problem)
    assert str(done.exception).startswith(
        "The bucket polylogue-media cannot be looked through (NoCredentialsError)"
    )


def test_where_postgresql_is_away_a_retry_says_so_in_one_sentence() -> None:
    done = CliRunner().invoke(app, ["media", "retry", "--failed-since", "2h"])
    assert isinstance(done.exception, Problem)
    assert str(done.exception).startswith("PostgreSQL does not answer (")


@pytest.mark.parametrize(
    "command",
    [
        "dlq list",
        "dlq show commands/0/1",
        "dlq drop --all",
        "topics apply",
        "topics check",
        "tables upgrade",
        "projections list",
        "usage tail",
    ],
)
def test_a_command_asks_the_server_of_run_and_says_in_one_sentence_that_it_is_away(command: str) -> None:
    done = CliRunner().invoke(app, command.split())
    assert done.exception is not None
    told = sentence(done.exception)
    assert told is not None
    assert told.splitlines() == [told]
    assert told.startswith(("Kafka does not answer (", "PostgreSQL does not answer ("))
    assert "127.0.0.1" in told

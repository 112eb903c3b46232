"""Exit codes and sentences of the command, run as a person runs it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = (  # noqa: SIM905
    "run ask watch doctor costs version stack topics tables aws dlq media projections usage users keys"
    " api runner media-agent sweeper projector webhooks simulator"
).split()


def polylogue(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "polylogue.cli.main", *arguments],
        cwd=cwd,
        env=kept | {"PYTHONPATH": str(Path(__file__).parents[3]), "COLUMNS": "100"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    done = polylogue("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert [name for name in COMMANDS if f" {name} " not in done.stdout] == []
    assert "supervised" not in done.stdout


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, polylogue.cli.main; "
        "print([name for name in ('aiohttp', 'aiokafka', 'pydantic', 'faust', 'boto3', 'rich.live') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("process", ["api", "runner", "media-agent", "sweeper", "projector", "webhooks"])
def test_a_missing_setting_is_one_sentence_that_names_it(process: str, tmp_path: Path) -> None:
    done = polylogue(process, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "KAFKA_BOOTSTRAP_SERVERS is not set; set it in the environment or in .env.\n"


@pytest.mark.parametrize(
    "words", [("tables", "upgrade"), ("users", "list"), ("projections", "list")], ids=" ".join
)
def test_a_database_that_is_away_is_one_sentence(words: tuple[str, ...], tmp_path: Path) -> None:
    away = {"DATABASE_URL": "postgresql://u:hidden@127.0.0.1:1/p", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = polylogue(*words, cwd=tmp_path, **away)
    assert (done.returncode, done.stderr.count("\n"), "hidden" in done.stderr) == (2, 1, False)
    assert done.stderr.startswith("PostgreSQL does not answer (")
    assert done.stderr.endswith("; is DATABASE_URL right?\n")


@pytest.mark.parametrize(
    "words",
    [("topics", "check"), ("projections", "wait"), ("media", "status"), ("dlq", "list")],
    ids=" ".join,
)
def test_a_kafka_that_is_away_is_one_sentence(words: tuple[str, ...], tmp_path: Path) -> None:
    away = {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/p", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = polylogue(*words, cwd=tmp_path, **away)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("Kafka does not answer (")
    assert done.stderr.endswith("; is KAFKA_BOOTSTRAP_SERVERS right?\n")


def test_a_bad_setting_is_one_sentence_that_names_it(tmp_path: Path) -> None:
    done = polylogue("topics", "apply", cwd=tmp_path, MEDIA_MAX_SIZE_MB="huge")
    assert done.returncode == 2
    assert done.stderr.startswith("MEDIA_MAX_SIZE_MB cannot be used:")
    assert done.stderr.count("\n") == 1


def test_kafka_away_is_one_sentence(tmp_path: Path, unused_tcp_port: int) -> None:
    done = polylogue("topics", "check", cwd=tmp_path, KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{unused_tcp_port}")
    assert done.returncode == 2
    assert "Kafka does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_ask_says_when_nobody_is_there(tmp_path: Path, unused_tcp_port: int) -> None:
    done = polylogue(
        "ask", "Hi", "--models", "sim/text", "--url", f"http://127.0.0.1:{unused_tcp_port}", cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"Nobody answers at http://127.0.0.1:{unused_tcp_port}: the connection is refused; is `make run` running?\n"
    )


def test_ask_finds_the_api_that_run_has_published(tmp_path: Path, unused_tcp_port: int) -> None:
    published = tmp_path / "data" / "run" / "api.url"
    published.parent.mkdir(parents=True)
    published.write_text(f"http://127.0.0.1:{unused_tcp_port}\n")
    (tmp_path / ".env").write_text("POLYLOGUE_HOME=data\n")
    done = polylogue("ask", "Hi", "--models", "sim/text", cwd=tmp_path)
    assert f"127.0.0.1:{unused_tcp_port}" in done.stderr
    done = polylogue("ask", "Hi", "--models", "sim/text", cwd=tmp_path, POLYLOGUE_URL="http://127.0.0.1:1")
    assert "http://127.0.0.1:1:" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("ask",), ("ask", "Hi"), ("ask", "Hi", "--models", " , "), ("ask", "-", "--models", "sim/text")],
)
def test_wrong_usage_of_ask_is_exit_code_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = polylogue(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr


def test_run_refuses_a_port_that_was_asked_for_and_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments, environment in ((("--port", port), {}), ((), {"PORT": port})):
            done = polylogue("run", "--data-dir", str(tmp_path), *arguments, cwd=tmp_path, **environment)
            assert done.returncode == 2
            assert done.stderr == f"Port {port} is taken; name another with --port.\n"


def test_doctor_names_the_server_that_is_away_and_the_remedy(tmp_path: Path, unused_tcp_port: int) -> None:
    done = polylogue(
        "doctor", cwd=tmp_path, DATABASE_URL=f"postgresql://u:secret-word@127.0.0.1:{unused_tcp_port}/d"
    )
    assert done.returncode == 1
    (problem,) = [line for line in done.stdout.splitlines() if line.startswith("problem")]
    assert "PostgreSQL" in problem
    assert "is DATABASE_URL right?" in done.stdout
    assert "secret-word" not in done.stdout + done.stderr


def test_doctor_tells_a_port_that_was_asked_for_and_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = polylogue("doctor", cwd=tmp_path, PORT=str(port))
    assert done.returncode == 1
    assert f"problem  Port: {port} is taken\n" in done.stdout


def test_doctor_is_content_where_nothing_is_configured(tmp_path: Path) -> None:
    done = polylogue("doctor", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(line.startswith("ok") for line in done.stdout.splitlines())

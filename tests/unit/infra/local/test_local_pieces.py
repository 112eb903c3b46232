"""The small parts of the local stack: ports, locks, private files, properties, endpoints."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.infra.local import ports
from polylogue.infra.local.errors import LocalStackError
from polylogue.infra.local.file_lock import held
from polylogue.infra.local.files import write_private
from polylogue.infra.local.java import property_value
from polylogue.infra.local.kafka import jvm
from polylogue.infra.local.s3 import S3
from polylogue.infra.local.service import installed
from polylogue.infra.local.stack import Endpoints, LocalStack, environment, quiet


def test_taken_port_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        free = ports.choose([])
        assert ports.choose([taken, free]) == free
        assert ports.choose([taken]) in ports.SPARE_PORTS


def test_port_that_somebody_else_was_given_is_passed_over() -> None:
    free = ports.choose([])
    assert ports.choose([free], taken=frozenset({free})) != free


def test_lock_is_held_by_one_and_freed_by_kill(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lock"
    code = (
        "import sys, time; from pathlib import Path; from polylogue.infra.local.file_lock import held\n"
        "with held(Path(sys.argv[1]), timeout_s=5):\n print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            waited: list[bool] = []
            with pytest.raises(LocalStackError, match="Another process has held"):
                with held(path, timeout_s=0.2, waiting=lambda: waited.append(True)):
                    pass
            assert waited == [True]
        finally:
            holder.kill()
    with held(path, timeout_s=5):
        pass


def test_private_file_is_readable_by_its_owner_only_also_when_written_again(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "secret"
    for text in ("first", "second"):
        write_private(path, text)
        assert path.read_text() == text
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def _as_java_reads(value: str) -> str:
    """Undo the escapes of a properties file."""
    units = bytearray()
    at = 0
    while at < len(value):
        if value[at] != "\\":
            units += value[at].encode("utf-16-be")
            at += 1
        elif value[at + 1] == "u":
            units += bytes.fromhex(value[at + 2 : at + 6])
            at += 6
        else:
            units += value[at + 1].encode("utf-16-be")
            at += 2
    return units.decode("utf-16-be")


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])).map(lambda text: f"/{text}")
)
def test_any_path_survives_a_properties_file(path: str) -> None:
    written = property_value(Path(path))
    assert written.isascii()
    assert written.isprintable()
    assert _as_java_reads(written) == str(Path(path))


def test_s3_keys_stay_the_same_for_a_data_dir_and_differ_between_two(tmp_path: Path) -> None:
    one, other = S3(tmp_path / "one", quiet), S3(tmp_path / "other", quiet)
    assert one.keys() == S3(tmp_path / "one", quiet).keys()
    assert one.keys() != other.keys()


def test_environment_names_only_the_servers_that_are_there() -> None:
    assert environment(Endpoints(kafka="127.0.0.1:1")) == {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}


def test_endpoints_do_not_print_their_secrets() -> None:
    endpoints = Endpoints(
        database_url="postgresql://a:canary@h/d", s3_secret_key="canary", s3_access_key="canary"
    )
    assert "canary" not in f"{endpoints} {endpoints!r}"


def test_kafkas_java_takes_the_options_that_its_own_start_script_takes_and_has_those_of_a_laptop_otherwise() -> (
    None
):
    named = {
        "KAFKA_HEAP_OPTS": "-Xms1g -Xmx1g",
        "KAFKA_JVM_PERFORMANCE_OPTS": '-XX:+UseG1GC "-Dsaid=two words"',
    }
    asked, laptop = jvm(named), jvm({"KAFKA_HEAP_OPTS": ""})
    assert asked[:4] == ["-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-Dsaid=two words"]
    assert laptop[:4] == ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    assert asked[4:] == laptop[4:]


def test_unknown_service_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="has no mongo"):
        LocalStack(tmp_path, services=frozenset({"mongo", "kafka"}))


def test_status_down_and_reset_of_a_data_dir_that_never_was_do_nothing(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path / "none")
    stack.down()
    stack.reset()
    assert {one.state for one in stack.status()} == {"stopped"}
    assert not (tmp_path / "none").exists()


def test_missing_wheel_is_named_with_the_remedy() -> None:
    with pytest.raises(
        LocalStackError, match=r"needs no_such_wheel; install it with: pip install 'polylogue\[local\]'"
    ):
        installed("no_such_wheel")


def test_a_port_that_is_being_given_up_is_waited_for_and_a_held_one_is_not_for_ever() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert not ports.becomes_free(port, within_s=0)
        release = threading.Timer(0.2, holder.close)
        release.start()
        assert ports.becomes_free(port, within_s=10)
        release.join()

"""The local stack with its real servers: found again, survived, cleared, side by side."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from polylogue.infra.local.errors import LocalStackError
from polylogue.infra.local.s3 import S3
from polylogue.infra.local.stack import Endpoints, LocalStack, environment, quiet

pytestmark = pytest.mark.stack

POSTGRES = frozenset({"postgres"})


@dataclass
class Told:
    lines: list[str] = field(default_factory=list)

    def __call__(self, line: str) -> None:
        self.lines.append(line)


@contextmanager
def folder() -> Iterator[Path]:
    """Not below pytest's: each session of pytest closes that one to other users, and Postgres is one under root."""
    with TemporaryDirectory(prefix="polylogue-stack-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with folder() as directory:
        yield directory / "data"
        LocalStack(directory / "data").reset()


@pytest.fixture(scope="module")
def whole() -> Iterator[LocalStack]:
    """All three servers with something in each; tests leave them running."""
    with folder() as directory:
        yield from _filled(LocalStack(directory))


def _filled(stack: LocalStack) -> Iterator[LocalStack]:
    endpoints = stack.up()
    try:
        asyncio.run(_write_record(endpoints.kafka))
        with psycopg.connect(endpoints.database_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 'row' AS what")
        s3 = _s3(endpoints)
        s3.create_bucket(Bucket="kept")
        s3.put_object(Bucket="kept", Key="ü/object", Body=b"bytes", ContentType="text/x-kept")
        yield stack
    finally:
        stack.reset()


def test_endpoints_are_named_as_the_settings_are(whole: LocalStack) -> None:
    endpoints = whole.endpoints()
    assert environment(endpoints) == {
        "KAFKA_BOOTSTRAP_SERVERS": endpoints.kafka,
        "DATABASE_URL": endpoints.database_url,
        "S3_ENDPOINT_URL": endpoints.s3_endpoint_url,
        "AWS_ACCESS_KEY_ID": endpoints.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": endpoints.s3_secret_key,
        "AWS_REGION": endpoints.s3_region,
    }


def test_second_up_finds_the_running_servers(whole: LocalStack) -> None:
    before = _pids(whole)
    again = LocalStack(whole.data_dir)
    assert again.up() == whole.endpoints()
    assert _pids(again) == before


def test_data_survives_down_and_up(whole: LocalStack) -> None:
    whole.down()
    assert _processes_of(whole.data_dir) == []
    assert {one.state for one in whole.status()} == {"stopped"}
    whole.up()
    _assert_kept(whole.endpoints())


def test_data_survives_kill_of_every_server(whole: LocalStack) -> None:
    for pid in _pids(whole).values():
        os.kill(pid, signal.SIGKILL)
    whole.up()
    assert {one.state for one in whole.status()} == {"running"}
    _assert_kept(whole.endpoints())


def test_second_stack_runs_beside_the_first(whole: LocalStack, data_dir: Path) -> None:
    second = LocalStack(data_dir)
    mine, theirs = second.up(), whole.endpoints()
    assert mine.kafka != theirs.kafka
    with psycopg.connect(mine.database_url) as connection:
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == (None,)
    assert _s3(mine).list_buckets()["Buckets"] == []
    second.down()
    assert _processes_of(data_dir) == []
    assert {one.state for one in whole.status()} == {"running"}


def test_a_server_of_another_data_dir_is_not_taken_for_ours(whole: LocalStack, data_dir: Path) -> None:
    port = next(one.port for one in whole.status() if one.name == "s3")
    assert port is not None
    assert S3(whole.data_dir, quiet).answers(port)
    assert not S3(data_dir, quiet).answers(port)


def test_s3_refuses_foreign_keys_and_answers_loopback_origins_only(whole: LocalStack) -> None:
    import httpx

    endpoints = whole.endpoints()
    url = _s3(endpoints).generate_presigned_url("get_object", Params={"Bucket": "kept", "Key": "ü/object"})
    own = httpx.get(url, headers={"Origin": "http://localhost:5173"})
    foreign = httpx.get(url, headers={"Origin": "http://localhost.example"})
    assert own.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "access-control-allow-origin" not in foreign.headers
    assert httpx.get(f"{endpoints.s3_endpoint_url}/kept/ü/object").status_code == 403
    assert httpx.get(url.replace("Signature=", "Signature=0")).status_code == 403


def test_secrets_are_readable_by_nobody_else(whole: LocalStack) -> None:
    for path in ("s3/keys.json", "s3/s3proxy.properties", "postgres/password"):
        assert (whole.data_dir / path).stat().st_mode & 0o777 == 0o600


def test_servers_left_by_a_killed_parent_are_found(data_dir: Path) -> None:
    parent = _start_in_another_process(data_dir)
    _until(lambda: LocalStack(data_dir, services=POSTGRES).status()[0].state == "running")
    parent.kill()
    parent.wait()
    stack = LocalStack(data_dir, services=POSTGRES)
    left = _pids(stack)
    stack.up()
    assert _pids(stack) == left


def test_server_whose_record_was_never_written_is_found(data_dir: Path) -> None:
    stack = LocalStack(data_dir, services=POSTGRES)
    stack.up()
    before = _pids(stack)
    (data_dir / "run" / "postgres.pid").unlink()
    assert _pids(LocalStack(data_dir, services=POSTGRES)) == before
    stack.down()
    assert _processes_of(data_dir) == []


def test_backends_of_a_killed_server_are_cleared(data_dir: Path) -> None:
    stack = LocalStack(data_dir, services=POSTGRES)
    stack.up()
    server = psutil.Process(_pids(stack)["postgres"])
    backend = server.children()[0]
    backend.suspend()  # it cannot see that its server is gone, and holds the shared memory
    server.kill()
    stack.up()
    assert not backend.is_running() or backend.status() == psutil.STATUS_ZOMBIE
    assert stack.status()[0].state == "running"


def test_recycled_process_id_is_not_touched(data_dir: Path) -> None:
    stack = LocalStack(data_dir, services=POSTGRES)
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        record = data_dir / "run" / "postgres.pid"
        record.parent.mkdir(parents=True)
        created = psutil.Process(bystander.pid).create_time()
        record.write_text(json.dumps({"pid": bystander.pid, "created": created}))
        stack.down()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_port_taken_by_another_program_is_avoided_and_the_new_one_remembered(data_dir: Path) -> None:
    stack = LocalStack(data_dir, services=POSTGRES)
    stack.up()
    first = stack.status()[0].port
    stack.down()
    assert first is not None
    with socket.create_server(("127.0.0.1", first)):
        stack.up()
        second = stack.status()[0].port
        stack.down()
    assert second != first
    stack.up()
    assert stack.status()[0].port == second


def test_failed_start_says_why_and_leaves_no_process(data_dir: Path) -> None:
    stack = LocalStack(data_dir, services=POSTGRES)
    stack.up()
    stack.down()
    (data_dir / "postgres" / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(
        LocalStackError, match=r"PostgreSQL ended while it started; the end of .*\n(.*\n)*.*not compatible"
    ):
        stack.up()
    assert _processes_of(data_dir) == []


def test_reset_removes_processes_and_data(data_dir: Path) -> None:
    told = Told()
    stack = LocalStack(data_dir, services=frozenset({"s3"}), say=told)
    keys = stack.up().s3_secret_key
    stack.reset()
    assert _processes_of(data_dir) == []
    assert not (data_dir / "s3").exists()
    assert told.lines[-1] == "Removed the local data"
    assert not any(keys in line for line in told.lines)


def _pids(stack: LocalStack) -> dict[str, int]:
    return {one.name: one.pid for one in stack.status() if one.pid is not None}


def _processes_of(data_dir: Path) -> list[int]:
    """Living processes that were started for this data dir or work in it."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                continue
            if str(data_dir) in process.cwd() or any(str(data_dir) in word for word in process.cmdline()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def _start_in_another_process(data_dir: Path) -> subprocess.Popen[bytes]:
    code = (
        "import sys, time; from pathlib import Path; from polylogue.infra.local.stack import LocalStack\n"
        "LocalStack(Path(sys.argv[1]), services=frozenset({'postgres'})).up(); time.sleep(60)"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(data_dir)])


def _until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _s3(endpoints: Endpoints) -> object:
    return boto3.client(
        "s3",
        endpoint_url=endpoints.s3_endpoint_url,
        aws_access_key_id=endpoints.s3_access_key,
        aws_secret_access_key=endpoints.s3_secret_key,
        region_name=endpoints.s3_region,
    )


def _assert_kept(endpoints: Endpoints) -> None:
    assert asyncio.run(_read_record(endpoints.kafka)) == b"record"
    with psycopg.connect(endpoints.database_url) as connection:
        assert connection.execute("SELECT what FROM kept").fetchone() == ("row",)
    kept = _s3(endpoints).get_object(Bucket="kept", Key="ü/object")
    assert (kept["Body"].read(), kept["ContentType"]) == (b"bytes", "text/x-kept")


async def _write_record(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("kept", 1, 1)])
    await admin.close()
    # A transaction, so that both internal topics exist and have to be opened again.
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="kept") as producer:
        async with producer.transaction():
            await producer.send_and_wait("kept", b"record")


async def _read_record(bootstrap: str) -> bytes:
    consumer = AIOKafkaConsumer(
        "kept",
        bootstrap_servers=bootstrap,
        group_id="kept",  # through the coordinator, whose topic must be opened again too
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    async with consumer:
        return (await asyncio.wait_for(consumer.getone(), 20)).value

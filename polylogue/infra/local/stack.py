"""Brings Kafka, PostgreSQL and S3 up for one data dir, finds them again, and takes them down."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from polylogue.infra.local import ports, processes
from polylogue.infra.local.errors import LocalStackError
from polylogue.infra.local.file_lock import held
from polylogue.infra.local.kafka import Kafka
from polylogue.infra.local.ports import HOST
from polylogue.infra.local.postgres import Postgres
from polylogue.infra.local.s3 import REGION, S3
from polylogue.infra.local.service import ENVIRONMENT, Say, Service

SERVICES = frozenset({"kafka", "postgres", "s3"})
LOCK_TIMEOUT_S = 300  # a first start elsewhere downloads 100 MB
ASK_EVERY_S = 0.05
START_ATTEMPTS = 3  # a port that was free can be gone a moment later
REUSE_PATIENCE_S = 5.0  # a server that was found running gets this long to answer


def quiet(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Endpoints:
    """Where the servers are; empty for one that was not asked for."""

    kafka: str = ""
    database_url: str = ""
    s3_endpoint_url: str = ""
    s3_access_key: str = ""
    s3_secret_key: str = ""
    s3_region: str = REGION

    def __repr__(self) -> str:
        return f"Endpoints(kafka={self.kafka!r}, s3_endpoint_url={self.s3_endpoint_url!r}, …)"  # no secrets in a log


@dataclass(frozen=True)
class ServiceStatus:
    name: str
    state: Literal["running", "silent", "stopped"]  # silent: the process is there and does not answer
    port: int | None
    pid: int | None
    resident_bytes: int | None


def environment(endpoints: Endpoints) -> dict[str, str]:
    """The settings by which every other part finds the servers."""
    named = {
        "KAFKA_BOOTSTRAP_SERVERS": endpoints.kafka,
        "DATABASE_URL": endpoints.database_url,
        "S3_ENDPOINT_URL": endpoints.s3_endpoint_url,
    }
    if endpoints.s3_endpoint_url:
        named |= {
            "AWS_ACCESS_KEY_ID": endpoints.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": endpoints.s3_secret_key,
            "AWS_REGION": endpoints.s3_region,
        }
    return {name: value for name, value in named.items() if value}


class LocalStack:
    """The servers of one data dir. They outlive this object and the process that made it, until `down`."""

    def __init__(self, data_dir: Path, *, services: frozenset[str] = SERVICES, say: Say = quiet) -> None:
        if unknown := services - SERVICES:
            raise LocalStackError(f"The local stack has no {', '.join(sorted(unknown))}.")
        self.data_dir = data_dir.expanduser().resolve()
        self._say_lock = threading.Lock()
        self._say = say
        self._kafka = Kafka(self.data_dir, self.say)
        self._postgres = Postgres(self.data_dir, self.say)
        self._s3 = S3(self.data_dir, self.say)
        everything: list[Service] = [self._kafka, self._postgres, self._s3]
        self._services = [service for service in everything if service.name in services]

    def say(self, line: str) -> None:
        """One line at a time, whichever thread it comes from."""
        with self._say_lock:
            self._say(line)

    def up(self) -> Endpoints:
        """Start what is not running, in parallel, and return when every server answers; the rest is left alone."""
        with self._held():
            cancelled = threading.Event()
            started: list[Service] = []
            try:
                self._each(lambda service: self._start(service, started, cancelled), cancelled)
            except BaseException:
                # Half a stack is of no use and would be nobody's: what this call started goes again.
                self._each(self._stop, threading.Event(), started)
                raise
            return self.endpoints()

    def down(self) -> None:
        """Stop every server; no process is left."""
        if not self.data_dir.exists():
            return
        with self._held():
            self._each(self._stop, threading.Event())

    def reset(self) -> None:
        """Stop every server and remove its data; the downloaded programs stay."""
        if not self.data_dir.exists():
            return
        with self._held():
            self._each(self._stop, threading.Event())
            for service in self._services:
                shutil.rmtree(service.home, ignore_errors=True)
                service.port_file.unlink(missing_ok=True)
            self.say("Removed the local data")

    def status(self) -> list[ServiceStatus]:
        return [self._status(service) for service in self._services]

    def endpoints(self) -> Endpoints:
        """Where the servers of this data dir are, or were at the last start."""
        found: dict[str, str] = {}
        for service in self._services:
            port = service.port
            if port is None:
                continue
            if service is self._kafka:
                found["kafka"] = f"{HOST}:{port}"
            elif service is self._postgres:
                found["database_url"] = self._postgres.url(port)
            else:
                keys = self._s3.keys()
                found["s3_endpoint_url"] = f"http://{HOST}:{port}"
                found["s3_access_key"] = keys.access_key
                found["s3_secret_key"] = keys.secret_key
        return Endpoints(**found)

    def _held(self) -> AbstractContextManager[None]:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds conversations
        return held(
            self.data_dir / "run" / "lock",
            timeout_s=LOCK_TIMEOUT_S,
            waiting=lambda: self.say(
                "Waiting for another process that is starting or stopping these servers"
            ),
        )

    def _each(
        self,
        act: Callable[[Service], None],
        cancelled: threading.Event,
        services: list[Service] | None = None,
    ) -> None:
        """Act on all services at once; the first error is raised when all have ended."""
        chosen = self._services if services is None else list(services)
        if not chosen:
            return
        with ThreadPoolExecutor(len(chosen), thread_name_prefix="stack") as pool:
            futures: list[Future[None]] = [pool.submit(act, service) for service in chosen]
            try:
                wait(futures, return_when="FIRST_EXCEPTION")
            finally:
                if any(not future.done() or future.exception() for future in futures):
                    cancelled.set()
        for future in futures:
            future.result()

    @staticmethod
    def _port(service: Service) -> int:
        """The one of last time where that is possible: clients of a server that was killed look for it there."""
        if service.port is not None and ports.becomes_free(service.port):
            return service.port
        return ports.choose([service.preferred_port])

    def _start(self, service: Service, started: list[Service], cancelled: threading.Event) -> None:
        if self._reuse(service):
            return
        service.fetch(cancelled)
        for attempt in range(1, START_ATTEMPTS + 1):
            if cancelled.is_set():
                return
            begun = time.monotonic()
            service.clear_leftovers()
            port = self._port(service)
            command = service.prepare(port)
            started.append(service)
            service.port_file.write_text(str(port))
            process = processes.spawn(
                command,
                log=service.log,
                record=service.record,
                owner=service.owner,
                environment=ENVIRONMENT,
                cwd=service.home,
            )
            if self._ready(service, process, port, cancelled):
                self.say(f"{service.title} is ready on port {port} ({time.monotonic() - begun:.1f} s)")
                return
            if cancelled.is_set():
                return
            lost_the_port = not processes.is_alive(process) and not ports.is_free(port)
            if not lost_the_port or attempt == START_ATTEMPTS:
                raise LocalStackError(_why_not(service, process))
            self.say(f"Port {port} was taken meanwhile; trying another for {service.title}")

    def _reuse(self, service: Service) -> bool:
        """Whether the server runs already and answers; one that does not answer is stopped."""
        process = processes.find(service.record, service.marker)
        if process is None:
            return False
        port = service.port
        deadline = time.monotonic() + REUSE_PATIENCE_S
        while port is not None and processes.is_alive(process) and time.monotonic() < deadline:
            if service.answers(port):
                self.say(f"{service.title} is running on port {port}")
                return True
            time.sleep(ASK_EVERY_S)
        self.say(f"Clearing what was left of {service.title}")
        self._stop(service)
        return False

    def _ready(
        self, service: Service, process: psutil.Process, port: int, cancelled: threading.Event
    ) -> bool:
        deadline = time.monotonic() + service.start_patience_s
        while processes.is_alive(process) and time.monotonic() < deadline and not cancelled.is_set():
            if service.answers(port):
                return True
            time.sleep(ASK_EVERY_S)
        return False

    def _stop(self, service: Service) -> None:
        process = processes.find(service.record, service.marker)
        if process is None:
            service.record.unlink(missing_ok=True)
            return
        begun = time.monotonic()
        processes.stop(
            process,
            service.record,
            with_signal=service.stop_signal,
            patience_s=service.stop_patience_s,
            killed=lambda: self.say(
                f"{service.title} did not stop within {service.stop_patience_s:.0f} s and was killed"
            ),
        )
        self.say(f"Stopped {service.title} ({time.monotonic() - begun:.1f} s)")

    def _status(self, service: Service) -> ServiceStatus:
        process = processes.find(service.record, service.marker)
        port = service.port
        if process is None:
            return ServiceStatus(name=service.name, state="stopped", port=port, pid=None, resident_bytes=None)
        try:
            resident = process.memory_info().rss
        except psutil.Error:
            resident = None
        answers = port is not None and service.answers(port)
        return ServiceStatus(
            name=service.name,
            state="running" if answers else "silent",
            port=port,
            pid=process.pid,
            resident_bytes=resident,
        )


def _why_not(service: Service, process: psutil.Process) -> str:
    what = (
        f"did not answer within {service.start_patience_s:.0f} s"
        if processes.is_alive(process)
        else "ended while it started"
    )
    return f"{service.title} {what}; the end of {service.log}:\n{processes.tail(service.log)}"

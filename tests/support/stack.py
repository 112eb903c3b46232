"""Chooses the servers of a test run: named ones, containers where Docker answers, otherwise the local stack."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

NAMED = ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "S3_ENDPOINT_URL")
ALSO = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")


@contextmanager
def test_stack(directory: Path) -> Iterator[dict[str, str]]:
    """Yields the environment that names the servers; stops what it started."""
    named = {name: os.environ[name] for name in NAMED if os.environ.get(name)}
    with ExitStack() as stack:
        if len(named) == len(NAMED):
            yield named | {name: os.environ[name] for name in ALSO if os.environ.get(name)}
        elif not named and _docker_answers():
            yield stack.enter_context(_containers())
        else:
            yield stack.enter_context(_local(directory)) | named


def _docker_answers() -> bool:
    """Whether somebody listens where Docker's clients ask."""
    host = urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    try:
        if host.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(2)
                probe.connect(host.path)
        else:
            socket.create_connection((host.hostname or "", host.port or 2375), timeout=2).close()
    except OSError:
        return False
    return True


@contextmanager
def _local(directory: Path) -> Iterator[dict[str, str]]:
    from polylogue.infra.local.stack import LocalStack, environment

    local = LocalStack(directory)
    endpoints = local.up()
    try:
        yield environment(endpoints)
    finally:
        local.down()


@contextmanager
def _containers() -> Iterator[dict[str, str]]:
    from testcontainers.kafka import KafkaContainer
    from testcontainers.minio import MinioContainer
    from testcontainers.postgres import PostgresContainer

    with (
        KafkaContainer("apache/kafka:4.1.0") as kafka,
        PostgresContainer("postgres:18", driver=None) as postgres,
        MinioContainer() as minio,
    ):
        access = minio.get_config()
        yield {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.get_bootstrap_server(),
            "DATABASE_URL": postgres.get_connection_url(),
            "S3_ENDPOINT_URL": f"http://{access['endpoint']}",
            "AWS_ACCESS_KEY_ID": access["access_key"],
            "AWS_SECRET_ACCESS_KEY": access["secret_key"],
            "AWS_REGION": "us-east-1",
        }

"""Apache Kafka as one KRaft node."""

from __future__ import annotations

import os
import shlex
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import ClassVar

from polylogue.infra.local import java, kafka_probe
from polylogue.infra.local.errors import LocalStackError
from polylogue.infra.local.jars import KAFKA_VERSION
from polylogue.infra.local.ports import HOST, choose
from polylogue.infra.local.service import ENVIRONMENT, Say, Service

FORMAT_TIMEOUT_S = 60

# A laptop's broker: one copy of everything, few internal partitions so that a start has little to open, and no
# delay before a group's first assignment. After kill -9 the broker may register again when the old one's session has
# run out, so that is short. Records outlive kill -9 of the broker in the page cache of the kernel.
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={log_dir}
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.retention.check.interval.ms=30000
log.cleaner.dedupe.buffer.size=16777216
log.message.timestamp.type=LogAppendTime
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=2
message.max.bytes=1048588
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
"""

HEAP = "-Xms128m -Xmx512m"
# Without the optimising compiler: 0.5 s and 45 MB less to start, and a laptop's load never warms it up.
TUNING = f"{java.SMALL_HEAP_COLLECTOR} -XX:TieredStopAtLevel=1"
LOGGING = [
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
]


def jvm(named: Mapping[str, str]) -> list[str]:
    """The options of its Java, which the environment may name as it does for Kafka's own start script."""
    heap, tuning = named.get("KAFKA_HEAP_OPTS") or HEAP, named.get("KAFKA_JVM_PERFORMANCE_OPTS") or TUNING
    return [*shlex.split(heap), *shlex.split(tuning), *LOGGING]


class Kafka(Service):
    name: ClassVar[str] = "kafka"
    title: ClassVar[str] = "Kafka"
    preferred_port: ClassVar[int] = 19092

    def __init__(self, data_dir: Path, say: Say) -> None:
        super().__init__(data_dir, say)
        self._class_path: list[Path] = []

    @property
    def marker(self) -> str:
        return f"-Dpolylogue.kafka={self.home}"

    @property
    def _settings(self) -> Path:
        return self.home / "server.properties"

    @property
    def _log_dir(self) -> Path:
        return self.home / "data"

    def fetch(self, cancelled: Event) -> None:
        self._class_path = java.class_path("kafka", f"Kafka {KAFKA_VERSION}", self.say, cancelled)

    def prepare(self, port: int) -> list[str]:
        self.home.mkdir(parents=True, exist_ok=True)
        self._settings.write_text(
            SETTINGS.format(
                host=HOST,
                port=port,
                controller_port=choose([], taken=frozenset({port})),
                log_dir=java.property_value(self._log_dir),
            )
        )
        if not (self._log_dir / "meta.properties").exists():
            self._format()
        return java.command(
            self.marker, self._class_path, "kafka.Kafka", str(self._settings), options=jvm(os.environ)
        )

    def _format(self) -> None:
        self.say("Formatting Kafka's storage")
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A", 1)
        arguments = [
            "format",
            "--cluster-id",
            cluster_id,
            "--config",
            str(self._settings),
            "--ignore-formatted",
        ]
        command = java.command(
            f"-Dpolylogue.kafka.format={self.home}",  # not the broker's marker: this one is not to be found
            self._class_path,
            "kafka.tools.StorageTool",
            *arguments,
            options=jvm({}),
        )
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, check=False, env=ENVIRONMENT
        )
        if done.returncode != 0:
            raise LocalStackError(
                f"Kafka's storage cannot be formatted:\n{done.stdout}{done.stderr}".rstrip()
            )

    def answers(self, port: int) -> bool:
        described = kafka_probe.describe(HOST, port)
        return described is not None and described.brokers > 0 and described.cluster_id == self._cluster_id()

    def _cluster_id(self) -> str | None:
        try:
            lines = (self._log_dir / "meta.properties").read_text().splitlines()
        except OSError:
            return None
        return next((line.partition("=")[2] for line in lines if line.startswith("cluster.id=")), None)

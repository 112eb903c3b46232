"""The one catalogue of topics and their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from polylogue.infra.settings import Settings

MIB = 1024 * 1024
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True)
class Topic:
    """`name` without the prefix; `config` as Kafka names its settings."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


def _topic(name: str, partitions: int, retention_ms: int, **config: str | int) -> Topic:
    settings = {
        "cleanup.policy": "delete",
        "retention.ms": str(retention_ms),
        "max.message.bytes": str(MIB),
        "message.timestamp.type": "LogAppendTime",
    }
    return Topic(
        name, partitions, settings | {key.replace("_", "."): str(value) for key, value in config.items()}
    )


COMMANDS = _topic("commands", 12, 7 * DAY_MS)
# Never compacted and kept forever: the log is the truth, and every record of it counts in a replay.
CONVERSATION_EVENTS = _topic(
    "conversation-events", 12, -1, segment_bytes=512 * MIB, segment_ms=7 * DAY_MS, compression_type="lz4"
)
# A buffer, not an archive; short segments, because retention acts on closed segments only.
MEDIA_SEGMENTS = _topic(
    "media-segments",
    6,
    72 * HOUR_MS,
    retention_bytes=4096 * MIB,
    segment_bytes=128 * MIB,
    segment_ms=HOUR_MS // 2,
)
MEDIA_REQUESTS = _topic("media-requests", 12, 30 * DAY_MS)
MEDIA_USAGE = _topic("media-usage", 6, 400 * DAY_MS)
# A handful of records, all of which every process reads at its start: the last one of a type is in force.
CONTROLS = _topic("controls", 1, -1)
COMMANDS_DLQ = _topic("commands-dlq", 1, 30 * DAY_MS)
MEDIA_REQUESTS_DLQ = _topic("media-requests-dlq", 1, 30 * DAY_MS)

CATALOGUE = (
    COMMANDS,
    CONVERSATION_EVENTS,
    MEDIA_SEGMENTS,
    MEDIA_REQUESTS,
    MEDIA_USAGE,
    CONTROLS,
    COMMANDS_DLQ,
    MEDIA_REQUESTS_DLQ,
)
FIXED_TOGETHER = (COMMANDS.name, CONVERSATION_EVENTS.name)
"""The runner answers on the partition with the number of the command's own, so these two have equally many."""


def topic_name(settings: Settings, topic: Topic) -> str:
    return settings.kafka_topic_prefix + topic.name


def catalogue(partitions: int | None = None) -> tuple[Topic, ...]:
    """The topics, with another number of partitions for commands and events where one is given."""
    return tuple(
        Topic(topic.name, partitions, topic.config) if partitions and topic.name in FIXED_TOGETHER else topic
        for topic in CATALOGUE
    )

"""Sends a record that cannot be read to its topic's `-dlq`, with the reason and the place it came from."""

from __future__ import annotations

from dataclasses import dataclass

from polylogue.infra.logs import get_logger
from polylogue.streams.replaceable_producer import ReplaceableProducer

REASON = "reason"
SOURCE_TOPIC, SOURCE_PARTITION, SOURCE_OFFSET = "source_topic", "source_partition", "source_offset"

log = get_logger(__name__)


@dataclass(frozen=True)
class SourceRecord:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class DeadLetters:
    """The dead letters of one topic."""

    def __init__(self, producer: ReplaceableProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def bury(self, record: SourceRecord, reason: str) -> None:
        """Returns when the dead letter is acknowledged. Raises ProducerUnusableError.

        A record that is buried twice has the same source position in both letters.
        """
        await self._producer.send(
            self._topic,
            record.value,
            key=record.key,
            headers=(
                (REASON, reason.encode()),
                (SOURCE_TOPIC, record.topic.encode()),
                (SOURCE_PARTITION, str(record.partition).encode()),
                (SOURCE_OFFSET, str(record.offset).encode()),
            ),
        )
        log.error(
            "dead_letter",
            reason=reason,
            source_topic=record.topic,
            source_partition=record.partition,
            source_offset=record.offset,
        )

"""Writes what a follower has read into its tables: one transaction a batch, the checkpoint in it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import psycopg
from aiokafka import ConsumerRecord, TopicPartition
from structlog.stdlib import BoundLogger

from polylogue.projections.batches import Applied, apply_batch, apply_together
from polylogue.projections.checkpoints import Checkpoint, PartitionLostError, advance
from polylogue.projections.metrics import APPLIED
from polylogue.projections.ownership import Ownership
from polylogue.projections.patience import Patience
from polylogue.projections.protocol import Projection
from polylogue.projections.reduction import Refusal
from polylogue.projections.session import Session
from polylogue.projections.versions import Skip, skipped


class TableWriter:
    def __init__(
        self,
        session: Session,
        projection: Projection,
        owned: Ownership,
        *,
        postgres: Patience,
        stop: asyncio.Event,
        log: BoundLogger,
    ) -> None:
        self.skips: Sequence[Skip] = ()
        self._session = session
        self._projection = projection
        self._owned = owned
        self._postgres = postgres
        self._stop = stop
        self._log = log
        self._applied = APPLIED.labels(projection.name, str(projection.version))

    async def write_together(self, batches: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> bool:
        """All partitions in one transaction. False where one is not as it should be: each is then judged by itself."""
        if len(batches) < 2:
            return False
        before: dict[TopicPartition, Checkpoint] = {}
        for place, records in batches.items():
            checkpoint = self._owned.checkpoint(place)
            if checkpoint is None or records[0].offset < checkpoint.next_offset:
                return False
            before[place] = checkpoint
        parts = [
            (one, batches[place], skipped(self.skips, one.log_id, one.partition))
            for place, one in before.items()
        ]
        try:
            after = await apply_together(
                await self._session.connection(), self._projection, parts, self._owned.memory
            )
        except psycopg.Error as error:
            # Whether it was committed may be unknown: by itself, each partition finds out.
            await self._postgres.wait(error)
            return False
        if after is None:
            return False
        self._postgres.over()
        for (place, former), checkpoint in zip(before.items(), after, strict=True):
            self._applied.inc(len(batches[place]))
            if self._owned.advance(place, former, checkpoint):
                self._owned.succeeded(place)
        return True

    async def write(self, place: TopicPartition, records: Sequence[ConsumerRecord]) -> Refusal | None:
        """Tries until the batch is applied, the partition is no longer ours, or the process stops.

        The refusal of the first record that cannot be applied, where there is one and the partition is still ours.
        """
        checkpoint = self._owned.checkpoint(place)
        if checkpoint is None:
            return None  # fetched before the partition was sought to its checkpoint
        if records[0].offset < checkpoint.next_offset:
            self._owned.release(place)  # the consumer stands elsewhere: seek again
            return None
        while self._owned.holds(place, checkpoint) and not self._stop.is_set():
            try:
                applied = await self._try(checkpoint, records)
            except PartitionLostError as error:
                self._lose(place, checkpoint, error)
                return None
            except psycopg.Error as error:
                # All of them: away, restarted, full, deadlocked, ended by a time-out, of a missing right or table.
                await self._postgres.wait(error)
                continue
            self._postgres.over()
            self._applied.inc(sum(record.offset < applied.checkpoint.next_offset for record in records))
            if not self._owned.advance(place, checkpoint, applied.checkpoint):
                return None
            if applied.refusal is None:
                self._owned.succeeded(place)
            return applied.refusal
        return None

    async def move(self, place: TopicPartition, checkpoint: Checkpoint, position: int) -> None:
        """Moves the checkpoint alone: nothing that the tables want lies before the position."""
        try:
            # One statement is a transaction by itself.
            advanced = await advance(await self._session.connection(), checkpoint, position)
        except PartitionLostError as error:
            self._lose(place, checkpoint, error)
        except psycopg.Error as error:
            await self._postgres.wait(error)
        else:
            self._postgres.over()
            self._owned.advance(place, checkpoint, advanced)

    async def _try(self, checkpoint: Checkpoint, records: Sequence[ConsumerRecord]) -> Applied:
        connection = await self._session.connection()
        skips = skipped(self.skips, checkpoint.log_id, checkpoint.partition)
        return await apply_batch(
            connection, self._projection, checkpoint, records, skips=skips, memory=self._owned.memory
        )

    def _lose(self, place: TopicPartition, checkpoint: Checkpoint, error: PartitionLostError) -> None:
        self._log.warning("partition_lost", partition=place.partition, reason=str(error))
        if self._owned.holds(place, checkpoint):
            self._owned.release(place)

"""Acknowledges a record when all that it asks for is done; what may wait is done beside the records that follow.

The partition's next record begins as soon as this one's outcome is told. What is left of it is done in the
background, a few at a time in the whole process, and its acknowledgement waits for that: after a crash the record is
processed again from its start, whatever part of it was done.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from polylogue.infra.crash_points import crash_point
from polylogue.infra.logs import get_logger
from polylogue.streams.ack_order import AckOrder, Begun
from polylogue.streams.dead_letters import SourceRecord
from polylogue.streams.media_requests import MediaRequests
from polylogue.streams.media_work import Afterwards
from polylogue.streams.replaceable_producer import ProducerUnusableError

BESIDE = 8  # each holds a file of one medium; the next to have something left makes its partition wait

log = get_logger(__name__)


class _Partition:
    def __init__(self) -> None:
        # An actor that Faust restarts during a rebalance may run beside its successor for a moment.
        self.one_at_a_time = asyncio.Lock()
        self.order = AckOrder[Any]()


class Acknowledger:
    """Begins a partition's records one at a time and acknowledges them in order, as long as they are still ours.

    After a rebalance Faust reads again from the committed offset, so what was begun before it is left alone: to
    acknowledge it could commit past a record that is being read again.
    """

    def __init__(self, app: Any, requests: MediaRequests, *, beside: int = BESIDE) -> None:
        self._app = app
        self._requests = requests
        self._room = asyncio.Semaphore(beside)
        self._partitions: defaultdict[int, _Partition] = defaultdict(_Partition)
        self._tasks: set[asyncio.Task[None]] = set()

    async def process(self, event: Any) -> None:
        """Returns when the partition's next record may begin."""
        message = event.message
        partition = self._partitions[message.partition]
        async with partition.one_at_a_time:
            if not self._is_current(message):
                return
            record = SourceRecord(
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                key=message.key,
                value=message.value,
            )
            begun = partition.order.begin(message.generation_id, message.offset, event)
            with _given_up_unless_done(partition.order, begun):
                with _fatal(message):
                    afterwards = await self._requests.carry_out(record)
                if afterwards is not None:
                    await self._room_for(afterwards)
            if afterwards is None:
                self._finish(partition.order, begun)
            else:
                self._do_beside(partition.order, begun, afterwards)

    async def close(self) -> None:
        """What is left undone is not acknowledged."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def assigned(self) -> Collection[int]:
        return [place.partition for place in self._app.consumer.assignment()]

    def busy(self) -> Collection[int]:
        if self._app.rebalancing:
            return self.assigned()
        return [
            number
            for number, partition in self._partitions.items()
            if partition.one_at_a_time.locked() or partition.order.under_way
        ]

    async def read_again(self, partition: int, offset: int) -> None:
        for place in self._app.consumer.assignment():
            if place.partition == partition:
                await self._app.consumer.seek(place, offset)

    async def _room_for(self, afterwards: Afterwards) -> None:
        try:
            await self._room.acquire()
        except BaseException:
            afterwards.close()
            raise

    def _do_beside(self, order: AckOrder[Any], begun: Begun[Any], afterwards: Afterwards) -> None:
        async def work() -> None:
            with _given_up_unless_done(order, begun), _fatal(begun.record.message):
                await afterwards.run()
            self._finish(order, begun)

        def ended(task: asyncio.Task[None]) -> None:
            # A task that was cancelled before its first step has not run at all.
            if task.cancelled():
                order.give_up(begun)
            afterwards.close()
            self._room.release()
            self._tasks.discard(task)

        task = asyncio.create_task(work(), name=f"afterwards-{begun.offset}")
        self._tasks.add(task)
        task.add_done_callback(ended)

    def _finish(self, order: AckOrder[Any], begun: Begun[Any]) -> None:
        crash_point("agent.after_emit_before_ack")
        for event in order.finish(begun):
            if self._is_current(event.message):
                event.ack()
                crash_point("agent.acknowledged_before_commit")

    def _is_current(self, message: Any) -> bool:
        return bool(message.generation_id == self._app.consumer_generation_id)


@contextmanager
def _given_up_unless_done(order: AckOrder[Any], begun: Begun[Any]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        order.give_up(begun)
        raise


@contextmanager
def _fatal(message: Any) -> Iterator[None]:
    """What leaves the actor makes Faust pass over the record; a restart reads it again."""
    try:
        yield
    except ProducerUnusableError as error:
        die(f"no outcome could be written: {error}")
    except Exception:
        # Whatever it is, the record must not be passed over.
        log.exception("request_not_carried_out", partition=message.partition, offset=message.offset)
        die("a record could be neither settled nor buried")


def die(reason: str) -> NoReturn:
    """Ends the process at once, before anything more is acknowledged."""
    log.critical("media_agent_ends", reason=reason)
    logging.shutdown()
    os._exit(1)

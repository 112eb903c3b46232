"""One partition of `commands` in this runner's hands: taken over, served, given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from polylogue.infra.crash_points import crash_point
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.infra.topics import COMMANDS, topic_name
from polylogue.schemas.clock import now_ms
from polylogue.schemas.commands import CancelTurn, DeleteConversation, RemoveMedia, StartTurn
from polylogue.schemas.envelope import Command, Event
from polylogue.schemas.events import ConversationDeleted, ResponseFailed
from polylogue.streams import runner_metrics as metrics
from polylogue.streams.command_events import immediate_event
from polylogue.streams.dead_letters import DeadLetters
from polylogue.streams.log_reader import read_to_end
from polylogue.streams.offset_ledger import OffsetLedger
from polylogue.streams.partition_reader import LOOK_BACK_MS, RETRY_S, PartitionReader
from polylogue.streams.partition_writer import PartitionLostError, PartitionWriter
from polylogue.streams.removal import end_conversation, send_requests
from polylogue.streams.runner_tools import RunnerTools
from polylogue.streams.takeover_plan import PlacedCommand, PlacedEvent, TurnPlan, plan_takeover
from polylogue.streams.turn_run import TurnRun

RESEND_AFTER_MS = 5_000  # the API sends a command again no earlier than this, and then it may be here twice
KNOWN_COMMANDS = (
    10_000  # a repetition that comes later than so many turns is late enough to be looked up in the log
)

_CONFLICT = ResponseFailed(
    failure_class="conflict",
    message="Another turn of this conversation was still running; wait for its end and send this one again.",
    retryable=False,
)
_UNSUPPORTED = ResponseFailed(
    failure_class="unsupported",
    message="This server is older than the one that accepted the prompt; send it again after the update.",
    retryable=False,
)
_log = get_logger(__name__)


@dataclass(frozen=True)
class PartitionServices:
    """What a partition needs of its runner."""

    settings: Settings
    tools: RunnerTools
    dead_letters: DeadLetters
    on_lost: Callable[[OwnedPartition], None]
    on_crash: Callable[[BaseException], None]


class OwnedPartition:
    def __init__(self, services: PartitionServices, partition: int) -> None:
        self.partition = partition
        self.ready = False  # taken over: its commands may be served
        self.ledger = OffsetLedger(0)
        self.committed: int | None = None
        self._services = services
        self._commands_topic = topic_name(services.settings, COMMANDS)
        self._reader = PartitionReader(services.settings, partition, services.dead_letters)
        self._writer: PartitionWriter | None = None
        self._turns: dict[int, TurnRun] = {}  # by the offset of their command
        self._known_commands: dict[str, None] = {}  # in order of arrival
        self._deleted: dict[str, None] = {}  # conversations, in order of their deletion
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False
        self._abandoned = False

    @property
    def idle(self) -> bool:
        return not self._tasks

    async def take_over(self, committed: Callable[[], Awaitable[int | None]]) -> int | None:
        """Fences the former writer, ends or goes on with what it left, and returns the next offset to read (None: the
        group has committed nothing and the partition holds nothing). Tries until it works or is abandoned.
        """
        while not self._abandoned:
            try:
                return await self._take_over(committed)
            except PartitionLostError:
                return None
            except (KafkaError, TimeoutError, OSError) as error:
                _log.warning("takeover_delayed", partition=self.partition, error=type(error).__name__)
                await self._close_writer()
                await asyncio.sleep(RETRY_S)
        return None

    async def _take_over(self, committed: Callable[[], Awaitable[int | None]]) -> int | None:
        settings = self._services.settings
        self._writer = PartitionWriter(
            settings, self.partition, on_lost=lambda _: self._services.on_lost(self)
        )
        await self._writer.start()
        crash_point("takeover.fenced")
        start = await committed()
        records = [
            record
            async for record in read_to_end(settings, self._commands_topic, self.partition, offset=start or 0)
        ]
        placed = [
            command for record in records if (command := await self._reader.command(record)) is not None
        ]
        # A command that was sent again may have been carried out when it was sent first. Without any it is read all
        # the same: a prompt that crossed the deletion of its conversation may still come.
        oldest = min(
            (min(item.timestamp_ms, item.command.first_sent_at_ms) for item in placed), default=now_ms()
        )
        events = [event async for event in self._reader.events(oldest - LOOK_BACK_MS)]
        self.ledger = OffsetLedger(start or 0)
        for record in records:
            self.ledger.begin(record.offset)
        plans = plan_takeover(placed, events)
        crash_point("takeover.planned")
        going_on = {plan.placed.offset: plan for plan in plans if not plan.finished}
        for event in events:
            if isinstance(event.event.data, ConversationDeleted):
                _remember(self._deleted, event.event.conversation_id)
        written = _carried_out(events)
        commands = {item.offset: item for item in placed}
        # In the order of the commands: readers take an event of a lower command for a repetition.
        for record in records:
            found = commands.get(record.offset)
            if found is None or self._is_done(found.command, written, going_on.get(record.offset)):
                self.ledger.finish(record.offset)
            else:
                self._carry_out(found, going_on.get(record.offset))
            if found is not None:
                _remember(self._known_commands, found.command.command_id)
        metrics.TAKEOVERS.inc()
        _log.info(
            "partition_taken_over", partition=self.partition, commands=len(placed), unfinished=len(going_on)
        )
        self.ready = True
        crash_point("takeover.done")
        return self.ledger.next_offset if records else start

    async def serve(self, record: ConsumerRecord[bytes, bytes]) -> None:
        """Carries out one command. Returns as soon as the next one may come."""
        with contextlib.suppress(PartitionLostError):
            await self._serve(record)

    async def _serve(self, record: ConsumerRecord[bytes, bytes]) -> None:
        if not self.ready or self._abandoned or record.offset < self.ledger.next_offset:
            return
        self.ledger.begin(record.offset)
        crash_point("runner.command_read")
        placed = await self._reader.command(record)
        if placed is None:
            self.ledger.finish(record.offset)
            return
        command = placed.command
        if isinstance(command.data, CancelTurn):
            crash_point("runner.cancel_read")
            for turn in self._turns.values():
                if turn.command.turn_id == command.turn_id:
                    turn.stop("cancelled", command.data.response_ids)
            self.ledger.finish(record.offset)
            return
        if self._draining and isinstance(command.data, StartTurn):
            return  # stays unfinished: the successor starts it
        if command.command_id in self._known_commands:
            self.ledger.finish(record.offset)
            return
        _remember(self._known_commands, command.command_id)
        late = placed.timestamp_ms - command.first_sent_at_ms > RESEND_AFTER_MS
        if (command.resend or late) and await self._reader.was_carried_out(command):
            self.ledger.finish(record.offset)
        else:
            self._carry_out(placed)

    def drain(self) -> None:
        """Starts no more turns; cancels are still obeyed."""
        self._draining = True

    def interrupt(self) -> None:
        """Ends what is still running as interrupted."""
        for turn in self._turns.values():
            turn.stop("shutdown")

    async def close(self) -> None:
        """Waits for the turns that were told to stop, and ends the writer."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close_writer()

    def abandon(self) -> None:
        """The partition is another runner's: writes nothing more. Returns at once."""
        if self._abandoned:
            return
        self._abandoned, self.ready = True, False
        self._reader.given_up = True
        metrics.LOST.inc()
        for turn in self._turns.values():
            turn.stop("lost")
        if self._writer is not None:
            self._writer.abandon()

    def _is_done(self, command: Command, written: set[str], plan: TurnPlan | None) -> bool:
        """Whether nothing is left to do of a command that a former owner may have begun."""
        if command.command_id in self._known_commands or isinstance(command.data, CancelTurn):
            return True
        if isinstance(command.data, StartTurn):
            return plan is None
        # Nothing in the log says whether the requests of a deletion were sent; twice is harmless.
        return command.command_id in written and not isinstance(command.data, DeleteConversation)

    def _carry_out(self, placed: PlacedCommand, plan: TurnPlan | None = None) -> None:
        command, offset = placed.command, placed.offset
        gone = command.conversation_id in self._deleted
        if isinstance(command.data, DeleteConversation):
            _remember(self._deleted, command.conversation_id)
            self._in_background(self._delete(command, offset, ended=gone), f"delete-{offset}")
        elif isinstance(command.data, RemoveMedia):
            self._in_background(self._delete(command, offset, ended=True), f"delete-{offset}")
        elif gone:
            # Nothing of it would be seen any more, and no model is paid for it.
            _log.info("conversation_is_deleted", conversation_id=command.conversation_id, offset=offset)
            self.ledger.finish(offset)
        elif (event := immediate_event(command, offset)) is not None:
            self._write_immediate(event, offset)
        else:
            self._start(plan or TurnPlan(placed=placed))

    async def _delete(self, command: Command, offset: int, *, ended: bool) -> None:
        """`ended`: the conversation goes on, or its end is written (or about to be). The command is finished with its
        last request: a death before that makes the successor send them all again."""
        assert self._writer is not None
        if not ended:
            turns = [
                turn
                for turn in self._turns.values()
                if turn.command.conversation_id == command.conversation_id
            ]
            await end_conversation(self._writer, command, offset, turns)
        await send_requests(self._services.tools.outbox, command, self.partition)
        self.ledger.finish(offset)

    def _write_immediate(self, event: Event, offset: int) -> None:
        assert self._writer is not None
        self._writer.append(event).add_done_callback(
            lambda written: None if written.cancelled() or written.exception() else self.ledger.finish(offset)
        )

    def _start(self, plan: TurnPlan) -> None:
        assert self._writer is not None
        command = plan.placed.command
        refusal: ResponseFailed | None = None
        if plan.placed.unsupported:
            refusal = _UNSUPPORTED
        elif not plan.begun and any(
            turn.answering and turn.command.conversation_id == command.conversation_id
            for turn in self._turns.values()
        ):
            refusal = _CONFLICT
        turn = TurnRun(self._services.tools, self._writer, plan, refusal=refusal)
        turn.open()
        self._turns[turn.offset] = turn
        turn.task = self._in_background(self._run(turn), f"turn-{command.turn_id}")

    def _in_background(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, PartitionLostError):
            self._services.on_crash(error)

    async def _run(self, turn: TurnRun) -> None:
        try:
            await turn.run()
        finally:
            self._turns.pop(turn.offset, None)
        crash_point("runner.turn_finished_before_commit")
        self.ledger.finish(turn.offset)

    async def _close_writer(self) -> None:
        if self._writer is not None:
            await self._writer.close()
            self._writer = None


def _remember(names: dict[str, None], name: str) -> None:
    names[name] = None
    if len(names) > KNOWN_COMMANDS:
        del names[next(iter(names))]


def _carried_out(events: list[PlacedEvent]) -> set[str]:
    """The commands whose events are in the log."""
    return {
        item.event.causation_id
        for item in events
        if item.event.command_offset is not None and item.event.causation_id is not None
    }

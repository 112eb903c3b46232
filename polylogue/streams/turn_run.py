"""Runs one turn: opens it in the log, asks all its models at once, and ends every response."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from polylogue.infra.crash_points import crash_point, crash_point_after
from polylogue.infra.logs import get_logger
from polylogue.schemas.base import Payload
from polylogue.schemas.commands import StartTurn
from polylogue.schemas.events import (
    ConversationStarted,
    MediaRefused,
    PromptSubmitted,
    ResponseCancelled,
    ResponseFailed,
    ResponseSlot,
)
from polylogue.streams.command_events import command_event
from polylogue.streams.cost_meter import TurnMeter
from polylogue.streams.history_objects import HistoryUnreadableError, with_history
from polylogue.streams.partition_writer import PartitionWriter
from polylogue.streams.response_log import ResponseLog
from polylogue.streams.response_run import ResponseRun, StopReason
from polylogue.streams.runner_tools import RunnerTools
from polylogue.streams.takeover_plan import PlacedClaim, ResponsePlan, TurnPlan
from polylogue.streams.titles import title_of

_NO_HISTORY = ResponseFailed(
    failure_class="connection",
    message="The earlier messages of this conversation could not be read; try again in a moment.",
    retryable=True,
)
_log = get_logger(__name__)


class TurnRun:
    """One StartTurn from its first event to the last acknowledgement. `refusal` ends every response at once."""

    def __init__(
        self,
        tools: RunnerTools,
        writer: PartitionWriter,
        plan: TurnPlan,
        *,
        refusal: ResponseFailed | None = None,
    ) -> None:
        start = plan.placed.command.data
        if not isinstance(start, StartTurn):
            raise TypeError("a turn is started by StartTurn")
        self.command = plan.placed.command
        self.offset = plan.placed.offset
        self.task: asyncio.Task[None] | None = None  # in which it runs, once it does
        self._tools = tools
        self._writer = writer
        self._plan = plan
        self._start = start
        self._refusal = refusal
        self._meter = TurnMeter(start.max_cost_usd_micros)
        self._stopped: dict[str, StopReason] = {}
        self._running: dict[str, ResponseRun] = {}
        self._unended = {
            slot.response_id
            for slot in start.responses
            if plan.responses.get(slot.response_id, ResponsePlan("start")).step != "ended"
        }

    @property
    def answering(self) -> bool:
        """Whether a response has not ended. Claims that wait for Kafka are in nobody's way."""
        return any(name not in self._running or not self._running[name].ended for name in self._unended)

    def stop(self, reason: StopReason, response_ids: tuple[str, ...] = ()) -> None:
        """Stops the named responses, or all. What has ended stays as it ended."""
        for slot in self._start.responses:
            if not response_ids or slot.response_id in response_ids:
                self._stopped[slot.response_id] = reason
                if slot.response_id in self._running:
                    self._running[slot.response_id].stop(reason)

    async def run(self) -> None:
        """Goes on after `open`. Returns when every response has ended and every claim is acknowledged.

        Raises PartitionLostError.
        """
        await crash_point_after("runner.turn_opened", self._writer.flush)
        try:
            self._start = await with_history(self._tools.store, self._start)
        except HistoryUnreadableError as error:
            _log.warning("history_unreadable", turn_id=self.command.turn_id, error=str(error))
            self._refusal = _NO_HISTORY
        resent = [self._resend(placed) for placed in self._plan.claims]
        responses = [self._end(slot) for slot in self._start.responses]
        results = await asyncio.gather(*resent, *responses, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        await self._writer.flush()

    async def _resend(self, placed: PlacedClaim) -> None:
        crash_point("takeover.claims_before")
        await self._tools.outbox.send_claim(placed.claim, placed.produced_at_ms, self.command.traceparent)
        crash_point("takeover.claim_resent")

    async def _end(self, slot: ResponseSlot) -> None:
        await self._respond(slot)
        self._unended.discard(slot.response_id)

    async def _respond(self, slot: ResponseSlot) -> None:
        plan = self._plan.responses.get(slot.response_id, ResponsePlan("start"))
        if plan.step == "ended":
            return
        log = ResponseLog(
            writer=self._writer,
            command=self.command,
            response_id=slot.response_id,
            attempt=max(1, plan.attempt),
            sequence=plan.sequence,
            coalesce_s=self._tools.settings.text_coalesce_ms / 1000,
        )
        if self._refusal is not None:
            await log.event(self._refusal)
        elif plan.step == "interrupt":
            await log.event(
                ResponseFailed(
                    failure_class="interrupted",
                    message="The server stopped while the model answered; what came before is kept. Try again.",
                    retryable=True,
                )
            )
            crash_point("takeover.response_ended")
        elif plan.step == "cancel":
            if plan.job is not None:
                refused = MediaRefused(
                    media_id=plan.job.media_id,
                    media_type=plan.job.media_type,
                    reason="video_failed",
                    message="The film was not finished.",
                )
                log.event(refused)
            await log.event(ResponseCancelled(reason=plan.reason))
            crash_point("takeover.cancel_obeyed")
        else:
            if plan.step in ("restart", "poll"):
                log = replace(log, attempt=plan.attempt + 1, sequence=0)
            info = await self._tools.catalogue.find(slot.model)
            run = ResponseRun(
                self._tools, log, self._start, slot.model, info=info, turn_meter=self._meter, job=plan.job
            )
            self._running[slot.response_id] = run
            if slot.response_id in self._stopped:
                run.stop(self._stopped[slot.response_id])
            try:
                await run.run()
            finally:
                del self._running[slot.response_id]

    def open(self) -> None:
        """Writes what the turn begins with, unless it is in the log. At once: events of commands keep their order.

        Raises PartitionLostError.
        """
        if self._plan.opened:
            return
        if self._start.new_conversation:
            title = self._start.title or title_of(self._start.prompt)
            self._append(ConversationStarted(title=title, parent=self._start.parent))
            if self._start.title is None:
                self._tools.titles.improve(self.command, self._start.prompt, self._writer.partition)
        self._append(
            PromptSubmitted(
                prompt=self._start.prompt,
                responses=self._start.responses,
                round=self._start.round,
                system=self._start.system,
                attachments=self._start.attachments,
            )
        )

    def _append(self, data: Payload) -> None:
        self._writer.append(command_event(self.command, self.offset, data))

"""Runs one response: asks the model, and writes what it answers as events, segments and claims."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Literal

from polylogue.infra.crash_points import crash_point, crash_point_after
from polylogue.infra.logs import get_logger
from polylogue.schemas.base import Payload
from polylogue.schemas.clock import now_ms
from polylogue.schemas.commands import StartTurn
from polylogue.schemas.events import (
    MediaJobStarted,
    ReasoningAppended,
    ResponseCompleted,
    ResponseFailed,
    ResponseNoted,
    ResponseQueued,
    ResponseStarted,
)
from polylogue.streams import runner_metrics as metrics
from polylogue.streams.chat_request import (
    chat_request,
    leaves_pictures_out,
    pictures_for,
    prompt_characters,
    sound_format,
)
from polylogue.streams.cost_meter import ResponseMeter, TurnMeter
from polylogue.streams.gateway.catalogue import ModelInfo
from polylogue.streams.gateway.events import (
    AudioDelta,
    BadMedia,
    Finished,
    GatewayEvent,
    JobStarted,
    MediaBytes,
    MediaRemote,
    Noted,
    ReasoningDelta,
    TextDelta,
    UpstreamError,
    UsageReported,
)
from polylogue.streams.gateway.request import ChatRequest
from polylogue.streams.media_production import MediaProduction
from polylogue.streams.partition_writer import PartitionLostError
from polylogue.streams.response_account import ResponseAccount
from polylogue.streams.response_log import ResponseLog
from polylogue.streams.runner_tools import RunnerTools

StopReason = Literal["cancelled", "deleted", "shutdown", "lost"]

_log = get_logger(__name__)


class ResponseRun:
    """One attempt of one response. `run` always ends it with one event, unless the partition was lost."""

    def __init__(
        self,
        tools: RunnerTools,
        log: ResponseLog,
        start: StartTurn,
        model: str,
        *,
        info: ModelInfo | None,
        turn_meter: TurnMeter,
        job: MediaJobStarted | None = None,
    ) -> None:
        self._tools = tools
        self._log = log
        self._start = start
        self._model = model
        self._info = info
        self._media = MediaProduction(
            tools.settings,
            tools.outbox,
            log,
            model,
            tools.admission,
            fingerprints=tools.checks,
            quota=tools.quota,
            sound_format=sound_format(start, model),
        )
        self._resumed_job = job
        if job is not None:
            self._media.resume(job)
        self._account = ResponseAccount(ResponseMeter(turn_meter, info, prompt_characters(start, model)))
        self._turn_meter = turn_meter
        self._stop_reason: StopReason | None = None
        self._task: asyncio.Task[None] | None = None
        self.ended = False  # its end is on its way to Kafka

    def stop(self, reason: StopReason) -> None:
        """Closes the upstream connection; the response ends as the reason says. The first reason counts, unless the
        partition is lost meanwhile."""
        if self._stop_reason is None or reason == "lost":
            self._stop_reason = reason
            if self._task is not None:
                self._task.cancel()

    async def run(self) -> None:
        """Raises PartitionLostError. Returns when the end and every claim are acknowledged."""
        self._task = asyncio.current_task()
        with metrics.ACTIVE.track_inprogress():
            try:
                end = await self._ask()
            except asyncio.CancelledError:
                if self._stop_reason is None:
                    raise
                end = self._stopped(self._stop_reason)
        if end is None:
            await self._media.abandon()
            self._log.discard()
            raise PartitionLostError(f"partition {self._log.writer.partition} is left to another runner")
        await self._undisturbed(self._media.finish())
        self._media.give_up_job("The film was not finished.")
        self._report(end)
        self.ended = True
        await self._settle(end)

    async def _settle(self, end: Payload) -> None:
        """Waits for the end and every claim. A stop that comes now comes too late; a lost partition fails the wait."""
        crash_point("runner.response_end_before")
        settled = asyncio.gather(self._log.event(end), *self._media.claims)
        await crash_point_after("runner.response_ended", self._log.writer.flush)
        await self._undisturbed(settled)

    async def _undisturbed(self, work: Awaitable[object]) -> None:
        """Waits for what a stop may no longer stop."""
        waiting = asyncio.ensure_future(work)
        while not waiting.done():
            try:
                await asyncio.shield(waiting)
            except asyncio.CancelledError:
                if self._stop_reason is None:
                    raise
        waiting.result()

    async def _ask(self) -> Payload | None:
        if self._stop_reason is not None:
            return self._stopped(self._stop_reason)
        async with self._tools.capacity.slot(self._log.command.conversation_id, self._queued):
            self._log.event(ResponseStarted(model=self._model, media_enabled=self._media.enabled))
            await crash_point_after("runner.response_started", self._log.writer.flush)
            if self._log.attempt > 1:
                await crash_point_after("takeover.restarted", self._log.writer.flush)
            return await self._stream()

    async def _question(self) -> ChatRequest:
        if leaves_pictures_out(self._start, self._model, self._info):
            message = "This model takes no pictures; it was asked without them."
            self._log.event(ResponseNoted(code="pictures_left_out", message=message))
        pictures = pictures_for(self._start, self._model, self._info)
        return chat_request(
            self._start,
            self._model,
            self._info,
            media_enabled=self._media.enabled,
            pictures=await self._tools.pictures.find(pictures) if pictures else None,
        )

    async def _upstream(self) -> AsyncGenerator[list[GatewayEvent]]:
        gateway, job = self._tools.gateway, self._resumed_job
        if job is not None:
            return gateway.resume_job(
                media_type=job.media_type, job_id=job.job_id, polling_url=job.polling_url
            )
        return gateway.stream(await self._question(), early=self._media.early)

    def _time_limit_s(self) -> float:
        settings = self._tools.settings
        makes_films = self._resumed_job is not None or (
            self._info is not None and self._info.protocol == "videos"
        )
        return (
            settings.video_deadline_s + settings.response_timeout_s
            if makes_films
            else settings.response_timeout_s
        )

    @property
    def _makes_only_media(self) -> bool:
        return self._info is not None and "text" not in self._info.output_modalities

    def _left_out(self) -> Payload:
        """Media are switched off and this model makes nothing else: it is not asked, and nothing is paid."""
        made = self._info.output_modalities[0] if self._info else "image"
        self._media.leave_out("video" if made == "video" else "audio" if made == "audio" else "image")
        return ResponseCompleted(finish_reason="stop", duration_ms=self._account.elapsed_ms())

    def _queued(self, position: int) -> None:
        self._log.event(ResponseQueued(position=position))

    async def _stream(self) -> Payload | None:
        limit = self._time_limit_s()
        try:
            if self._makes_only_media and not self._media.enabled:
                return self._left_out()
            upstream = await self._upstream()
            async with asyncio.timeout(limit), aclosing(upstream) as stream:
                async for events in stream:
                    for event in events:
                        end = await self._take(event) or self._over_budget()
                        if end is not None:
                            await self._media.compared()
                            return end
                    await self._log.writer.drain()
        except TimeoutError:
            return self._account.failed(
                "timeout", f"The model did not finish within {limit:g} seconds.", retryable=True
            )
        except PartitionLostError:
            return None
        except Exception:  # noqa: BLE001  # whatever a hostile stream provokes ends this response, not its neighbours
            _log.exception("response_crashed", response_id=self._log.response_id, model=self._model)
            return self._account.failed("protocol", "The answer could not be processed.", retryable=True)
        return self._account.failed("truncated", "The answer ended without saying so.", retryable=True)

    async def _take(self, event: GatewayEvent) -> Payload | None:
        """Writes one event of the gateway; returns the end of the response where it is that."""
        match event:
            case TextDelta(text):
                crash_point("runner.text_received")
                self._account.saw_text(text)
                self._log.text(text)
                await crash_point_after("runner.text_appended", self._log.flush)
            case ReasoningDelta(text):
                self._account.saw_text(text)
                self._log.text(text, ReasoningAppended)
            case MediaBytes():
                self._account.saw_picture()
                await self._media.produce(event)
            case MediaRemote():
                self._account.saw_token()
                await self._media.produce_remote(event)
            case JobStarted():
                self._media.order(event)
            case BadMedia(media_type, "disabled"):
                self._media.leave_out(media_type)
            case BadMedia(media_type, reason, message):
                self._media.refuse(media_type, reason, message)
            case Noted(code, message):
                self._log.event(ResponseNoted(code=code, message=message))
            case UsageReported(usage, cost):
                self._account.reported(usage, cost)
            case AudioDelta():
                self._account.saw_token()
            case Finished(finish_reason, native):
                return self._account.completed(finish_reason, native)
            case UpstreamError(failure_class, message, retryable):
                return self._account.failed(failure_class, message, retryable=retryable)
        return None

    def _stopped(self, reason: StopReason) -> Payload | None:
        if reason == "lost":
            return None
        if reason == "shutdown" and self._media.job_pending:
            return None  # left as it stands: whoever takes the partition over polls the job on
        if reason in ("cancelled", "deleted"):
            return self._account.cancelled("user" if reason == "cancelled" else "conversation_deleted")
        return self._account.failed(
            "interrupted", "The server was stopped while the model answered; try again.", retryable=True
        )

    def _over_budget(self) -> Payload | None:
        if self._turn_meter.exhausted:
            return self._account.cancelled("cost_limit")
        limit = self._tools.settings.response_max_text_kb
        if self._account.text_bytes > limit * 1024:
            return self._account.failed(
                "limit", f"The answer is longer than the {limit} KB that are allowed.", retryable=False
            )
        return None

    def _report(self, end: Payload) -> None:
        outcome = end.failure_class if isinstance(end, ResponseFailed) else type(end).__name__
        metrics.RESPONSES.labels(outcome=outcome).inc()
        tokens_per_s = self._account.tokens_per_s()
        if tokens_per_s is not None:
            metrics.TOKENS_PER_S.observe(tokens_per_s)
        _log.info(
            "response_ended",
            conversation_id=self._log.command.conversation_id,
            turn_id=self._log.command.turn_id,
            response_id=self._log.response_id,
            attempt=self._log.attempt,
            model=self._model,
            outcome=outcome,
            duration_ms=self._account.elapsed_ms(),
            time_to_first_token_ms=self._account.first_token_ms,
            text_bytes=self._account.text_bytes,
            media=self._media.count,
            media_bytes=self._media.size_bytes,
            traceparent=self._log.command.traceparent,
            at_ms=now_ms(),
        )

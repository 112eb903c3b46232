"""Runs one response: asks the model, and writes what it answers as events, segments and claims."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.media.keys import object_key
from polylogue.media.sniff import sniff
from polylogue.schemas.base import MediaType, Payload
from polylogue.schemas.claims import MediaClaim, RemoteSource, SegmentRange
from polylogue.schemas.clock import now_ms, rfc3339
from polylogue.schemas.commands import StartTurn
from polylogue.schemas.events import (
    FailureClass,
    MediaProduced,
    MediaRefused,
    ReasoningAppended,
    RefusalReason,
    ResponseCancelled,
    ResponseCompleted,
    ResponseFailed,
    ResponseNoted,
    ResponseQueued,
    ResponseStarted,
    Usage,
)
from polylogue.streams import runner_metrics as metrics
from polylogue.streams.chat_request import chat_request
from polylogue.streams.gateway.catalogue import ModelInfo
from polylogue.streams.gateway.client import Gateway
from polylogue.streams.gateway.events import (
    AudioDelta,
    BadMedia,
    Finished,
    GatewayEvent,
    MediaBytes,
    MediaRemote,
    Noted,
    ReasoningDelta,
    TextDelta,
    UpstreamError,
    UsageReported,
)
from polylogue.streams.model_catalogue import ModelCatalogue
from polylogue.streams.partition_writer import PartitionLostError
from polylogue.streams.response_log import ResponseLog
from polylogue.streams.segments import MediaOutbox

MIB = 1024 * 1024
StopReason = Literal["cancelled", "shutdown", "lost"]

_EXTENSIONS: dict[MediaType, str] = {"image": "png", "audio": "wav", "video": "mp4"}
_log = get_logger(__name__)


@dataclass(frozen=True)
class RunnerTools:
    """What every response of a runner shares."""

    settings: Settings
    gateway: Gateway
    catalogue: ModelCatalogue
    outbox: MediaOutbox
    capacity: asyncio.Semaphore  # responses that may be upstream at once


class ResponseRun:
    """One attempt of one response. `run` always ends it with one event, unless the partition was lost."""

    def __init__(
        self, tools: RunnerTools, log: ResponseLog, start: StartTurn, model: str, info: ModelInfo | None
    ) -> None:
        self._tools = tools
        self._log = log
        self._start = start
        self._model = model
        self._info = info
        self._media_enabled = tools.settings.enable_media_responses
        self._media_count = 0
        self._claims: set[asyncio.Task[None]] = set()
        self._usage: Usage | None = None
        self._cost: int | None = None
        self._began = asyncio.get_running_loop().time()
        self._first_token_ms: int | None = None
        self._stop_reason: StopReason | None = None
        self._task: asyncio.Task[None] | None = None

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
            self._log.discard()
            raise PartitionLostError(f"partition {self._log.writer.partition} is written by another runner")
        self._report(end)
        await self._settle(end)

    async def _settle(self, end: Payload) -> None:
        """Waits for the end and every claim. A stop that comes now comes too late; a lost partition fails the wait."""
        settled = asyncio.gather(self._log.event(end), *self._claims)
        while not settled.done():
            try:
                await asyncio.shield(settled)
            except asyncio.CancelledError:
                if self._stop_reason is None:
                    raise

    async def _ask(self) -> Payload | None:
        if self._stop_reason is not None:
            return self._stopped(self._stop_reason)
        if self._tools.capacity.locked():
            self._log.event(ResponseQueued(position=1))
        async with self._tools.capacity:
            self._log.event(ResponseStarted(model=self._model, media_enabled=self._media_enabled))
            return await self._stream()

    async def _stream(self) -> Payload | None:
        question = chat_request(self._start, self._model, self._info, media_enabled=self._media_enabled)
        try:
            async with (
                asyncio.timeout(self._tools.settings.response_timeout_s),
                aclosing(self._tools.gateway.stream(question)) as stream,
            ):
                async for events in stream:
                    for event in events:
                        end = await self._take(event)
                        if end is not None:
                            return end
                    await self._log.writer.drain()
        except TimeoutError:
            limit = self._tools.settings.response_timeout_s
            return self._failed(
                "timeout", f"The model did not finish within {limit:g} seconds.", retryable=True
            )
        except PartitionLostError:
            return None
        except Exception:  # noqa: BLE001  # whatever a hostile stream provokes ends this response, not its neighbours
            _log.exception("response_crashed", response_id=self._log.response_id, model=self._model)
            return self._failed("protocol", "The answer could not be processed.", retryable=True)
        return self._failed("truncated", "The answer ended without saying so.", retryable=True)

    async def _take(self, event: GatewayEvent) -> Payload | None:
        """Writes one event of the gateway; returns the end of the response where it is that."""
        match event:
            case TextDelta(text):
                self._saw_token()
                self._log.text(text)
            case ReasoningDelta(text):
                self._saw_token()
                self._log.text(text, ReasoningAppended)
            case MediaBytes():
                self._saw_token()
                await self._produce(event)
            case MediaRemote():
                self._saw_token()
                self._produce_remote(event)
            case BadMedia(media_type, reason, message):
                self._refuse(media_type, reason, message)
            case Noted(code, message):
                self._log.event(ResponseNoted(code=code, message=message))
            case UsageReported(usage, cost):
                self._usage, self._cost = usage, cost
            case AudioDelta():
                self._saw_token()
            case Finished(finish_reason, native):
                return ResponseCompleted(
                    finish_reason=finish_reason,
                    native_finish_reason=native,
                    usage=self._usage,
                    cost_usd_micros=self._cost,
                    time_to_first_token_ms=self._first_token_ms,
                    duration_ms=self._elapsed_ms(),
                )
            case UpstreamError(failure_class, message, retryable):
                return self._failed(failure_class, message, retryable=retryable)
        return None

    async def _produce(self, medium: MediaBytes) -> None:
        limit = self._tools.settings.media_max_size_mb
        if not self._media_enabled:
            self._refuse(medium.media_type, "disabled", "Media are switched off here; the text is complete.")
            return
        if len(medium.data) > limit * MIB:
            self._refuse(
                medium.media_type, "too_large", f"The file is larger than the {limit} MB that are allowed."
            )
            return
        kind = sniff(medium.data)
        media_type = kind.media_type if kind else medium.media_type
        media_id = self._next_media_id()
        segments = await self._tools.outbox.write_segments(media_id, medium.data, medium.sha256)
        self._claim(
            media_id,
            media_type,
            extension=kind.format if kind else _EXTENSIONS[media_type],
            content_type=kind.content_type
            if kind
            else medium.declared_content_type or "application/octet-stream",
            declared_content_type=medium.declared_content_type,
            segments=segments,
        )

    def _produce_remote(self, medium: MediaRemote) -> None:
        if not self._media_enabled:
            self._refuse(medium.media_type, "disabled", "Media are switched off here; the text is complete.")
            return
        extension = _EXTENSIONS[medium.media_type]
        self._claim(
            self._next_media_id(),
            medium.media_type,
            extension=extension,
            content_type=medium.declared_content_type or f"{medium.media_type}/{extension}",
            declared_content_type=medium.declared_content_type,
            remote=RemoteSource(url=medium.url),
        )

    def _claim(
        self,
        media_id: str,
        media_type: MediaType,
        *,
        extension: str,
        content_type: str,
        declared_content_type: str | None,
        segments: SegmentRange | None = None,
        remote: RemoteSource | None = None,
    ) -> None:
        """MediaProduced first, then the claim: whoever finds the first without an outcome sends the second again."""
        command = self._log.command
        day = rfc3339()[:10].replace("-", "")
        claim = MediaClaim(
            media_id=media_id,
            media_type=media_type,
            conversation_id=command.conversation_id,
            turn_id=command.turn_id,
            response_id=self._log.response_id,
            owner_id=command.owner_id,
            model=self._model,
            key=object_key(media_type, command.conversation_id, self._model, day, media_id, extension),
            format=extension,
            content_type=content_type,
            declared_content_type=declared_content_type,
            answer_partition=self._log.writer.partition,
            segments=segments,
            remote=remote,
        )
        produced = self._log.event(MediaProduced(claim=claim))
        self._claims.add(asyncio.create_task(self._send_claim(claim, produced), name=f"claim-{media_id}"))

    async def _send_claim(self, claim: MediaClaim, produced: asyncio.Future[int]) -> None:
        produced_at_ms = await asyncio.shield(produced)
        await self._tools.outbox.send_claim(claim, produced_at_ms, self._log.command.traceparent)

    def _refuse(self, media_type: MediaType, reason: RefusalReason, message: str) -> None:
        self._log.event(
            MediaRefused(
                media_id=self._next_media_id(), media_type=media_type, reason=reason, message=message
            )
        )

    def _next_media_id(self) -> str:
        """Deterministic within an attempt; another attempt's bytes never count as this one's."""
        self._media_count += 1
        name = f"{self._log.response_id}.{self._log.attempt}.{self._media_count}"
        return uuid.uuid5(uuid.NAMESPACE_OID, name).hex

    def _stopped(self, reason: StopReason) -> Payload | None:
        if reason == "lost":
            return None
        if reason == "cancelled":
            return ResponseCancelled(
                usage=self._usage, cost_usd_micros=self._cost, duration_ms=self._elapsed_ms()
            )
        return self._failed(
            "interrupted", "The server was stopped while the model answered; try again.", retryable=True
        )

    def _failed(self, failure_class: FailureClass, message: str, *, retryable: bool) -> ResponseFailed:
        return ResponseFailed(
            failure_class=failure_class,
            message=message,
            retryable=retryable,
            usage=self._usage,
            cost_usd_micros=self._cost,
            duration_ms=self._elapsed_ms(),
        )

    def _saw_token(self) -> None:
        if self._first_token_ms is None:
            self._first_token_ms = self._elapsed_ms()
            metrics.FIRST_TOKEN_S.observe(self._first_token_ms / 1000)

    def _elapsed_ms(self) -> int:
        return round((asyncio.get_running_loop().time() - self._began) * 1000)

    def _report(self, end: Payload) -> None:
        outcome = end.failure_class if isinstance(end, ResponseFailed) else type(end).__name__
        metrics.RESPONSES.labels(outcome=outcome).inc()
        _log.info(
            "response_ended",
            conversation_id=self._log.command.conversation_id,
            turn_id=self._log.command.turn_id,
            response_id=self._log.response_id,
            attempt=self._log.attempt,
            model=self._model,
            outcome=outcome,
            duration_ms=self._elapsed_ms(),
            time_to_first_token_ms=self._first_token_ms,
            media=self._media_count,
            traceparent=self._log.command.traceparent,
            at_ms=now_ms(),
        )

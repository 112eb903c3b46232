"""Claims the media of one attempt of a response: MediaProduced in the log, then the request to store it."""

from __future__ import annotations

import asyncio

from polylogue.infra.crash_points import crash_point
from polylogue.media.keys import object_key
from polylogue.media.sniff import MediaKind
from polylogue.schemas.base import MediaType
from polylogue.schemas.claims import MediaClaim, PrepareMedia, RemoteSource, SegmentRange
from polylogue.schemas.clock import now_ms, rfc3339
from polylogue.schemas.events import MediaProduced
from polylogue.streams.response_log import ResponseLog
from polylogue.streams.segment_series import SegmentSeries
from polylogue.streams.segments import MediaOutbox


class MediaClaims:
    def __init__(self, outbox: MediaOutbox, log: ResponseLog, model: str) -> None:
        self._outbox = outbox
        self._log = log
        self._model = model
        self.sent: set[asyncio.Task[None]] = set()  # done when Kafka has the claims

    def claim(
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
        claim = MediaClaim(
            media_id=media_id,
            media_type=media_type,
            conversation_id=command.conversation_id,
            turn_id=command.turn_id,
            response_id=self._log.response_id,
            owner_id=command.owner_id,
            model=self._model,
            key=self._key(media_id, media_type, extension),
            format=extension,
            content_type=content_type,
            declared_content_type=declared_content_type,
            answer_partition=self._log.writer.partition,
            segments=segments,
            remote=remote,
        )
        produced = self._log.event(MediaProduced(claim=claim))
        self.sent.add(asyncio.create_task(self._send(claim, produced), name=f"claim-{media_id}"))

    def announce(
        self, series: SegmentSeries, kind: MediaKind, so_far_bytes: int, size_bytes: int | None
    ) -> None:
        """Tells the agent of a medium that is still being written; nobody needs to hear of it."""
        self._outbox.announce(
            PrepareMedia(
                media_id=series.media_id,
                key=self._key(series.media_id, kind.media_type, kind.format),
                content_type=kind.content_type,
                partition=series.partition,
                first_offset=series.first_offset,
                begun_at_ms=now_ms(),
                so_far_bytes=so_far_bytes,
                size_bytes=size_bytes,
            )
        )

    def _key(self, media_id: str, media_type: MediaType, extension: str) -> str:
        day = rfc3339()[:10].replace("-", "")
        conversation_id = self._log.command.conversation_id
        return object_key(media_type, conversation_id, self._model, day, media_id, extension)

    async def _send(self, claim: MediaClaim, produced: asyncio.Future[int]) -> None:
        produced_at_ms = await asyncio.shield(produced)
        crash_point("runner.produced_acknowledged_before_claim")
        await self._outbox.send_claim(claim, produced_at_ms, self._log.command.traceparent)
        crash_point("runner.claim_sent")

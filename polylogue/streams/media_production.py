"""From the bytes that a model sent to a medium: its segments, its MediaProduced, its claim."""

from __future__ import annotations

import asyncio
import hashlib
import uuid

from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.media.sniff import WAV, MediaKind, sniff
from polylogue.media.transcode import TranscodeError, transcode
from polylogue.schemas.base import MediaType
from polylogue.schemas.claims import RemoteSource
from polylogue.schemas.events import (
    MediaJobStarted,
    MediaRefused,
    RefusalReason,
    ResponseNoted,
)
from polylogue.streams.admission import MediaAdmission
from polylogue.streams.gateway.answer import DISABLED
from polylogue.streams.gateway.events import JobStarted, MediaBytes, MediaRemote
from polylogue.streams.media_claims import MediaClaims
from polylogue.streams.partition_writer import PartitionLostError
from polylogue.streams.quota_gate import QuotaGate
from polylogue.streams.response_log import ResponseLog
from polylogue.streams.seen_pictures import Fingerprints, SeenPictures, Size, size_of
from polylogue.streams.segment_series import SegmentSeries
from polylogue.streams.segments import MediaOutbox
from polylogue.streams.segments_ahead import Begun, SegmentsAhead

MIB = 1024 * 1024
UNKNOWN_BYTES = 1  # of a medium that is given as a link: it needs some room

_log = get_logger(__name__)

_EXTENSIONS: dict[MediaType, str] = {"image": "png", "audio": "wav", "video": "mp4"}


class MediaProduction:
    """The media of one attempt of a response, in the order in which they came."""

    def __init__(
        self,
        settings: Settings,
        outbox: MediaOutbox,
        log: ResponseLog,
        model: str,
        admission: MediaAdmission,
        *,
        fingerprints: Fingerprints,
        quota: QuotaGate | None = None,
        sound_format: str = "wav",
    ) -> None:
        self.off = admission.off  # why none are asked for; read once: it holds to the end of the response
        self.count = 0
        self.size_bytes = 0
        self._settings = settings
        self._admission = admission
        self._outbox = outbox
        self._log = log
        self._quota = quota
        self._sound_format = sound_format
        self._job: MediaJobStarted | None = None
        self._ids = 0
        self.early = SegmentsAhead(
            lambda: outbox.series(self._new_id()),
            outbox.ahead,
            wanted=self._wanted,
            announce=self._announce,
            max_bytes=settings.media_max_size_mb * MIB,
        )
        self._claims = MediaClaims(outbox, log, model)
        self._seen = SeenPictures(fingerprints)
        self._comparing: asyncio.Task[None] | None = None

    @property
    def enabled(self) -> bool:
        return self.off is None

    @property
    def claims(self) -> set[asyncio.Task[None]]:
        """Done when Kafka has the claims."""
        return self._claims.sent

    @property
    def job_pending(self) -> bool:
        """A provider works on a medium that was ordered and is paid for."""
        return self._job is not None

    def order(self, job: JobStarted) -> None:
        self._job = MediaJobStarted(
            media_id=self._next_media_id(),
            media_type=job.media_type,
            job_id=job.job_id,
            polling_url=job.polling_url,
        )
        self._log.event(self._job)

    def resume(self, job: MediaJobStarted) -> None:
        """A job that an earlier attempt ordered: its medium keeps its id."""
        self._job = job

    def give_up_job(self, message: str) -> None:
        """The job brought nothing: its place in the answer says so."""
        if self._job is not None:
            self.refuse(self._job.media_type, "video_failed", message)

    async def produce(self, medium: MediaBytes) -> None:
        """A picture that may be a repetition is compared in the background: the text behind it does not wait."""
        await self.compared()  # one at a time: pictures keep their order, and only one is held meanwhile
        if self._refused(medium.media_type, len(medium.data)):
            return
        if medium.media_type == "audio":
            medium = await self._as_asked(medium)
        kind = sniff(medium.data)
        begun = None if self.job_pending else await self.early.taken(medium)
        # A job's medium has a place that must be filled, whatever it shows.
        size = None if self.job_pending else size_of(medium.data, kind)
        if size is None:
            await self._write(medium, kind, begun)
        elif self._seen.has(size):
            self._comparing = asyncio.create_task(self._write_if_new(medium, kind, size, begun))
        else:
            await asyncio.gather(self._write(medium, kind, begun), self._seen.keep(size, medium.data))

    async def compared(self) -> None:
        """Returns when no picture is being compared. Raises what its writing raised."""
        comparing = self._comparing
        if comparing is not None:
            try:
                await asyncio.shield(comparing)
            finally:
                if comparing.done():
                    self._comparing = None

    async def finish(self) -> None:
        """What is still being compared becomes a medium, or does not. Raises PartitionLostError."""
        try:
            await self.compared()
        except PartitionLostError:
            raise
        except Exception:  # noqa: BLE001  # whatever stopped this picture, the answer ends all the same, without it
            _log.exception("picture_not_written", response_id=self._log.response_id)
        finally:
            self.early.close()
            self._seen.close()

    async def abandon(self) -> None:
        """Nothing more is written: the partition is another runner's."""
        if self._comparing is not None:
            self._comparing.cancel()
            await asyncio.gather(self._comparing, return_exceptions=True)
            self._comparing = None
        self.early.close()
        self._seen.close()

    async def _write_if_new(
        self, medium: MediaBytes, kind: MediaKind | None, size: Size, begun: Begun | None
    ) -> None:
        if await self._seen.shows_again(size, medium.data):
            _log.info("picture_shown_twice", response_id=self._log.response_id)
            if begun is not None:
                begun.give_up()
        else:
            await self._write(medium, kind, begun)

    async def _write(self, medium: MediaBytes, kind: MediaKind | None, begun: Begun | None) -> None:
        """`begun` is what of it is written already."""
        media_type = kind.media_type if kind else medium.media_type
        paid, media_id = self.job_pending, self._next_media_id(begun)
        if await self._over_quota(media_id, media_type, len(medium.data), paid=paid):
            return
        self.size_bytes += len(medium.data)
        if begun is not None:
            segments = await begun.finish(medium)
        else:
            segments = await self._outbox.write_segments(media_id, medium.data, medium.sha256)
        # What cannot be recognised is claimed all the same: the agent judges it, and its verdict is an event.
        self._claims.claim(
            media_id,
            media_type,
            extension=kind.format if kind else _EXTENSIONS[media_type],
            content_type=kind.content_type
            if kind
            else medium.declared_content_type or "application/octet-stream",
            declared_content_type=medium.declared_content_type,
            segments=segments,
        )

    async def _as_asked(self, medium: MediaBytes) -> MediaBytes:
        """Streamed samples, which came as WAV, in the format that the user asked for."""
        if self._sound_format == "wav" or sniff(medium.data) != WAV:
            return medium
        try:
            data = await asyncio.to_thread(transcode, medium.data, self._sound_format)
        except TranscodeError as error:
            self._log.event(ResponseNoted(code="sound_format", message=f"It stays a WAV: {error}."))
            return medium
        return MediaBytes(
            media_type="audio",
            data=data,
            sha256=hashlib.sha256(data).hexdigest(),
            declared_content_type=medium.declared_content_type,
        )

    async def produce_remote(self, medium: MediaRemote) -> None:
        if self._refused(medium.media_type, 0):
            return
        paid, media_id = self.job_pending, self._next_media_id()
        if await self._over_quota(media_id, medium.media_type, UNKNOWN_BYTES, paid=paid):
            return
        extension = _EXTENSIONS[medium.media_type]
        self._claims.claim(
            media_id,
            medium.media_type,
            extension=extension,
            content_type=medium.declared_content_type or f"{medium.media_type}/{extension}",
            declared_content_type=medium.declared_content_type,
            remote=RemoteSource(url=medium.url, needs_key=medium.needs_key),
        )

    def refuse(self, media_type: MediaType, reason: RefusalReason, message: str) -> None:
        self._tell_refused(self._next_media_id(), media_type, reason, message)

    def _tell_refused(
        self, media_id: str, media_type: MediaType, reason: RefusalReason, message: str
    ) -> None:
        self._log.event(
            MediaRefused(media_id=media_id, media_type=media_type, reason=reason, message=message)
        )

    async def _over_quota(self, media_id: str, media_type: MediaType, size_bytes: int, *, paid: bool) -> bool:
        """Takes room in the owner's quota, or refuses the medium."""
        if self._quota is None:
            return False
        owner = self._log.command.owner_id
        reached = await self._quota.refuses(owner, media_id, size_bytes, paid=paid)
        if reached is None:
            return False
        self._tell_refused(media_id, media_type, "quota_exceeded", reached.sentence)
        return True

    def _wanted(self) -> bool:
        """Whether another medium may come, as far as is known before it is here."""
        return (
            self._job is None
            and self.enabled
            and self._admission.refusal() is None
            and self.count < self._settings.response_max_media
        )

    def _announce(
        self, series: SegmentSeries, head: bytes, so_far_bytes: int, size_bytes: int | None
    ) -> None:
        kind = sniff(head)
        if kind is not None:
            self._claims.announce(series, kind, so_far_bytes, size_bytes)

    def leave_out(self, media_type: MediaType) -> None:
        """One that nobody asked for, since media are off."""
        self.refuse(media_type, "disabled", self.off or DISABLED)

    def _refused(self, media_type: MediaType, size_bytes: int) -> bool:
        settings = self._settings
        # What a provider was asked for and works on is under way, and paid for.
        refusal = self._admission.refusal() if self._job is None else None
        if self.off is not None and self._job is None:
            self.leave_out(media_type)
        elif refusal is not None:
            self.refuse(media_type, *refusal)
        elif size_bytes > settings.media_max_size_mb * MIB:
            limit = settings.media_max_size_mb
            self.refuse(media_type, "too_large", f"The file is larger than the {limit} MB that are allowed.")
        elif self.count >= settings.response_max_media:
            limit = settings.response_max_media
            self.refuse(
                media_type, "overloaded", f"One answer may hold {limit} files; this one was left out."
            )
        elif self.size_bytes + size_bytes > settings.response_max_media_mb * MIB:
            limit = settings.response_max_media_mb
            self.refuse(
                media_type, "overloaded", f"One answer may hold {limit} MB of files; this one was left out."
            )
        else:
            return False
        return True

    def _next_media_id(self, begun: Begun | None = None) -> str:
        job, self._job = self._job, None
        if job is not None:
            return job.media_id
        self.count += 1
        return self._new_id() if begun is None else begun.media_id

    def _new_id(self) -> str:
        """Another attempt's bytes never count as this one's, nor those of a medium that came to nothing as another's."""
        self._ids += 1
        name = f"{self._log.response_id}.{self._log.attempt}.{self._ids}"
        return uuid.uuid5(uuid.NAMESPACE_OID, name).hex

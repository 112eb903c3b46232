"""Settles one claim: its bytes become an object in S3, or the reason why not; no state is kept between claims."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import stamina
from aiokafka.errors import KafkaError

from polylogue.infra.crash_points import crash_point
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.media.fetch import FetchInterruptedError, MediaFetcher, TooLargeError, UnfetchableError
from polylogue.media.multipart import Multipart
from polylogue.media.s3_calls import NO_TIME_S
from polylogue.media.spool import Spool, closed_unless_kept
from polylogue.media.store import Conflict, ObjectStore, StorageUnavailableError, Upload
from polylogue.media.urls import public_url
from polylogue.media.validation import ValidationPool
from polylogue.media.verdicts import Accepted, Refused
from polylogue.schemas.claims import MediaClaim, RemoteSource, SegmentRange
from polylogue.schemas.clock import now_ms
from polylogue.schemas.events import MediaRejected, MediaValidated
from polylogue.streams.claim_faults import gone, not_as_announced, taken
from polylogue.streams.media_ahead import MediumAhead
from polylogue.streams.media_work import Settled, Stopwatch, Work, failed, rejected, stored, validated
from polylogue.streams.remote_fetch import fetch_until
from polylogue.streams.segment_reader import Gone, SegmentReader, Spooled, always
from polylogue.streams.upload_ahead import UploadAhead

MIB = 1024 * 1024

log = get_logger(__name__)


class ClaimSettlement:
    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        reader: SegmentReader,
        fetcher: MediaFetcher,
        pool: ValidationPool,
        *,
        prepared: Callable[[str], MediumAhead | None] = lambda _media_id: None,
        accepted: Callable[[Work, MediaValidated], None] = lambda _work, _facts: None,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        """`prepared` gives what is there of a medium already; `accepted` is told of bytes that passed their check, when they are about to be stored."""
        self._settings = settings
        self._store = store
        self._reader = reader
        self._fetcher = fetcher
        self._pool = pool
        self._prepared = prepared
        self._accepted = accepted
        self._progress = progress

    async def settle(self, work: Work) -> Settled:
        """The outcome, after at least one attempt; S3 and Kafka are tried again until the claim's deadline.

        Cancelling it leaves nothing that a later attempt would stumble over.
        """
        self._progress()
        watch = Stopwatch(work.since_ms)
        settled = await self._settle(work, watch)
        settled.steps = watch.steps()
        return settled

    async def _settle(self, work: Work, watch: Stopwatch) -> Settled:
        claim = work.claim
        left_s = work.since_ms / 1000 + self._settings.media_deadline_s - now_ms() / 1000
        deadline = time.monotonic() + left_s
        try:
            if claim.segments is not None:
                return await self._settle_segments(work, claim.segments, deadline, watch)
            if claim.remote is not None:
                return await self._settle_remote(work, claim.remote, deadline, watch)
            return Settled(failed(claim, "internal", "The claim does not say where the bytes are."))
        except StorageUnavailableError as error:
            log.warning("media_not_stored", media_id=claim.media_id, error=str(error))
            message = "The media storage could not be reached in time."
            return Settled(failed(claim, "storage_unavailable", message))
        except (KafkaError, OSError) as error:
            log.warning("media_not_read", media_id=claim.media_id, error=type(error).__name__)
            return Settled(failed(claim, "internal", "The bytes of the medium could not be read in time."))
        except Exception:
            # A defect of ours must end as an outcome too: the record is acknowledged either way, and without an
            # outcome the turn would never end.
            log.exception("settlement_defect", media_id=claim.media_id)
            return Settled(failed(claim, "internal", "The medium could not be processed."))

    async def _settle_segments(
        self, work: Work, segments: SegmentRange, deadline: float, watch: Stopwatch
    ) -> Settled:
        claim = work.claim
        if segments.size_bytes == 0 or segments.count == 0:
            return Settled(rejected(claim, "empty", "The medium holds no bytes."))
        if segments.size_bytes > self._settings.media_max_size_mb * MIB:
            return Settled(self._too_large(claim))
        prepared = self._prepared(claim.media_id)
        if prepared is not None:
            done = await self._store_prepared(work, segments, prepared, deadline, watch)
            if done is not None:
                return done
        looking = asyncio.ensure_future(self._store.head(claim.key, deadline=deadline))

        async def absent() -> bool:
            return await looking is None

        try:
            done = await self._store_segments(work, segments, absent, deadline, watch)
            if done is None:
                there = await looking
                if there is None or there.sha256 not in (None, segments.sha256):
                    return Settled(taken(claim))
                done = await self._adopted(claim, segments.sha256, deadline, watch)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        if done is None:  # it was removed meanwhile
            done = await self._store_segments(work, segments, always, deadline, watch)
        return done or Settled(taken(claim))

    async def _store_segments(
        self,
        work: Work,
        segments: SegmentRange,
        wanted: Callable[[], Awaitable[bool]],
        deadline: float,
        watch: Stopwatch,
    ) -> Settled | None:
        """None where they are not wanted."""
        claim = work.claim
        ahead = UploadAhead(self._store, claim, segments, deadline)
        try:
            with watch.step("read"):
                spooled = await self._read(claim, segments, ahead, wanted, deadline)
            if spooled is None:
                return None
            if isinstance(spooled, Gone):
                return Settled(gone(claim, spooled))
            return await self._store_spooled(work, segments, spooled, deadline, watch, begun=ahead.begun)
        finally:
            ahead.give_up()

    async def _store_prepared(
        self, work: Work, segments: SegmentRange, prepared: MediumAhead, deadline: float, watch: Stopwatch
    ) -> Settled | None:
        """None where it was not prepared well enough. Nobody is asked whether the object is there: it hardly can be, and
        the upload asks."""
        try:
            with watch.step("read"):
                spooled = await prepared.whole(segments)
            if spooled is None:
                return None
            return await self._store_spooled(work, segments, spooled, deadline, watch, begun=prepared.upload)
        finally:
            prepared.upload.give_up()

    async def _store_spooled(
        self,
        work: Work,
        segments: SegmentRange,
        spooled: Spooled,
        deadline: float,
        watch: Stopwatch,
        *,
        begun: Multipart | None,
    ) -> Settled:
        claim = work.claim
        crash_point("agent.segments_read")
        wrong = not_as_announced(claim, segments, spooled)
        if wrong is not None:
            spooled.spool.close()
            return Settled(wrong)
        done = await self._put(work, spooled.spool, deadline, watch, begun)
        return Settled(taken(claim)) if isinstance(done, Conflict) else done

    async def _read(
        self,
        claim: MediaClaim,
        segments: SegmentRange,
        ahead: UploadAhead,
        wanted: Callable[[], Awaitable[bool]],
        deadline: float,
    ) -> Spooled | Gone | None:
        # OSError: the disk is full, or Kafka did not answer in time.
        async for attempt in stamina.retry_context(
            on=(KafkaError, OSError),
            attempts=None,
            timeout=max(NO_TIME_S, deadline - time.monotonic()),
        ):
            with attempt:
                self._progress()
                ahead.give_up()  # it knows the spool of a former attempt
                return await self._reader.read(claim.media_id, segments, wanted=wanted, arrived=ahead.arrived)
        raise AssertionError("the loop returns or raises")

    async def _settle_remote(
        self, work: Work, remote: RemoteSource, deadline: float, watch: Stopwatch
    ) -> Settled:
        """Fetched twice the bytes may differ, so whatever is at the key is the medium, whoever put it there."""
        claim = work.claim
        there = await self._store.head(claim.key, deadline=deadline)
        while True:
            if there is not None:
                if there.sha256 is None:  # none of ours
                    return Settled(taken(claim))
                adopted = await self._adopted(claim, there.sha256, deadline, watch)
                if adopted is not None:
                    return adopted
            try:
                with watch.step("read"):
                    spool = await fetch_until(deadline, self._fetcher, remote, self._progress)
            except TooLargeError:
                return Settled(self._too_large(claim))
            except UnfetchableError as error:
                return Settled(failed(claim, "fetch_failed", str(error)))
            except FetchInterruptedError as error:
                log.warning("media_not_fetched", media_id=claim.media_id, error=str(error))
                message = "The file could not be fetched from its server in time."
                return Settled(failed(claim, "fetch_failed", message))
            if spool.size_bytes == 0:
                spool.close()
                return Settled(rejected(claim, "empty", "The medium holds no bytes."))
            done = await self._put(work, spool, deadline, watch)
            if not isinstance(done, Conflict):
                return done
            there = done.head

    async def _put(
        self,
        work: Work,
        spool: Spool,
        deadline: float,
        watch: Stopwatch,
        begun: Multipart | None = None,
    ) -> Settled | Conflict:
        """Judges the bytes and stores them. The spool is closed where the medium is not stored."""
        claim = work.claim
        with closed_unless_kept(spool) as keep:
            verdict = await self._inspect(claim, spool, deadline, watch)
            if isinstance(verdict, Refused):
                return Settled(rejected(claim, verdict.reason, verdict.message))
            crash_point("agent.validated")
            self._accepted(work, validated(claim, spool, verdict))
            upload = Upload(spool, spool.size_bytes, spool.sha256, verdict.content_type)
            crash_point("agent.before_put")
            with watch.step("upload"):
                done = await self._store.put(claim.key, upload, deadline=deadline, begun=begun)
            crash_point("agent.after_put")
            if isinstance(done, Conflict):
                return done
            keep()
            return Settled(stored(claim, self._url(claim), spool, verdict), spool=spool, facts=verdict)

    async def _adopted(
        self, claim: MediaClaim, sha256: str, deadline: float, watch: Stopwatch
    ) -> Settled | None:
        """What another attempt has stored, judged as that one did; None where it was removed meanwhile."""
        with watch.step("read"):
            spool = await self._store.download(claim.key, deadline=deadline)
        if spool is None:
            return None
        with closed_unless_kept(spool) as keep:
            if spool.sha256 != sha256:
                return Settled(taken(claim))
            verdict = await self._inspect(claim, spool, deadline, watch)
            if isinstance(verdict, Refused):
                return Settled(rejected(claim, verdict.reason, verdict.message))
            keep()
            return Settled(stored(claim, self._url(claim), spool, verdict), spool=spool, facts=verdict)

    async def _inspect(
        self, claim: MediaClaim, spool: Spool, deadline: float, watch: Stopwatch
    ) -> Accepted | Refused:
        """Raises OSError where no process could be started until the deadline, which says nothing of the medium."""
        async for attempt in stamina.retry_context(
            on=OSError, attempts=None, timeout=max(NO_TIME_S, deadline - time.monotonic())
        ):
            with attempt, watch.step("validate"):
                self._progress()
                return await self._pool.inspect(
                    spool.file,
                    declared=claim.declared_content_type or claim.content_type,
                    media_type=claim.media_type,
                )
        raise AssertionError("the loop returns or raises")

    def _url(self, claim: MediaClaim) -> str:
        return public_url(self._settings, claim.key)

    def _too_large(self, claim: MediaClaim) -> MediaRejected:
        limit = self._settings.media_max_size_mb
        return rejected(claim, "too_large", f"The medium is larger than {limit} MB.")

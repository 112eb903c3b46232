"""Settles one claim: its bytes become an object in S3, or the reason why not; no state is kept between claims."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import stamina
from aiokafka.errors import KafkaError

from polylogue.infra.crash_points import crash_point
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.media.dimensions import HEAD_BYTES, image_size, wav_duration_ms
from polylogue.media.fetch import (
    Fetched,
    FetchInterruptedError,
    MediaFetcher,
    TooLargeError,
    UnfetchableError,
)
from polylogue.media.sniff import MediaKind, sniff
from polylogue.media.store import (
    NO_TIME_S,
    Conflict,
    ObjectHead,
    ObjectStore,
    StorageUnavailableError,
    Upload,
)
from polylogue.media.urls import public_url
from polylogue.schemas.claims import MediaClaim, RemoteSource, SegmentRange, StoreMedia
from polylogue.schemas.clock import now_ms
from polylogue.schemas.events import MediaOutcome, MediaStored
from polylogue.streams.media_outcomes import failed, rejected
from polylogue.streams.segment_reader import Gone, SegmentReader, Spooled

MIB = 1024 * 1024
FETCH_WAIT_INITIAL_S, FETCH_WAIT_MAX_S = 0.5, 15.0  # a stranger's server is asked less often than our own

FETCH_WAIT_ASKED_S = 30.0  # the most that Retry-After is given: the partition's other claims wait too

log = get_logger(__name__)


class ClaimSettlement:
    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        reader: SegmentReader,
        fetcher: MediaFetcher,
        *,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._reader = reader
        self._fetcher = fetcher
        self._progress = progress

    async def settle(self, work: StoreMedia) -> MediaOutcome:
        """The outcome, after at least one attempt; S3 and Kafka are tried again until the claim's deadline.

        Cancelling it leaves nothing that a later attempt would stumble over.
        """
        self._progress()
        claim = work.claim
        left_s = work.produced_at_ms / 1000 + self._settings.media_deadline_s - now_ms() / 1000
        deadline = time.monotonic() + left_s
        try:
            if claim.segments is not None:
                return await self._settle(claim, claim.segments, deadline)
            if claim.remote is not None:
                return await self._settle_remote(claim, claim.remote, deadline)
            return failed(claim, "internal", "The claim does not say where the bytes are.")
        except StorageUnavailableError as error:
            log.warning("media_not_stored", media_id=claim.media_id, error=str(error))
            return failed(claim, "storage_unavailable", "The media storage could not be reached in time.")
        except (KafkaError, TimeoutError) as error:
            log.warning("segments_not_read", media_id=claim.media_id, error=type(error).__name__)
            return failed(claim, "internal", "The bytes of the medium could not be read in time.")
        except Exception:
            # A defect of ours must end as an outcome too: the record is acknowledged either way, and without an
            # outcome the turn would never end.
            log.exception("settlement_defect", media_id=claim.media_id)
            return failed(claim, "internal", "The medium could not be processed.")

    async def _settle(self, claim: MediaClaim, segments: SegmentRange, deadline: float) -> MediaOutcome:
        if segments.size_bytes == 0 or segments.count == 0:
            return rejected(claim, "empty", "The medium holds no bytes.")
        if segments.size_bytes > self._settings.media_max_size_mb * MIB:
            return self._too_large(claim)
        there = await self._store.head(claim.key, deadline=deadline)
        if there is not None:
            if there.sha256 != segments.sha256:
                return failed(claim, "internal", "Another object has the medium's place in the storage.")
            return await self._adopted(claim, there, deadline)
        spooled = await self._read(claim, segments, deadline)
        if isinstance(spooled, Gone):
            message = {
                "expired": "The bytes of the medium were kept no longer.",
                "missing_segments": "Some bytes of the medium are missing.",
            }[spooled.reason]
            return failed(claim, spooled.reason, message)
        crash_point("agent.segments_read")
        with spooled.file:
            return await self._store_spooled(claim, segments, spooled, deadline)

    async def _read(self, claim: MediaClaim, segments: SegmentRange, deadline: float) -> Spooled | Gone:
        async for attempt in stamina.retry_context(
            on=(KafkaError, TimeoutError),
            attempts=None,
            timeout=max(NO_TIME_S, deadline - time.monotonic()),
        ):
            with attempt:
                self._progress()
                return await self._reader.read(claim.media_id, segments)
        raise AssertionError("the loop returns or raises")

    async def _store_spooled(
        self, claim: MediaClaim, segments: SegmentRange, spooled: Spooled, deadline: float
    ) -> MediaOutcome:
        if not spooled.complete and spooled.size_bytes <= segments.size_bytes:
            return failed(claim, "missing_segments", "Some bytes of the medium are missing.")
        if spooled.size_bytes != segments.size_bytes:
            return rejected(claim, "size_mismatch", "The medium does not have the size that was announced.")
        if spooled.sha256 != segments.sha256:
            return rejected(claim, "hash_mismatch", "The bytes of the medium changed on their way.")
        outcome = await self._put(claim, spooled, deadline)
        if isinstance(outcome, Conflict):
            return failed(claim, "internal", "Another object has the medium's place in the storage.")
        return outcome

    async def _settle_remote(self, claim: MediaClaim, remote: RemoteSource, deadline: float) -> MediaOutcome:
        """Fetched twice the bytes may differ, so whatever is at the key is the medium, whoever put it there."""
        there = await self._store.head(claim.key, deadline=deadline)
        if there is not None:
            return await self._adopted(claim, there, deadline)
        try:
            fetched = await self._fetch(remote, deadline)
        except TooLargeError:
            return self._too_large(claim)
        except UnfetchableError as error:
            return failed(claim, "fetch_failed", str(error))
        except FetchInterruptedError as error:
            log.warning("media_not_fetched", media_id=claim.media_id, error=str(error))
            return failed(claim, "fetch_failed", "The file could not be fetched from its server in time.")
        with fetched.file:
            if fetched.size_bytes == 0:
                return rejected(claim, "empty", "The medium holds no bytes.")
            outcome = await self._put(claim, fetched, deadline)
        if isinstance(outcome, Conflict):
            return await self._adopted(claim, outcome.head, deadline)
        return outcome

    async def _fetch(self, remote: RemoteSource, deadline: float) -> Fetched:
        def wait_s(error: Exception) -> bool | float:
            if not isinstance(error, FetchInterruptedError):
                return False
            if error.retry_after_s is None:
                return True
            return min(max(error.retry_after_s, FETCH_WAIT_INITIAL_S), FETCH_WAIT_ASKED_S)

        async for attempt in stamina.retry_context(
            on=wait_s,
            attempts=None,
            timeout=max(NO_TIME_S, deadline - time.monotonic()),
            wait_initial=FETCH_WAIT_INITIAL_S,
            wait_max=FETCH_WAIT_MAX_S,
        ):
            with attempt:
                self._progress()
                return await self._fetcher.fetch(remote.url, needs_key=remote.needs_key)
        raise AssertionError("the loop returns or raises")

    async def _put(
        self, claim: MediaClaim, spooled: Spooled | Fetched, deadline: float
    ) -> MediaOutcome | Conflict:
        spooled.file.seek(0)
        head = await asyncio.to_thread(spooled.file.read, HEAD_BYTES)
        outcome = self._judged(claim, spooled.size_bytes, spooled.sha256, head)
        if not isinstance(outcome, MediaStored):
            return outcome
        upload = Upload(spooled.file, spooled.size_bytes, spooled.sha256, outcome.content_type)
        crash_point("agent.before_put")
        done = await self._store.put(claim.key, upload, deadline=deadline)
        crash_point("agent.after_put")
        return done if isinstance(done, Conflict) else outcome

    async def _adopted(self, claim: MediaClaim, there: ObjectHead, deadline: float) -> MediaOutcome:
        if there.sha256 is None:  # none of ours
            return failed(claim, "internal", "Another object has the medium's place in the storage.")
        head = await self._store.get(claim.key, deadline=deadline, first_bytes=HEAD_BYTES)
        return self._judged(claim, there.size_bytes, there.sha256, head)

    def _too_large(self, claim: MediaClaim) -> MediaOutcome:
        limit = self._settings.media_max_size_mb
        return rejected(claim, "too_large", f"The medium is larger than {limit} MB.")

    def _judged(self, claim: MediaClaim, size_bytes: int, sha256: str, head: bytes) -> MediaOutcome:
        """What the bytes say of themselves counts; what was declared is kept beside it."""
        kind = sniff(head)
        if kind is None:
            return rejected(claim, "unsupported_type", "The bytes are no supported picture, sound or film.")
        size = image_size(head, kind.format) or (claim.width, claim.height)
        return MediaStored(
            media_id=claim.media_id,
            media_type=kind.media_type,
            key=claim.key,
            url=public_url(self._settings, claim.key),
            format=kind.format,
            content_type=kind.content_type,
            size_bytes=size_bytes,
            sha256=sha256,
            width=size[0],
            height=size[1],
            duration_ms=wav_duration_ms(head, size_bytes) if kind.format == "wav" else None,
            declared_content_type=_declared(claim, kind),
            retry=claim.retry,
        )


def _declared(claim: MediaClaim, kind: MediaKind) -> str | None:
    if claim.declared_content_type is not None:
        return claim.declared_content_type
    return claim.content_type if claim.content_type != kind.content_type else None

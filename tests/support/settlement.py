"""A settlement of claims whose store, pool, log and web say what the case needs."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from polylogue.infra.settings import load_settings
from polylogue.media.spool import Spool
from polylogue.media.store import ObjectHead, StorageUnavailableError, Stored, Upload
from polylogue.media.verdicts import Accepted, Refused
from polylogue.schemas.claims import MediaClaim, RetryMedia, SegmentRange, StoreMedia
from polylogue.schemas.clock import now_ms
from polylogue.schemas.envelope import Request
from polylogue.schemas.events import MediaOutcome, MediaValidated
from polylogue.streams.claim_settlement import ClaimSettlement
from polylogue.streams.media_work import Settled, Work, work_of
from polylogue.streams.segment_reader import Gone, Spooled
from tests.support.claims import claim_of, one_record

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + struct.pack(">II", 40, 30) + bytes(100)
SHA256 = hashlib.sha256(PNG).hexdigest()
SETTINGS = load_settings(_env_file=None, media_max_size_mb=1, s3_endpoint_url="http://127.0.0.1:1")
CLAIM = claim_of("m1", segments=one_record(len(PNG), SHA256), cost_usd_micros=7)
OTHER = PNG + b"of another attempt"


@dataclass
class Store:
    there: ObjectHead | None = None
    result: Any = field(default_factory=Stored)
    uploads: list[tuple[str, Upload]] = field(default_factory=list)
    down: bool = False
    content: bytes | None = PNG
    downloads: int = 0

    async def head(self, key: str, *, deadline: float) -> ObjectHead | None:
        if self.down:
            raise StorageUnavailableError("S3 cannot be used")
        return self.there

    async def download(self, key: str, *, deadline: float) -> Spool | None:
        self.downloads += 1
        return None if self.content is None else spool(self.content)

    def begin(self, key: str, upload: Upload, *, deadline: float) -> None:
        return None

    async def put(self, key: str, upload: Upload, *, deadline: float, begun: object = None) -> Any:
        self.uploads.append((key, upload))
        return self.result


@dataclass
class Pool:
    """Says of everything but a picture that it is none."""

    errors: list[Exception] = field(default_factory=list)
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)

    async def inspect(
        self, source: Any, *, declared: str | None = None, media_type: str | None = None
    ) -> Accepted | Refused:
        self.asked.append((declared, media_type))
        if self.errors:
            raise self.errors.pop(0)
        source.seek(0)
        if not source.read(8).startswith(b"\x89PNG"):
            return Refused(reason="unsupported_type", message="It is no picture.")
        return Accepted(
            media_type="image",
            format="png",
            content_type="image/png",
            width=40,
            height=30,
            codec="png",
            provenance=True,
        )


def spool(data: bytes) -> Spool:
    filled = Spool()
    filled.write(data)
    return filled


@dataclass
class Reader:
    data: bytes = PNG
    gone: Gone | None = None
    complete: bool = True
    error: Exception | None = None
    reads: int = 0

    async def read(
        self, media_id: str, segments: SegmentRange, *, wanted: Any, arrived: Any
    ) -> Spooled | Gone | None:
        if not await wanted():
            return None
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.gone or Spooled(spool(self.data), complete=self.complete)


@dataclass
class Fetcher:
    """Gives one answer after the other; the last one stays."""

    answers: list[bytes | Exception] = field(default_factory=lambda: [PNG])
    asked: list[tuple[str, bool]] = field(default_factory=list)

    async def fetch(self, url: str, *, needs_key: bool = False) -> Spool:
        self.asked.append((url, needs_key))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return spool(answer)


async def settle(
    claim: MediaClaim = CLAIM,
    store: Store | None = None,
    reader: Reader | None = None,
    *,
    age_s: float = 0,
    fetcher: Fetcher | None = None,
    pool: Pool | None = None,
) -> MediaOutcome:
    work = StoreMedia(claim=claim, produced_at_ms=now_ms() - int(age_s * 1000))
    with closing(await settled(work, store, reader, fetcher, pool)) as done:
        return done.outcome


async def settled(  # noqa: PLR0917 (the parts of an agent)
    work: StoreMedia | RetryMedia,
    store: Store | None = None,
    reader: Reader | None = None,
    fetcher: Fetcher | None = None,
    pool: Pool | None = None,
    accepted: Callable[[Work, MediaValidated], None] = lambda _work, _facts: None,
    prepared: Callable[[str], Any] = lambda _media_id: None,
) -> Settled:
    settlement = ClaimSettlement(
        SETTINGS,
        store or Store(),  # type: ignore[arg-type]
        reader or Reader(),  # type: ignore[arg-type]
        fetcher or Fetcher(),  # type: ignore[arg-type]
        pool or Pool(),  # type: ignore[arg-type]
        prepared=prepared,
        accepted=accepted,
    )
    return await settlement.settle(work_of(Request(request_id="r", data=work), work))

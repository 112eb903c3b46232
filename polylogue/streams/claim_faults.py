"""Why a claim's bytes cannot be stored, in words for whoever waits for the medium."""

from __future__ import annotations

from polylogue.schemas.claims import MediaClaim, SegmentRange
from polylogue.schemas.events import MediaFailed, MediaRejected
from polylogue.streams.media_work import failed, rejected
from polylogue.streams.segment_reader import Gone, Spooled


def taken(claim: MediaClaim) -> MediaFailed:
    return failed(claim, "internal", "Another object has the medium's place in the storage.")


def gone(claim: MediaClaim, bytes_gone: Gone) -> MediaFailed:
    message = {
        "expired": "The bytes of the medium were kept no longer.",
        "missing_segments": "Some bytes of the medium are missing.",
    }[bytes_gone.reason]
    return failed(claim, bytes_gone.reason, message)


def not_as_announced(
    claim: MediaClaim, segments: SegmentRange, spooled: Spooled
) -> MediaFailed | MediaRejected | None:
    spool = spooled.spool
    if not spooled.complete and spool.size_bytes <= segments.size_bytes:
        return failed(claim, "missing_segments", "Some bytes of the medium are missing.")
    if spool.size_bytes != segments.size_bytes:
        return rejected(claim, "size_mismatch", "The medium does not have the size that was announced.")
    if spool.sha256 != segments.sha256:
        return rejected(claim, "hash_mismatch", "The bytes of the medium changed on their way.")
    return None

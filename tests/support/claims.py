"""Claims of pictures as a runner makes them; a test says only what matters to it."""

from __future__ import annotations

from typing import Any

from polylogue.media.keys import object_key
from polylogue.schemas.claims import MediaClaim, SegmentRange


def claim_of(media_id: str, **told: Any) -> MediaClaim:
    """Its key follows from the rest."""
    facts = {
        "media_type": "image",
        "conversation_id": "c1",
        "turn_id": "t1",
        "response_id": "t1-1",
        "owner_id": "local",
        "model": "sim/painter",
        "format": "png",
        "content_type": "image/png",
        "answer_partition": 0,
    } | told
    key = object_key("image", facts["conversation_id"], facts["model"], "20260101", media_id, "png")
    return MediaClaim(media_id=media_id, key=key, **facts)


def one_record(size_bytes: int = 7, sha256: str = "0" * 64) -> SegmentRange:
    """What is short enough to stand in one record, the first of its partition."""
    return SegmentRange(
        partition=0, first_offset=0, last_offset=0, count=1, size_bytes=size_bytes, sha256=sha256
    )

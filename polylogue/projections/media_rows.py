"""What the rows of media have in common, whichever projection keeps them: whose a medium is, and what its file is like."""

from __future__ import annotations

from polylogue.projections.protocol import VisibleEvent
from polylogue.projections.rows import Scalar
from polylogue.schemas.events import MediaStored

ORIGIN = {
    "media_id": "text",
    "conversation_id": "text NOT NULL",
    "turn_id": "text NOT NULL",
    "response_id": "text NOT NULL",
    "owner_id": "text NOT NULL",
    "model_id": "text NOT NULL",
}


def origin(seen: VisibleEvent, media_id: str) -> dict[str, Scalar]:
    """The values of those columns."""
    event = seen.event
    return {
        "media_id": media_id,
        "conversation_id": event.conversation_id,
        "turn_id": event.turn_id,
        "response_id": event.response_id,
        "owner_id": event.owner_id,
        "model_id": seen.model,
    }


def stored_file(stored: MediaStored) -> dict[str, Scalar]:
    """The file as the agent found it, by the names that columns have."""
    return {
        "key": stored.key,
        "format": stored.format,
        "content_type": stored.content_type,
        "size_bytes": stored.size_bytes,
        "sha256": stored.sha256,
        "width": stored.width,
        "height": stored.height,
        "duration_ms": stored.duration_ms,
    }

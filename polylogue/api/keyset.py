"""Cursors of keyset pages: the time and the id of the last row shown, as one opaque word."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime

from polylogue.api.errors import ApiError


def written(at: datetime, row_id: str) -> str:
    text = f"{at.astimezone(UTC).isoformat()} {row_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(cursor: str) -> tuple[datetime, str]:
    """Raises ApiError 400."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at, _, row_id = text.partition(" ")
        return datetime.fromisoformat(at), row_id.replace("\0", "")
    except (ValueError, binascii.Error):
        raise ApiError(400, "bad_cursor", "The cursor is malformed; use next_cursor as it came.") from None

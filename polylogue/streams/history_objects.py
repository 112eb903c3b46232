"""Histories that are too long for a command: the API stores them as objects, the runner reads them."""

from __future__ import annotations

import time

import msgspec

from polylogue.media.store import ObjectStore, StorageUnavailableError
from polylogue.schemas.commands import HistoryMessage, StartTurn

READ_WITHIN_S = 20.0


class HistoryUnreadableError(Exception):
    """The history of a turn is not there or not what it should be."""


async def with_history(store: ObjectStore, start: StartTurn) -> StartTurn:
    """The command with its history inline. Raises HistoryUnreadableError."""
    if start.history_key is None:
        return start
    try:
        stored = await store.get(start.history_key, deadline=time.monotonic() + READ_WITHIN_S)
        history = msgspec.json.decode(stored, type=tuple[HistoryMessage, ...])
    except (StorageUnavailableError, msgspec.ValidationError, msgspec.DecodeError) as error:
        raise HistoryUnreadableError(type(error).__name__) from None
    return msgspec.structs.replace(start, history=history, history_key=None)

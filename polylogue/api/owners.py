"""Whose a record is, found out once for each conversation, and the feeds of the owners whom somebody watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import orjson

from polylogue.api.owner_feed import OwnerFeed
from polylogue.api.vector import logs_digest

IDLE_S = 60.0  # how long the feed of an owner whom nobody watches is kept for those who come back
MOST_KEYS = 50_000


class Keyed(Protocol):
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class Owners:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._feeds: dict[str, OwnerFeed] = {}
        self._owner_of_key: dict[bytes, str] = {}

    @property
    def watched(self) -> bool:
        """Whether anybody's records are looked for at all."""
        return bool(self._feeds)

    def feed_of(self, record: Keyed) -> OwnerFeed | None:
        if record.key is None:
            return None
        owner = self._owner_of_key.get(record.key)
        if owner is None:
            owner = owner_of(record.value)
            if owner is None:
                return None
            if len(self._owner_of_key) >= MOST_KEYS:
                self._owner_of_key.clear()
            self._owner_of_key[record.key] = owner
        return self._feeds.get(owner)

    def open(self, owner: str, positions: Mapping[int, int], log_ids: Mapping[int, str]) -> OwnerFeed:
        feed = self._feeds.get(owner)
        if feed is None:
            feed = self._feeds[owner] = OwnerFeed(owner, positions, logs_digest(log_ids))
            feed.idle_since = self._clock()
        return feed

    def passed(self, partition: int, position: int) -> None:
        for feed in self._feeds.values():
            feed.passed(partition, position)

    def give_up(self, owner: str) -> None:
        """Its readers are sent off with what they have had."""
        feed = self._feeds.pop(owner, None)
        if feed is None:
            return
        feed.broken = True
        feed.wake()
        for view in feed.views.values():
            for audience in list(view.audiences.values()):
                for stream in [*audience.ready, *audience.late]:
                    stream.cut("slow")

    def evict(self, now: float) -> None:
        for owner, feed in list(self._feeds.items()):
            if feed.subscribers:
                feed.idle_since = now
            elif now - feed.idle_since > IDLE_S:
                del self._feeds[owner]

    def wake(self) -> None:
        for feed in self._feeds.values():
            feed.wake()


def owner_of(value: bytes | None) -> str | None:
    """The owner that an event names; nothing where it is none."""
    try:
        fields = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    owner = fields.get("owner_id") if isinstance(fields, dict) else None
    return owner if isinstance(owner, str) else None

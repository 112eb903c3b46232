"""Recognises the same bytes sent twice within one answer."""

from __future__ import annotations

import hashlib


class SeenMedia:
    def __init__(self) -> None:
        self._seen: set[str] = set()

    def first_time(self, data: bytes, sha256: str | None = None) -> tuple[str, bool]:
        """The SHA-256 in lower-case hex, where it is not known yet, and whether these bytes are new."""
        sha256 = sha256 or hashlib.sha256(data).hexdigest()
        new = sha256 not in self._seen
        self._seen.add(sha256)
        return sha256, new

    def first_url(self, url: str) -> bool:
        new = url not in self._seen
        self._seen.add(url)
        return new

"""Recognises a picture that an answer has shown already, in other bytes: the same pixels, encoded or labelled anew.

Only pictures of the same size are looked at, so an answer with a single picture decodes nothing. A comparison that
fails or takes too long says that the picture is new: shown twice is better than lost.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from polylogue.infra.logs import get_logger
from polylogue.media.dimensions import HEAD_BYTES, image_size
from polylogue.media.sniff import MediaKind

COMPARE_S = 5.0  # a picture of 40 megapixels takes about one; an answer's end may wait for it

Size = tuple[int, int]

log = get_logger(__name__)


class Fingerprints(Protocol):
    async def fingerprint(self, source: BinaryIO) -> str | None:
        """A hash of the pixels of the picture in a file; None where there is none. Raises OSError."""


@dataclass
class _OfOneSize:
    first: BinaryIO | None = None  # not decoded until there is another one
    fingerprints: set[str] = field(default_factory=set)

    def forget_first(self) -> None:
        if self.first is not None:
            self.first.close()
            self.first = None


class SeenPictures:
    """The pictures of one answer. At most one picture of each size lies on the disk, until there is another one."""

    def __init__(self, fingerprints: Fingerprints) -> None:
        self._fingerprints = fingerprints
        self._sizes: dict[Size, _OfOneSize] = {}

    def has(self, size: Size) -> bool:
        """Whether an earlier picture has this size."""
        return size in self._sizes

    async def keep(self, size: Size, data: bytes) -> None:
        """Remembers the first picture of its size."""
        file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `forget_first`)
        self._sizes[size] = _OfOneSize(first=file)
        try:
            await asyncio.to_thread(_write, file, data)
        except OSError as error:
            log.warning("picture_not_kept", error=type(error).__name__)
            file.close()
            del self._sizes[size]

    async def shows_again(self, size: Size, data: bytes) -> bool:
        """Whether the answer has shown these pixels before; they count as shown from now on."""
        seen = self._sizes[size]
        try:
            async with asyncio.timeout(COMPARE_S):
                if seen.first is not None:
                    self._note(seen, await self._fingerprints.fingerprint(seen.first))
                    seen.forget_first()
                with tempfile.TemporaryFile() as file:
                    await asyncio.to_thread(_write, file, data)
                    found = await self._fingerprints.fingerprint(file)
        except (OSError, TimeoutError) as error:
            log.warning("pictures_not_compared", error=type(error).__name__)
            return False
        again = found in seen.fingerprints
        self._note(seen, found)
        return again

    def close(self) -> None:
        for seen in self._sizes.values():
            seen.forget_first()

    @staticmethod
    def _note(seen: _OfOneSize, fingerprint: str | None) -> None:
        if fingerprint is not None:
            seen.fingerprints.add(fingerprint)


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)
    file.flush()  # another process reads it


def size_of(data: bytes, kind: MediaKind | None) -> Size | None:
    """Width and height by the header; None for what is no picture."""
    if kind is None or kind.media_type != "image":
        return None
    return image_size(data[:HEAD_BYTES], kind.format)

"""A medium whose base64 was taken out of its text and decoded while the text still arrived."""

from __future__ import annotations

import hashlib
import io
import secrets

import pybase64


class Prefix:
    """The SHA-256 of what has come of a medium."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._sha256 = hashlib.sha256()

    def add(self, data: bytes) -> None:
        self._sha256.update(data)
        self.size_bytes += len(data)

    def followed_by(self, tail: bytes | memoryview) -> str:
        """The SHA-256 of both, in lower-case hex."""
        whole = self._sha256.copy()
        whole.update(tail)
        return whole.hexdigest()


class Lifted:
    """What stood where the text has the mark. Only whole groups of four characters, decoded strictly and free of
    padding, are lifted, so encoding gives back every one of them."""

    def __init__(self) -> None:
        # Not to be guessed, or a text could hold a mark of its own.
        self.mark = f"lifted medium {secrets.token_hex(16)}".encode()
        self.prefix = Prefix()
        self._bytes = io.BytesIO()  # gives away its bytes without copying them

    @property
    def size_bytes(self) -> int:
        return self.prefix.size_bytes

    @property
    def text_bytes(self) -> int:
        return self.size_bytes // 3 * 4

    @property
    def missing(self) -> int:
        """By how much the text with the mark is shorter than it came."""
        return self.text_bytes - len(self.mark)

    def add(self, data: bytes) -> None:
        self._bytes.write(data)
        self.prefix.add(data)

    def restored(self, text: bytes | bytearray) -> bytes:
        """The text as it came. Where it has no mark it is left as it is."""
        with memoryview(self._bytes.getvalue()) as whole, whole[: self.size_bytes] as lifted:
            return bytes(text).replace(self.mark, pybase64.b64encode(lifted), 1)

    def followed_by(self, tail: bytes) -> tuple[bytes, str]:
        """The whole medium and its SHA-256. Ask once: the tail is kept."""
        self._bytes.write(tail)
        return self._bytes.getvalue(), self.prefix.followed_by(tail)


class LiftedString:
    """A string of a document with a lifted medium in it: a data URL, as far as that was looked at."""

    def __init__(self, before: bytes, lifted: Lifted, after: bytes) -> None:
        self.before = before
        self.after = after
        self._lifted = lifted
        self._whole: tuple[bytes, str] | None = None

    def __len__(self) -> int:
        return len(self.before) + self._lifted.text_bytes + len(self.after)

    def __repr__(self) -> str:  # payloads must not reach a log through a traceback
        return f"LiftedString({len(self)} bytes)"

    def text(self) -> memoryview:
        """As it came."""
        return memoryview(self._lifted.restored(self.before + self._lifted.mark + self.after))

    def medium(self, tail: bytes) -> tuple[bytes, str]:
        """Its bytes and their SHA-256; `tail` is what `after` decodes to."""
        if self._whole is None:
            self._whole = self._lifted.followed_by(tail)
        return self._whole

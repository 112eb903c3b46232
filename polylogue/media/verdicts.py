"""What a check of a medium's bytes finds, as it travels between the pool and its processes."""

from __future__ import annotations

from typing import Literal

import msgspec

from polylogue.schemas.base import MediaType
from polylogue.schemas.events import RejectionReason

RenditionName = Literal["webp", "thumbnail", "poster", "waveform"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one file may cost."""

    most_pixels: int
    most_frames: int  # of a moving picture; films are not counted
    time_s: float
    memory_bytes: int  # above what a process needs before it has seen a file


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The bytes are what they say and could be decoded. `declared` is what the sender said; it decides nothing."""

    media_type: MediaType
    format: str  # the file extension, without a dot
    content_type: str
    width: int | None = None  # as it is shown: upright, turned where the file says so
    height: int | None = None
    duration_ms: int | None = None
    codec: str | None = None
    frames: int = 1  # of a picture
    provenance: bool = False
    declared: str | None = None

    @property
    def agrees(self) -> bool:
        """Whether the sender said the same, or nothing."""
        return self.declared is None or self.declared.partition(";")[0].strip().lower() == self.content_type


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Trying again cannot help. The message is one sentence for the user."""

    reason: RejectionReason
    message: str


TOO_COSTLY = Refused(
    reason="too_costly", message="Checking the file would take more memory or time than one file may have."
)
BROKEN = Refused(reason="undecodable", message="The file is broken and cannot be shown.")
CRASHED = Refused(
    reason="undecodable", message="The file is broken in a way that stops the programs that read it."
)


class MadeRendition(msgspec.Struct, frozen=True, kw_only=True):
    name: RenditionName
    content_type: str
    data: bytes
    width: int | None = None
    height: int | None = None


class Inspect(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask what the file is; answered with Accepted or Refused."""

    declared: str | None = None


class Render(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask for the smaller versions of an accepted file; answered with Rendered, which may be empty."""

    facts: Accepted


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask for a hash of a picture's pixels, whatever the file around them; answered with Fingerprinted."""


class Rendered(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    renditions: tuple[MadeRendition, ...] = ()


class Fingerprinted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """None: a moving picture, or nothing that could be decoded."""

    sha256: str | None = None


Question = Inspect | Render | Fingerprint
Answer = Accepted | Refused | Rendered | Fingerprinted
LENGTH_BYTES = 8  # in front of each question and each answer

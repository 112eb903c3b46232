"""What an operator tells every process at once: the records of `controls`. The last one of a type is in force."""

from __future__ import annotations

from polylogue.schemas.base import Payload, registry


class MediaPaused(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """New media are refused until `MediaResumed`; those under way are finished."""

    reason: str | None = None  # for the log and for who looks; users are not shown it


class MediaResumed(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """New media are taken again."""


CONTROLS = registry(MediaPaused, MediaResumed)

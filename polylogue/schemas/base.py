"""The base of every payload: immutable, validated, compact on the wire."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

MediaType = Literal["image", "audio", "video"]


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A nested immutable value. Unknown fields are ignored, so that a field can be added without a new version."""


class Payload(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The `data` of a message. The class name is its type; `VERSION` rises with a change that old readers misread."""

    VERSION: ClassVar[int] = 1


def registry(*payloads: type[Payload]) -> dict[str, type[Payload]]:
    """The payload classes of one topic by type name."""
    return {payload.__name__: payload for payload in payloads}

"""Record bytes → event in one pass, for what a history is mostly made of: canonical records of the present versions.

Whatever else it meets is left to the codec, whose verdict counts; so the two never disagree, and one is four times as fast.
"""

from __future__ import annotations

import re
from typing import Any, Union

import msgspec

from polylogue.schemas.codec import Garbage, NewerVersion, UnknownType, event_codec
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import EVENTS

# As the product writes times; 29 February and the like are the codec's to judge.
_CANONICAL_TIME = re.compile(
    r"20\d\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z"
).fullmatch


def _record(name: str) -> type[msgspec.Struct]:
    payload = EVENTS[name]
    return msgspec.defstruct(
        f"{name}Record",
        [("data", payload), ("version", int)],
        bases=(Event,),
        tag_field="type",
        tag=name,
        frozen=True,
        kw_only=True,
    )


_RECORDS: dict[str, Any] = {name: _record(name) for name in EVENTS}
_decode = msgspec.json.Decoder(Union[tuple(_RECORDS.values())]).decode  # noqa: UP007 (made at run time)
_VERSIONS: dict[type, int] = {record: EVENTS[name].VERSION for name, record in _RECORDS.items()}


def decode(raw: bytes | None) -> Event | UnknownType | NewerVersion | Garbage:
    """What `event_codec.decode` says of the record; the event is one of a subclass."""
    if not raw or not (raw.isascii() or _is_utf8(raw)):
        return event_codec.decode(raw)
    try:
        event = _decode(raw)
    except msgspec.DecodeError:
        return event_codec.decode(raw)
    if event.version != _VERSIONS[type(event)] or _CANONICAL_TIME(event.occurred_at) is None:
        return event_codec.decode(raw)
    return event  # type: ignore[no-any-return]  # the union was made at run time


def _is_utf8(raw: bytes) -> bool:
    """One parser looks at every byte, the other only at what it keeps."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True

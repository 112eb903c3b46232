"""JSON bytes ↔ typed messages. What cannot be decoded is a value, never an exception."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec
import orjson

from polylogue.schemas.base import Payload, Value
from polylogue.schemas.claims import REQUESTS
from polylogue.schemas.clock import parse_rfc3339_ms
from polylogue.schemas.commands import COMMANDS
from polylogue.schemas.controls import CONTROLS
from polylogue.schemas.envelope import Command, Control, Event, Request, UsageEvent
from polylogue.schemas.events import EVENTS
from polylogue.schemas.upcasters import UPCASTERS, Upcaster
from polylogue.schemas.usage import USAGE

E = TypeVar("E", Event, Command, Request, UsageEvent, Control)

_REFUSED_VALUE = re.compile(r"(Invalid enum value).*(?= - at `)", re.DOTALL)


class UnknownType(Value, frozen=True, kw_only=True):
    """A well-formed message of a type that this version does not know."""

    type: str
    envelope: dict[str, Any]


class NewerVersion(Value, frozen=True, kw_only=True):
    """A message of a known type, written by a newer version of the software."""

    type: str
    version: int
    envelope: dict[str, Any]


class Garbage(Value, frozen=True, kw_only=True):
    """Bytes that are no message; `reason` names no content."""

    reason: str


class Codec(Generic[E]):
    """Encodes and decodes the messages of one topic."""

    def __init__(
        self,
        envelope: type[E],
        payloads: Mapping[str, type[Payload]],
        upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
    ) -> None:
        self.envelope: type[E] = envelope
        self.payloads = payloads
        self._upcasters = upcasters

    def encode(self, message: E) -> bytes:
        fields = {
            name: value
            for name in message.__struct_fields__
            if name != "data" and (value := getattr(message, name)) is not None
        }
        payload: Payload = message.data
        fields["type"] = type(payload).__name__
        fields["version"] = payload.VERSION
        fields["data"] = msgspec.to_builtins(payload)
        return orjson.dumps(fields)

    def decode(self, raw: bytes | None) -> E | UnknownType | NewerVersion | Garbage:
        if raw is None:
            return Garbage(reason="the value is null")
        try:
            fields = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return Garbage(reason="the value is not JSON")
        if not isinstance(fields, dict):
            return Garbage(reason="the value is not a JSON object")
        name, version, data = fields.get("type"), fields.get("version"), fields.get("data")
        if not isinstance(name, str) or type(version) is not int or version < 1 or not isinstance(data, dict):
            return Garbage(reason="type, version or data is missing or of the wrong kind")
        payload = self.payloads.get(name)
        if payload is None:
            return UnknownType(type=name, envelope=fields)
        if version > payload.VERSION:
            return NewerVersion(type=name, version=version, envelope=fields)
        try:
            for step in range(version, payload.VERSION):
                data = self._upcasters[name, step](data)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            # An upcaster trusts the shape of its version; what lacks that shape is garbage, whatever it trips over.
            return Garbage(
                reason=f"{name} of version {version} cannot be brought to version {payload.VERSION}"
            )
        try:
            # msgspec checks the envelope against the empty base payload; the typed one then takes its place,
            # before anybody else holds the message.
            fields["data"] = {}
            message: E = msgspec.convert(fields, self.envelope)
            msgspec.structs.force_setattr(message, "data", msgspec.convert(data, payload))
        except msgspec.ValidationError as error:
            # The message names the path and the expected type, and in one case the value: that is content.
            why = _REFUSED_VALUE.sub(r"\1", str(error))
            return Garbage(reason=f"{name} does not fit its schema: {why}")
        if isinstance(message, Event) and not _is_time(message.occurred_at):
            # Readers compute with it; one bad record must not reach them.
            return Garbage(reason=f"{name} does not fit its schema: occurred_at is no time")
        return message


def _is_time(text: str) -> bool:
    try:
        parse_rfc3339_ms(text)
    except (ValueError, OverflowError):
        return False
    return True


event_codec = Codec(Event, EVENTS)
command_codec = Codec(Command, COMMANDS)
request_codec = Codec(Request, REQUESTS)
usage_codec = Codec(UsageEvent, USAGE)
control_codec = Codec(Control, CONTROLS)

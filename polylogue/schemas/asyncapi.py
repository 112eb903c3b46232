"""The AsyncAPI 3 document of all topics: their addresses, settings, keys and messages, for consumers elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polylogue.schemas.json_schema import GENERATED, MESSAGES, schema_path

VERSION = "3.0.0"
EXAMPLES = Path(__file__).parent / "examples"
_JSON = "application/json"
_BYTES = "application/octet-stream"
_KAFKA_BINDING = "0.5.0"
_NUMBERS = ("retention.ms", "retention.bytes", "max.message.bytes", "delete.retention.ms")


@dataclass(frozen=True)
class Channel:
    """A topic. `kind` names its JSON messages as `MESSAGES` does; without one its values are bytes with `headers`."""

    name: str
    address: str
    partitions: int
    config: Mapping[str, str]
    description: str
    key: str
    kind: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def document(channels: Iterable[Channel], *, version: str, bootstrap_servers: str | None) -> dict[str, Any]:
    """Self-contained: every reference of it is to a place within it."""
    listed = list(channels)
    messages = {channel.name: dict(_messages(channel)) for channel in listed}
    host = (bootstrap_servers or "localhost:9092").split(",", 1)[0].strip()
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Polylogue",
            "version": version,
            "description": "Delivery is at least once on every topic: count each event_id once.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": _JSON,
        "servers": {"kafka": {"host": host, "protocol": "kafka"}},
        "channels": {channel.name: _channel(channel, list(messages[channel.name])) for channel in listed},
        "operations": {
            f"send.{channel.name}": {"action": "send", "channel": _reference("channels", channel.name)}
            for channel in listed
        },
        "components": {
            "messages": {name: message for found in messages.values() for name, message in found.items()},
            "schemas": {
                name: schema
                for kind in dict.fromkeys(channel.kind for channel in listed)
                if kind is not None
                for name, schema in _schemas(kind)
            },
        },
    }


def _channel(channel: Channel, messages: Iterable[str]) -> dict[str, Any]:
    config: dict[str, Any] = {
        name: int(value) if name in _NUMBERS else value for name, value in channel.config.items()
    }
    config["cleanup.policy"] = [channel.config["cleanup.policy"]]
    return {
        "address": channel.address,
        "description": channel.description,
        "messages": {name: _reference("components", "messages", name) for name in messages},
        "bindings": {
            "kafka": {
                "topic": channel.address,
                "partitions": channel.partitions,
                "topicConfiguration": config,
                "bindingVersion": _KAFKA_BINDING,
            }
        },
    }


def _messages(channel: Channel) -> Iterator[tuple[str, dict[str, Any]]]:
    binding = {
        "kafka": {
            "key": {"type": "string", "description": channel.key},
            "bindingVersion": _KAFKA_BINDING,
        }
    }
    if channel.kind is None:
        headers = {
            name: {"type": "string", "description": told} for name, told in sorted(channel.headers.items())
        }
        yield (
            channel.name,
            {
                "name": channel.name,
                "contentType": _BYTES,
                "headers": {"type": "object", "properties": headers, "required": sorted(headers)},
                "payload": {"type": "string", "contentEncoding": "binary"},
                "bindings": binding,
            },
        )
        return
    for name, version in _versions(channel.kind):
        examples = sorted((EXAMPLES / name / str(version)).glob("*.json"))
        yield (
            _key(name, version),
            {
                "name": name,
                "title": f"{name}, version {version}",
                "contentType": _JSON,
                "payload": _reference("components", "schemas", _key(name, version)),
                "bindings": binding,
                "examples": [
                    {"name": file.stem, "payload": json.loads(file.read_text(encoding="utf-8"))}
                    for file in examples
                ],
            },
        )


def _schemas(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each message's schema and, under names of its own, the definitions that it refers to."""
    for name, version in _versions(kind):
        text = (GENERATED / schema_path(kind, name, version)).read_text(encoding="utf-8")
        key = _key(name, version)
        # A reference is one within the whole document here. Versions of a message may define one name differently.
        schema = json.loads(text.replace('"#/$defs/', f'"#/components/schemas/{key}.'))
        definitions = schema.pop("$defs", {})
        yield key, {part: value for part, value in schema.items() if part not in ("$schema", "$id")}
        for defined, definition in definitions.items():
            yield f"{key}.{defined}", definition


def _versions(kind: str) -> Iterator[tuple[str, int]]:
    """Every version that the topic may hold, not the newest alone."""
    for name, payload in MESSAGES[kind][1].items():
        for version in range(1, payload.VERSION + 1):
            yield name, version


def _key(name: str, version: int) -> str:
    return f"{name}.v{version}"


def _reference(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}

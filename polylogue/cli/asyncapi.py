"""`polylogue topics asyncapi`: prints the AsyncAPI document of the topics as they are named here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polylogue.infra.settings import Settings

_KINDS = {
    "commands": "command",
    "conversation-events": "event",
    "media-requests": "request",
    "media-usage": "usage",
    "controls": "control",
}
_TOLD = {
    "commands": ("What the API asks of the runner.", "conversation_id"),
    "conversation-events": (
        "What happened: the truth. Read it uncommitted, and hide what the reducer hides.",
        "conversation_id",
    ),
    "media-segments": ("The bytes of media on their way to S3, in pieces of up to 960 KiB.", "media_id"),
    "media-requests": ("Claims and other requests for the media agent.", "media_id"),
    "media-usage": ("A public contract: one event for each medium and outcome.", "owner_id"),
    "controls": ("What an operator tells every process; the last record of a type is in force.", "`media`"),
    "commands-dlq": ("Commands that could not be read, byte for byte.", "as the source"),
    "media-requests-dlq": ("Requests that could not be read, byte for byte.", "as the source"),
}
_SEGMENT = {"media_id": "The medium's id.", "segment": "The number of the piece, from 0."}
_LETTER = {
    "reason": "Why it could not be read.",
    "source_topic": "The topic that it was read from.",
    "source_partition": "The partition, as a decimal number.",
    "source_offset": "The offset, as a decimal number.",
}


def asyncapi() -> None:
    """Print the AsyncAPI 3 document of all topics, as JSON."""
    from polylogue.infra.settings import load_settings

    print(json.dumps(described(load_settings()), indent=2, ensure_ascii=False))


def described(settings: Settings) -> Mapping[str, Any]:
    """The document for these settings: their prefix is in every address."""
    from polylogue import __version__
    from polylogue.infra.topics import CATALOGUE, topic_name
    from polylogue.schemas.asyncapi import Channel, document

    channels = [
        Channel(
            name=topic.name,
            address=topic_name(settings, topic),
            partitions=topic.partitions,
            config=topic.config,
            description=_TOLD[topic.name][0],
            key=_TOLD[topic.name][1],
            kind=_KINDS.get(topic.name),
            headers={} if topic.name in _KINDS else _LETTER if topic.name.endswith("-dlq") else _SEGMENT,
        )
        for topic in CATALOGUE
    ]
    return document(channels, version=__version__, bootstrap_servers=settings.kafka_bootstrap_servers)

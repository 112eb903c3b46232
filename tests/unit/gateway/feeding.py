"""Feeds an adapter with typed events and gives what comes out."""

from __future__ import annotations

import json
from typing import Any

from polylogue.streams.gateway.adapter import Adapter
from polylogue.streams.gateway.events import GatewayEvent
from polylogue.streams.gateway.framing import JsonBody
from polylogue.streams.gateway.sse import SseEvent


def frame(document: Any, name: str = "") -> SseEvent:
    return SseEvent(json.dumps(document).encode(), name)


def streamed(adapter: Adapter, *documents: Any, end: bool = True) -> list[GatewayEvent]:
    """A document is an event; bytes are its data as they are."""
    out: list[GatewayEvent] = []
    for document in documents:
        out += adapter.feed(SseEvent(document) if isinstance(document, bytes) else frame(document))
    return out + (adapter.end() if end else [])


def whole(adapter: Adapter, document: Any) -> list[GatewayEvent]:
    return adapter.feed(JsonBody(json.dumps(document).encode())) + adapter.end()

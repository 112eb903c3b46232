"""Which protocol a model is spoken to in, as the gateway's list of models says."""

from __future__ import annotations

from typing import Any, Literal

Protocol = Literal["chat", "responses", "images", "speech", "videos"]

# Where a model can be asked in several ways, the first of these.
_ENDPOINTS: tuple[tuple[str, Protocol], ...] = (
    ("chat/completions", "chat"),
    ("responses", "responses"),
    ("images", "images"),
    ("images/generations", "images"),
    ("audio/speech", "speech"),
    ("videos", "videos"),
    ("videos/generations", "videos"),
)
_LISTS = ("supported_endpoints", "supported_endpoint_types", "endpoints")


def protocol_of(entry: dict[str, Any]) -> Protocol:
    """From the endpoints that the entry names; without any, a model that only makes films is a job, all else chat."""
    named: set[str] = set()
    for name in _LISTS:
        values = entry.get(name)
        if isinstance(values, list):
            named |= {_bare(value) for value in values if isinstance(value, str)}
    for endpoint, protocol in _ENDPOINTS:
        if endpoint in named:
            return protocol
    architecture = entry.get("architecture")
    outputs = architecture.get("output_modalities") if isinstance(architecture, dict) else None
    return "videos" if outputs == ["video"] else "chat"


def _bare(endpoint: str) -> str:
    """`/v1/chat/completions` and `chat_completions` alike."""
    path = endpoint.strip("/").replace("chat_completions", "chat/completions")
    for prefix in ("api/", "v1/"):
        path = path.removeprefix(prefix)
    return path

"""The models that a gateway offers, as it describes them."""

from __future__ import annotations

from typing import Any

import msgspec

from polylogue.schemas.pricing import price_micros
from polylogue.streams.gateway.protocols import Protocol, protocol_of


class ModelInfo(msgspec.Struct, frozen=True):
    """Prices are micro-dollars per million tokens; None where the gateway names none."""

    id: str
    name: str
    input_modalities: tuple[str, ...]
    output_modalities: tuple[str, ...]
    context_length: int | None = None
    prompt_price: int | None = None
    completion_price: int | None = None
    protocol: Protocol = "chat"


def read_catalogue(document: Any) -> list[ModelInfo]:
    """Entries without an id are left out; a model that names no modalities is taken for text."""
    entries = document.get("data") if isinstance(document, dict) else document
    return [_model(entry) for entry in entries if _has_id(entry)] if isinstance(entries, list) else []


def _has_id(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("id"), str) and bool(entry["id"])


def _model(entry: dict[str, Any]) -> ModelInfo:
    architecture, pricing = entry.get("architecture"), entry.get("pricing")
    architecture = architecture if isinstance(architecture, dict) else {}
    pricing = pricing if isinstance(pricing, dict) else {}
    name, context = entry.get("name"), entry.get("context_length")
    return ModelInfo(
        id=entry["id"],
        name=name if isinstance(name, str) and name else entry["id"],
        input_modalities=_words(architecture.get("input_modalities")),
        output_modalities=_words(architecture.get("output_modalities")),
        context_length=context if isinstance(context, int) and context > 0 else None,
        prompt_price=price_micros(pricing.get("prompt")),
        completion_price=price_micros(pricing.get("completion")),
        protocol=protocol_of(entry),
    )


def _words(value: Any) -> tuple[str, ...]:
    words = tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()
    return words or ("text",)

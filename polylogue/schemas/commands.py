"""The commands that the API writes and the runner carries out; each is self-contained."""

from __future__ import annotations

from typing import Literal

from polylogue.schemas.base import Payload, Value, registry
from polylogue.schemas.events import Attachment, ParentRef, ResponseSlot


class HistoryMessage(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One earlier message; an assistant's is shown only to the model that wrote it."""

    role: Literal["user", "assistant", "system"]
    content: str
    model: str | None = None
    attachments: tuple[Attachment, ...] = ()


class ImageConfig(Value, frozen=True, kw_only=True, omit_defaults=True):
    aspect_ratio: str | None = None
    image_size: str | None = None


class Parameters(Value, frozen=True, kw_only=True, omit_defaults=True):
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    image_config: ImageConfig | None = None


class StartTurn(Payload, frozen=True, kw_only=True, omit_defaults=True):
    prompt: str
    responses: tuple[ResponseSlot, ...]
    new_conversation: bool = False
    title: str | None = None
    parent: ParentRef | None = None
    system: str | None = None
    history: tuple[HistoryMessage, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    parameters: Parameters = Parameters()
    max_cost_usd_micros: int | None = None


class CancelTurn(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Stops the named responses, or all of the turn; concerns only turns of lower offsets."""

    response_ids: tuple[str, ...] = ()


COMMANDS = registry(StartTurn, CancelTurn)

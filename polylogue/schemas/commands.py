"""The commands that the API writes and the runner carries out; each is self-contained."""

from __future__ import annotations

from typing import Literal

import msgspec

from polylogue.schemas.base import Payload, Value, registry
from polylogue.schemas.claims import MediumRef
from polylogue.schemas.events import Attachment, ParentRef, ResponseSlot


class HistoryMessage(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One earlier message; an assistant's is shown only to the model that wrote it.

    `attachments` are the pictures that the user sent with it, or those that the model made in it.
    """

    role: Literal["user", "assistant", "system"]
    content: str
    model: str | None = None
    attachments: tuple[Attachment, ...] = ()


class ImageConfig(Value, frozen=True, kw_only=True, omit_defaults=True):
    aspect_ratio: str | None = None
    image_size: str | None = None


class AudioConfig(Value, frozen=True, kw_only=True, omit_defaults=True):
    voice: str = "alloy"
    format: str = "wav"  # what the user gets; what is streamed is the runner's affair


class Parameters(Value, frozen=True, kw_only=True, omit_defaults=True):
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    image_config: ImageConfig | None = None
    audio: AudioConfig | None = None


class StartTurn(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Opens a turn, or a further round of one (`round` above 1: a model is added or an answer retried)."""

    prompt: str
    responses: tuple[ResponseSlot, ...]
    round: int = 1
    new_conversation: bool = False
    title: str | None = None
    parent: ParentRef | None = None
    system: str | None = None
    history: tuple[HistoryMessage, ...] = ()
    history_key: str | None = None  # an object under `private/` that holds a history too long for a record
    attachments: tuple[Attachment, ...] = ()
    parameters: Parameters = Parameters()
    model_parameters: dict[str, Parameters] = msgspec.field(
        default_factory=dict
    )  # by model, instead of the common ones
    max_cost_usd_micros: int | None = None


class StartConversation(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A conversation that begins with another one's past: a breakout. It has no turn of its own yet."""

    title: str
    parent: ParentRef


class RenameConversation(Payload, frozen=True, kw_only=True, omit_defaults=True):
    title: str


class PinConversation(Payload, frozen=True, kw_only=True, omit_defaults=True):
    pinned: bool


class ShareConversation(Payload, frozen=True, kw_only=True, omit_defaults=True):
    share_id: str | None = None  # None revokes the link


class DeleteConversation(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Cancels what runs, ends the conversation for every reader, and has its media removed.

    `media` is what the tables knew of when it was asked for; what came later is found by its prefix in the bucket.
    """

    media: tuple[MediumRef, ...] = ()
    turn_ids: tuple[str, ...] = ()  # whose attachments and histories nobody else refers to


class RemoveMedia(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Has single media of the conversation removed."""

    media: tuple[MediumRef, ...]


class RateAnswer(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The reader's verdict on a turn's answers; each one replaces the turn's former one."""

    best_response_id: str | None = None
    thumbs: dict[str, Literal["up", "down"]] = msgspec.field(default_factory=dict)  # by response_id
    note: str | None = None


class CancelTurn(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Stops the named responses, or all of the turn; concerns only turns of lower offsets."""

    response_ids: tuple[str, ...] = ()


COMMANDS = registry(
    StartTurn,
    StartConversation,
    RenameConversation,
    PinConversation,
    ShareConversation,
    DeleteConversation,
    RemoveMedia,
    RateAnswer,
    CancelTurn,
)

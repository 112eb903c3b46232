"""The events that come straight from a command, without a model being asked."""

from __future__ import annotations

from polylogue.schemas.base import Payload
from polylogue.schemas.clock import rfc3339
from polylogue.schemas.commands import (
    PinConversation,
    RateAnswer,
    RenameConversation,
    ShareConversation,
    StartConversation,
)
from polylogue.schemas.envelope import Command, Event
from polylogue.schemas.events import (
    AnswerRated,
    ConversationPinned,
    ConversationRenamed,
    ConversationShared,
    ConversationStarted,
)


def command_event(command: Command, offset: int, data: Payload) -> Event:
    """An event that carries its command's offset, by which readers recognise a repetition."""
    return Event(
        event_id=f"{command.command_id}.{type(data).__name__}",
        conversation_id=command.conversation_id,
        turn_id=command.turn_id or None,
        owner_id=command.owner_id,
        occurred_at=rfc3339(),
        command_offset=offset,
        causation_id=command.command_id,
        traceparent=command.traceparent,
        data=data,
    )


def immediate_event(command: Command, offset: int) -> Event | None:
    """The one event of a command that is carried out by writing it; None for commands that run."""
    match command.data:
        case StartConversation(title=title, parent=parent):
            return command_event(command, offset, ConversationStarted(title=title, parent=parent))
        case RenameConversation(title=title):
            return command_event(command, offset, ConversationRenamed(title=title))
        case PinConversation(pinned=pinned):
            return command_event(command, offset, ConversationPinned(pinned=pinned))
        case ShareConversation(share_id=share_id):
            return command_event(command, offset, ConversationShared(share_id=share_id))
        case RateAnswer(best_response_id=best, thumbs=thumbs, note=note):
            return command_event(
                command, offset, AnswerRated(best_response_id=best, thumbs=thumbs, note=note)
            )
    return None

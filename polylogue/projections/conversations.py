"""The projection behind the list of conversations: one row a conversation, one row a turn."""

from __future__ import annotations

from collections.abc import Sequence

from polylogue.projections.protocol import TurnProgress, VisibleEvent, fold_each
from polylogue.projections.rows import RowChanges, Table
from polylogue.schemas.base import Payload
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import (
    ConversationDeleted,
    ConversationPinned,
    ConversationRenamed,
    ConversationShared,
    ConversationStarted,
    PromptSubmitted,
)

CONVERSATIONS = Table(
    "conversations",
    key="conversation_id",
    columns={
        "conversation_id": "text",
        "owner_id": "text NOT NULL",
        "title": "text NOT NULL",
        "pinned": "boolean NOT NULL",
        "share_id": "text",
        "parent_conversation_id": "text",
        "parent_turn_id": "text",
        "parent_model_id": "text",
        "partition": "integer NOT NULL",
        "first_offset": "bigint NOT NULL",
        "last_turn_id": "text",
        "turn_running": "boolean NOT NULL",
        "deleted": "boolean NOT NULL",
        "created_at": "timestamptz NOT NULL",
        "updated_at": "timestamptz NOT NULL",
    },
    readers_indexes=(
        "(owner_id, updated_at DESC, conversation_id) WHERE NOT deleted",
        "(parent_conversation_id) WHERE parent_conversation_id IS NOT NULL",
    ),
)
TURNS = Table(
    "conversation_turns",
    key="turn_id",
    columns={
        "turn_id": "text",
        "conversation_id": "text NOT NULL",
        "owner_id": "text NOT NULL",
        "prompt": "text NOT NULL",
        "system": "text",
        "round": "integer NOT NULL",
        "first_offset": "bigint",
        "start_offset": "bigint NOT NULL",
        "finished": "boolean NOT NULL",
        "created_at": "timestamptz NOT NULL",
        "completed_at": "timestamptz",
    },
    indexes=("(conversation_id, start_offset)",),
)


class Conversations:
    name = "conversations"
    version = 1
    tables = (CONVERSATIONS, TURNS)
    handles: frozenset[type[Payload]] = frozenset(
        {
            ConversationStarted,
            ConversationRenamed,
            ConversationPinned,
            ConversationShared,
            ConversationDeleted,
            PromptSubmitted,
        }
    )

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        return fold_each(batch, _fold)


def _fold(changes: RowChanges, seen: VisibleEvent) -> None:
    event, data = seen.event, seen.event.data
    conversation_id, at = event.conversation_id, event.occurred_at

    def set_conversation(**values: str | bool | None) -> None:
        changes.update(CONVERSATIONS, conversation_id, conversation_id, updated_at=at, **values)

    match data:
        case ConversationStarted():
            changes.insert(
                CONVERSATIONS,
                conversation_id=conversation_id,
                owner_id=event.owner_id,
                title=data.title,
                pinned=False,
                parent_conversation_id=data.parent.conversation_id if data.parent else None,
                parent_turn_id=data.parent.turn_id if data.parent else None,
                parent_model_id=data.parent.model if data.parent else None,
                partition=seen.partition,
                first_offset=seen.offset,
                turn_running=False,
                deleted=False,
                created_at=at,
                updated_at=at,
            )
        case ConversationRenamed():
            set_conversation(title=data.title)
        case ConversationPinned():
            set_conversation(pinned=data.pinned)
        case ConversationShared():
            set_conversation(share_id=data.share_id)
        case ConversationDeleted():
            set_conversation(title="", share_id=None, last_turn_id=None, turn_running=False, deleted=True)
            changes.remove(TURNS, conversation_id)
        case PromptSubmitted() if seen.turn is not None and data.round == 1:
            _add_turn(changes, event, data, seen.turn)
            set_conversation(last_turn_id=seen.turn.turn_id)
    if seen.turn is not None:
        changes.update(
            TURNS,
            seen.turn.turn_id,
            conversation_id,
            round=seen.turn.round,
            start_offset=seen.turn.start_offset,
            finished=seen.turn.finished,
            completed_at=at if seen.turn.finished else None,
        )
        set_conversation(turn_running=seen.turn_running)


def _add_turn(changes: RowChanges, event: Event, data: PromptSubmitted, turn: TurnProgress) -> None:
    changes.insert(
        TURNS,
        turn_id=turn.turn_id,
        conversation_id=event.conversation_id,
        owner_id=event.owner_id,
        prompt=data.prompt,
        system=data.system,
        round=turn.round,
        # Stays where the turn began; start_offset moves on with its rounds.
        first_offset=turn.start_offset,
        start_offset=turn.start_offset,
        finished=turn.finished,
        created_at=event.occurred_at,
    )

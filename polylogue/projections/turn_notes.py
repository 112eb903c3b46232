"""The projection behind the notes that people write beside their ratings: one row a turn that was ever rated."""

from __future__ import annotations

from collections.abc import Sequence

from polylogue.projections.protocol import VisibleEvent
from polylogue.projections.rows import RowChanges, Table
from polylogue.schemas.base import Payload
from polylogue.schemas.events import AnswerRated, ConversationDeleted

TURN_NOTES = Table(
    "turn_notes",
    key="turn_id",
    columns={
        "turn_id": "text",
        "conversation_id": "text NOT NULL",
        "owner_id": "text NOT NULL",
        "note": "text",  # NULL where the last rating has none
    },
    indexes=("(conversation_id)",),
)


class TurnNotes:
    """Beside `answer_ratings` and not in it: those are numbers and stay, a note is content and goes with its conversation."""

    name = "turn_notes"
    version = 1
    tables = (TURN_NOTES,)
    handles: frozenset[type[Payload]] = frozenset({AnswerRated, ConversationDeleted})

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        changes = RowChanges()
        for seen in batch:
            event = seen.event
            match event.data:
                case AnswerRated(note=note):
                    changes.insert(
                        TURN_NOTES,
                        turn_id=event.turn_id,
                        conversation_id=event.conversation_id,
                        owner_id=event.owner_id,
                        note=note or None,
                    )
                case ConversationDeleted():
                    changes.remove(TURN_NOTES, event.conversation_id)
        return changes

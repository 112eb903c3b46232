"""Projections for tests: a second version of one that is shipped, and one whose rows conversations share."""

from __future__ import annotations

from collections.abc import Sequence

from polylogue.projections.conversation_messages import MEDIA, MESSAGES, ConversationMessages
from polylogue.projections.protocol import VisibleEvent
from polylogue.projections.rows import RowChanges, Table
from polylogue.schemas.base import Payload
from polylogue.schemas.events import TextAppended


class MessagesV2(ConversationMessages):
    """As version 1; that is what lets a test compare the two."""

    version = 2


class MessagesV3(ConversationMessages):
    """With a column of another type, which readers' plans must survive."""

    version = 3
    tables = (
        Table(
            MESSAGES.name,
            key=MESSAGES.key,
            columns={**MESSAGES.columns, "position": "bigint NOT NULL"},
            derived=MESSAGES.derived,
            indexes=MESSAGES.indexes,
            readers_indexes=("(position)",),
        ),
        MEDIA,
    )


WORDS = Table(
    "words_daily",
    key=("model_id", "day"),
    columns={"model_id": "text", "day": "date", "words": "bigint NOT NULL DEFAULT 0"},
)


class WordsDaily:
    name = "words_daily"
    version = 1
    tables = (WORDS,)
    handles: frozenset[type[Payload]] = frozenset({TextAppended})

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        changes = RowChanges()
        for seen in batch:
            if isinstance(seen.event.data, TextAppended):
                words = len(seen.event.data.text.split())
                changes.add(WORDS, model_id=seen.model, day=seen.day, words=words)
        return changes

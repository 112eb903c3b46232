"""What a projection says of whole stories, as values: the sums and the rows of one batch, or of many put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from polylogue.projections.protocol import Projection
from polylogue.projections.reduction import reduce
from polylogue.projections.rows import RowChanges, Table
from polylogue.schemas.conversation_state import ConversationState
from polylogue.schemas.envelope import Event
from tests.support.events import Story, interleave, numbered

Numbers = dict[tuple[object, ...], dict[str, int]]


def changes_of(projection: Projection, *stories: Story) -> RowChanges:
    (changes,) = folded(projection, [numbered(interleave(*stories))])
    return changes


def folded(projection: Projection, batches: Iterable[Sequence[tuple[int, Event]]]) -> list[RowChanges]:
    """The changes of each batch."""
    states: dict[str, ConversationState] = {}
    return [
        projection.apply(
            [seen for seen in reduce(states, batch, 0) if type(seen.event.data) in projection.handles]
        )
        for batch in batches
    ]


def sums(table: Table, batches: Iterable[RowChanges]) -> Numbers:
    """What all batches together add to each row; zeros are left out."""
    found: dict[tuple[object, ...], Counter[str]] = {}
    for changes in batches:
        for key, numbers in changes.sums.get(table, {}).items():
            found.setdefault(key, Counter()).update(numbers)
    return {key: {name: number for name, number in row.items() if number} for key, row in found.items()}


def rows(table: Table, changes: RowChanges) -> Mapping[object, Mapping[str, object]]:
    return {key: row.values for key, row in changes.rows.get(table, {}).items()}

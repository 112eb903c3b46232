"""The reducer's states of a version: stored in the transaction of the rows, and remembered by whoever wrote them last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from psycopg import AsyncConnection

from polylogue.projections.protocol import Projection
from polylogue.schemas.conversation_state import ConversationState

# Of JSON, a follower; as objects a state takes some six times as much. Enough for about a thousand conversations.
REMEMBERED_BYTES = 2 * 1024 * 1024

_decode = msgspec.json.Decoder(ConversationState).decode


@dataclass(frozen=True)
class _Remembered:
    partition: int
    state: ConversationState
    size: int


class StateMemory:
    """What a follower knows of the states that it has stored, so that it need not read them again.

    Right as long as nobody else has written to the version, which is for the checkpoint's compare-and-set to say.
    States are lent to a transaction and come back only when it is committed: one that fails has forgotten them.
    """

    def __init__(self, most_bytes: int = REMEMBERED_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._states: dict[str, _Remembered] = {}  # whose last use is longest ago comes first

    def lend(self, partitions: Mapping[str, int]) -> dict[str, ConversationState]:
        """The states of these conversations, as far as they are remembered; here they are forgotten."""
        lent: dict[str, ConversationState] = {}
        for conversation_id, partition in partitions.items():
            found = self._drop(conversation_id)
            if found is not None and found.partition == partition:
                lent[conversation_id] = found.state
        return lent

    def keep(
        self,
        states: Mapping[str, ConversationState],
        partitions: Mapping[str, int],
        sizes: Mapping[str, int],
    ) -> None:
        """What a committed transaction has stored."""
        for conversation_id, state in states.items():
            self._drop(conversation_id)
            size = sizes[conversation_id]
            self._states[conversation_id] = _Remembered(partitions[conversation_id], state, size)
            self._bytes += size
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._states)))

    def forget(self, partition: int) -> None:
        """Whoever takes a partition knows nothing of what others have done to it."""
        for conversation_id in [one for one, kept in self._states.items() if kept.partition == partition]:
            self._drop(conversation_id)

    def clear(self) -> None:
        self._states.clear()
        self._bytes = 0

    def _drop(self, conversation_id: str) -> _Remembered | None:
        found = self._states.pop(conversation_id, None)
        if found is not None:
            self._bytes -= found.size
        return found


async def load_states(
    connection: AsyncConnection[Any],
    projection: Projection,
    partitions: Mapping[str, int],
    remembered: Mapping[str, ConversationState],
) -> dict[str, ConversationState]:
    """Those of the conversations that have one, with the checkpoints held."""
    states = dict(remembered)
    missing = sorted(partitions.keys() - states.keys())
    if missing:
        # As text: msgspec is the only one to read it.
        cursor = await connection.execute(
            "SELECT conversation_id, state::text FROM projection_states"
            " WHERE projection = %s AND version = %s AND conversation_id = ANY(%s)",
            [projection.name, projection.version, missing],
        )
        states |= {row[0]: _decode(row[1]) for row in await cursor.fetchall()}
    return states


@dataclass(frozen=True)
class Storing:
    """The statement that stores states, and how many bytes each takes."""

    sql: str
    parameters: Sequence[object]
    sizes: Mapping[str, int]


def storing(
    projection: Projection,
    states: Mapping[str, ConversationState],
    partitions: Mapping[str, int],
    condition: str = "true",
) -> Storing:
    """`condition` is one without which nothing is stored."""
    names = sorted(states)
    encoded = [msgspec.json.encode(states[name]).decode() for name in names]
    return Storing(
        'INSERT INTO projection_states (projection, version, conversation_id, "partition", state)'  # noqa: S608 (our own words)
        # In binary: as text, every quotation mark of the JSON would be escaped one by one.
        ' SELECT %s, %s, conversation_id, "partition", state::json'
        ' FROM unnest(%s::text[], %s::integer[], %b::text[]) AS s(conversation_id, "partition", state)'
        f" WHERE {condition}"
        " ON CONFLICT (projection, version, conversation_id) DO UPDATE SET state = EXCLUDED.state",
        [projection.name, projection.version, names, [partitions[name] for name in names], encoded],
        {name: len(text) for name, text in zip(names, encoded, strict=True)},
    )

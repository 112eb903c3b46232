"""A conversation's turns as the projections hold them, those it shares with its parents first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

Row = dict[str, Any]

MOST_GENERATIONS = (
    100  # a conversation's parent is older than itself, so there is an end; this is for its cost
)

_HEAD = """conversation_id, title, pinned, last_turn_id, turn_running, parent_conversation_id, parent_turn_id,
    parent_model_id, created_at, updated_at"""
UNFINISHED = ("waiting", "running")
GONE = "What came before here belonged to a conversation that was deleted."
# A deleted parent is gone with all it said, but not what it had inherited itself.
_FAMILY = f"""
    WITH RECURSIVE family AS (
        SELECT {_HEAD}, deleted, 0 AS generation FROM conversations
        WHERE conversation_id = %(conversation)s AND owner_id = %(owner)s AND NOT deleted
        UNION ALL
        SELECT parent.conversation_id, parent.title, parent.pinned, parent.last_turn_id, parent.turn_running,
               parent.parent_conversation_id, parent.parent_turn_id, parent.parent_model_id,
               parent.created_at, parent.updated_at, parent.deleted, family.generation + 1
        FROM conversations AS parent JOIN family ON parent.conversation_id = family.parent_conversation_id
        WHERE parent.owner_id = %(owner)s AND family.generation < {MOST_GENERATIONS}
    )
    SELECT * FROM family ORDER BY generation
"""  # noqa: S608 (our own words)
_TURNS = """
    SELECT turn_id, conversation_id, prompt, system, round, finished, created_at, completed_at FROM conversation_turns
    WHERE conversation_id = ANY(%(conversations)s) AND owner_id = %(owner)s
    ORDER BY coalesce(first_offset, start_offset), turn_id
"""
_PLACES = """
    SELECT turn_id, conversation_id FROM conversation_turns
    WHERE conversation_id = ANY(%(conversations)s) AND owner_id = %(owner)s
    ORDER BY coalesce(first_offset, start_offset), turn_id
"""
_MESSAGES = """
    SELECT message_id, conversation_id, turn_id, role, model_id, content, reasoning, attachments, media_urls, status,
           finish_reason, error_class, error_message, retryable, usage, cost_usd_micros, time_to_first_token_ms,
           duration_ms, position, attempt, created_at, completed_at
    FROM conversation_messages WHERE conversation_id = ANY(%(conversations)s) AND owner_id = %(owner)s
    ORDER BY role = 'assistant', position, message_id
"""


async def family(
    connection: AsyncConnection[Any], owner: str, conversation_id: str
) -> tuple[Row, list[Row]] | None:
    """The conversation's own row, and its turns with their `messages`; None where the tables do not know it.

    Use within one transaction: the three queries belong together.
    """
    async with connection.cursor(row_factory=dict_row) as rows:
        await rows.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await rows.execute(_FAMILY, {"conversation": conversation_id, "owner": owner})
        generations = await rows.fetchall()
        if not generations:
            return None
        values = {"conversations": [one["conversation_id"] for one in generations], "owner": owner}
        turns = await (await rows.execute(_TURNS, values)).fetchall()
        messages = await (await rows.execute(_MESSAGES, values)).fetchall()
    return generations[0], composed(generations, settled(turns, messages), messages)


async def shows(connection: AsyncConnection[Any], owner: str, conversation_id: str, message: Row) -> bool:
    """Whether whoever reads the conversation sees this message, of whichever conversation it is."""
    async with connection.cursor(row_factory=dict_row) as rows:
        await rows.execute(_FAMILY, {"conversation": conversation_id, "owner": owner})
        generations = await rows.fetchall()
        if not generations:
            return False
        values = {"conversations": [one["conversation_id"] for one in generations], "owner": owner}
        turns = await (await rows.execute(_PLACES, values)).fetchall()
    return any(turn["messages"] for turn in composed(generations, turns, [message]))


def settled(turns: Iterable[Row], messages: Iterable[Row]) -> list[Row]:
    """The two tables are filled each by itself: where the answers are behind, a turn has not ended for a reader."""
    behind = {one["turn_id"] for one in messages if one["status"] in UNFINISHED}
    return [turn | {"finished": turn["finished"] and turn["turn_id"] not in behind} for turn in turns]


def composed(generations: list[Row], turns: Iterable[Row], messages: Iterable[Row]) -> list[Row]:
    """The turns of all generations, oldest first, as the youngest one (the first) sees them."""
    by_turn: dict[str, list[Row]] = {}
    for message in messages:
        by_turn.setdefault(message["turn_id"], []).append(message)
    own: dict[str, list[Row]] = {}
    for turn in turns:
        own.setdefault(turn["conversation_id"], []).append(turn)
    seen: list[Row] = []
    models: set[str] = set()  # that the breakouts between here and the youngest are of
    upto: str | None = None
    for number, generation in enumerate(generations):
        inherited = number > 0
        shared = own.get(generation["conversation_id"], [])
        if inherited:
            shared = _up_to(shared, upto)
        if generation["deleted"] and upto is not None:
            seen = [_gone(generation["conversation_id"], upto), *seen]
        seen = [
            _seen(turn, by_turn.get(turn["turn_id"], []), models, inherited=inherited) for turn in shared
        ] + seen
        if generation["parent_model_id"] is not None:
            models.add(generation["parent_model_id"])
        upto = generation["parent_turn_id"]
    return seen


def _gone(conversation_id: str, last: str) -> Row:
    """Stands for the turns that were shared with a deleted conversation, the last of which is known by its id only."""
    return {
        "turn_id": last,
        "conversation_id": conversation_id,
        "prompt": "",
        "system": None,
        "round": 1,
        "finished": True,
        "created_at": None,
        "completed_at": None,
        "inherited": True,
        "gone": True,
        "notice": GONE,
        "messages": [],
    }


def _up_to(turns: list[Row], last: str | None) -> list[Row]:
    names = [turn["turn_id"] for turn in turns]
    return turns[: names.index(last) + 1] if last in names else []


def _seen(turn: Row, messages: list[Row], models: set[str], *, inherited: bool) -> Row:
    kept = [
        one for one in messages if one["role"] == "user" or all(one["model_id"] == model for model in models)
    ]
    return turn | {
        "inherited": inherited,
        "gone": False,
        "messages": [one | {"inherited": inherited} for one in kept],
    }


def models_of(turns: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every model that answered, in order of appearance."""
    found = (one["model_id"] for turn in turns for one in turn["messages"] if one["role"] == "assistant")
    return list(dict.fromkeys(found))

"""`GET /search`: prompts and answers that hold the words asked for, the best first, with the words marked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import psycopg
from fastapi import APIRouter, Query
from psycopg.rows import dict_row

from polylogue.api.compare_stream import Working
from polylogue.api.errors import ApiError
from polylogue.api.parameters import Name
from polylogue.api.principal import Asking
from polylogue.api.times import FirstDay, LastDay, timed

router = APIRouter(tags=["search"])

MOST_MS = 3000  # a search that takes longer is nobody's answer any more, and keeps a connection from others
SHORT = 200  # characters of a message that is shown whole
MOST_OFFSET = 1000  # whoever wants more narrows the question

# Marks in what Postgres returns. The text's own control characters give way to spaces before, and its angle brackets
# to two others until it is here: Postgres would take what is between them for markup, and leave it out.
_BEGIN, _END, _GAP, _LESS, _MORE = "\x02", "\x03", "\x04", "\x05", "\x06"
_WORDS = "websearch_to_tsquery('simple', %(q)s)"
_FOUND = f"""
    WITH found AS (
        SELECT message_id, conversation_id, turn_id, role, model_id, content, created_at,
               ts_rank_cd(words, {_WORDS}, 1) AS rank
        FROM search_messages
        WHERE words @@ {_WORDS} AND owner_id = %(owner)s
          AND (%(role)s::text IS NULL OR role = %(role)s)
          AND (%(model)s::text IS NULL OR model_id = %(model)s)
          AND (%(conversation)s::text IS NULL OR conversation_id = %(conversation)s)
          AND (%(from)s::date IS NULL OR created_at >= %(from)s::date::timestamp AT TIME ZONE 'UTC')
          AND (%(to)s::date IS NULL OR created_at < (%(to)s::date + 1)::timestamp AT TIME ZONE 'UTC')
        ORDER BY rank DESC, created_at DESC, message_id LIMIT %(limit)s OFFSET %(offset)s
    )
    SELECT found.message_id, found.conversation_id, c.title, found.turn_id, found.role, found.model_id,
           found.created_at, found.rank,
           ts_headline('simple', translate(translate(found.content, %(marks)s, '     '), '<>', %(brackets)s), {_WORDS},
                       CASE WHEN length(found.content) <= {SHORT} THEN %(whole)s ELSE %(parts)s END) AS headline
    FROM found JOIN conversations AS c ON c.conversation_id = found.conversation_id AND c.owner_id = %(owner)s
    WHERE NOT c.deleted
    ORDER BY found.rank DESC, found.created_at DESC, found.message_id
"""  # noqa: S608 (our own words)
_HEADLINE = f'StartSel="{_BEGIN}",StopSel="{_END}",FragmentDelimiter="{_GAP}",ShortWord=0'


@router.get("/search")
async def search(
    services: Working,
    asking: Asking,
    q: Annotated[
        str,
        Query(
            min_length=1,
            max_length=500,
            pattern=r"^[^\x00]*$",
            description='Words that must all be there; "in quotes" a phrase, `or` between two, `-` before what must not be.',
        ),
    ],
    *,
    role: Annotated[Literal["user", "assistant"] | None, Query()] = None,
    model: Name = None,
    conversation: Name = None,
    from_: FirstDay = None,
    to: LastDay = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
    offset: Annotated[int, Query(ge=0, le=MOST_OFFSET)] = 0,
) -> dict[str, Any]:
    """`segments` are pieces of the message, `hit` is true of those that were asked for: text, never markup."""
    values = {
        "q": q,
        "owner": asking.owner,
        "role": role,
        "model": model,
        "conversation": conversation,
        "from": from_,
        "to": to,
        "limit": limit + 1,
        "offset": offset,
        "marks": f"{_BEGIN}{_END}{_GAP}{_LESS}{_MORE}",
        "brackets": f"{_LESS}{_MORE}",
        "whole": f"{_HEADLINE},HighlightAll=true",
        "parts": f"{_HEADLINE},MaxFragments=2,MaxWords=24,MinWords=8",
    }
    async with services.pool.connection() as connection, connection.cursor(row_factory=dict_row) as rows:
        await rows.execute(f"SET LOCAL statement_timeout = {MOST_MS}")
        try:
            found = await (await rows.execute(_FOUND, values)).fetchall()
        except psycopg.errors.QueryCanceled:
            raise ApiError(
                503, "search_too_slow", "The search took too long; use rarer words or narrower filters."
            ) from None
    following = offset + limit
    more = len(found) > limit and following <= MOST_OFFSET
    return {"results": [_shown(row) for row in found[:limit]], "next_offset": following if more else None}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    shown = timed(row)
    return shown | {"rank": round(shown["rank"], 6), "segments": segments(shown.pop("headline"))}


def segments(headline: str) -> list[dict[str, Any]]:
    """Text with marks → its pieces; fragments are parted by an ellipsis."""
    pieces: list[dict[str, Any]] = []
    text = headline.replace(_GAP, " … ").replace(_LESS, "<").replace(_MORE, ">")
    for number, part in enumerate(text.split(_BEGIN)):
        hit, ended, rest = part.partition(_END)
        if number == 0 or not ended:
            hit, rest = "", part
        pieces += [{"text": hit, "hit": True}] if hit else []
        pieces += [{"text": rest, "hit": False}] if rest else []
    return pieces

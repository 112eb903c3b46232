"""The projection behind the comparison of models: sums a model and day, and how each rated answer was judged."""

from __future__ import annotations

from collections.abc import Sequence

from polylogue.projections.protocol import VisibleEvent
from polylogue.projections.rows import RowChanges, Table
from polylogue.schemas.base import Payload
from polylogue.schemas.events import (
    AnswerRated,
    ResponseCancelled,
    ResponseCompleted,
    ResponseEnd,
    ResponseFailed,
)
from polylogue.schemas.histogram import Histogram

FIRST_TOKEN = Histogram("first_token_ms")
_SUM = "bigint NOT NULL DEFAULT 0"
MODEL_STATS = Table(
    "model_stats",
    key=("owner_id", "model_id", "day"),
    columns={
        "owner_id": "text NOT NULL",
        "model_id": "text NOT NULL",
        "day": "date NOT NULL",
        "answers": _SUM,
        "failures": _SUM,
        "cancellations": _SUM,
        "prompt_tokens": _SUM,
        "completion_tokens": _SUM,
        "cost_usd_micros": _SUM,
        # Of the answers that tell both, from which readers work out tokens a second.
        "paced_tokens": _SUM,
        "paced_ms": _SUM,
        **FIRST_TOKEN.columns(),
    },
    indexes=("(owner_id, day)", "(day)"),
)
# A sum cannot take back what a former rating of the same turn added, so each answer's judgement is a row, and is replaced.
ANSWER_RATINGS = Table(
    "answer_ratings",
    key="response_id",
    columns={
        "response_id": "text",
        "conversation_id": "text NOT NULL",
        "turn_id": "text NOT NULL",
        "owner_id": "text NOT NULL",
        "model_id": "text NOT NULL",
        "day": "date NOT NULL",
        "contested": "integer NOT NULL",
        "won": "integer NOT NULL",
        "thumbs_up": "integer NOT NULL",
        "thumbs_down": "integer NOT NULL",
    },
    indexes=("(owner_id, day)", "(day)"),
)


class ModelStats:
    """Each number counts on the UTC day on which its event was written, and stays when its conversation is deleted."""

    name = "model_stats"
    version = 1
    tables = (MODEL_STATS, ANSWER_RATINGS)
    handles: frozenset[type[Payload]] = frozenset(
        {AnswerRated, ResponseCompleted, ResponseFailed, ResponseCancelled}
    )

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        changes = RowChanges()
        for seen in batch:
            match seen.event.data:
                case AnswerRated() as rating:
                    _judge(changes, seen, rating)
                case ResponseCompleted() as end:
                    _add(changes, seen, {"answers": 1} | _spent(end) | _pace(end))
                case ResponseFailed() as end:
                    _add(changes, seen, {"failures": 1} | _spent(end))
                case ResponseCancelled() as end:
                    _add(changes, seen, {"cancellations": 1} | _spent(end))
        return changes


def _add(changes: RowChanges, seen: VisibleEvent, numbers: dict[str, int]) -> None:
    changes.add(MODEL_STATS, owner_id=seen.event.owner_id, model_id=seen.model or "", day=seen.day, **numbers)


def _spent(end: ResponseEnd) -> dict[str, int]:
    spent = {
        "cost_usd_micros": end.cost_usd_micros,
        "prompt_tokens": end.usage.prompt_tokens if end.usage else None,
        "completion_tokens": end.usage.completion_tokens if end.usage else None,
    }
    return {name: number for name, number in spent.items() if number}


def _pace(end: ResponseCompleted) -> dict[str, int]:
    first = end.time_to_first_token_ms
    tokens = end.usage.completion_tokens if end.usage else None
    pace = FIRST_TOKEN.count(first)
    if tokens and end.duration_ms is not None and end.duration_ms > (first or 0):
        pace |= {"paced_tokens": tokens, "paced_ms": end.duration_ms - (first or 0)}
    return pace


def _judge(changes: RowChanges, seen: VisibleEvent, rating: AnswerRated) -> None:
    """One row a completed answer of the turn, so that each rating replaces all that the former one said."""
    known = {answer.response_id for answer in seen.answers}
    # A choice is a contest only among several answers, and only if what was chosen is one of them.
    contested = rating.best_response_id in known and len(known) > 1
    for answer in seen.answers:
        thumb = rating.thumbs.get(answer.response_id)
        changes.insert(
            ANSWER_RATINGS,
            response_id=answer.response_id,
            conversation_id=seen.event.conversation_id,
            turn_id=seen.event.turn_id,
            owner_id=seen.event.owner_id,
            model_id=answer.model,
            day=seen.day,
            contested=int(contested),
            won=int(contested and answer.response_id == rating.best_response_id),
            thumbs_up=int(thumb == "up"),
            thumbs_down=int(thumb == "down"),
        )

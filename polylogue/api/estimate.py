"""What a prompt will cost, by estimate: counted characters and the catalogue's prices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polylogue.api.gateway_models import GatewayModel
from polylogue.schemas.commands import HistoryMessage, Parameters
from polylogue.schemas.pricing import TOKENS_PER_PICTURE, cost_micros, tokens_of

ANSWER_TOKENS = 1000  # of an answer, where max_tokens does not say less: a page and a half


def estimated(
    model: str,
    entry: GatewayModel | None,
    parameters: Parameters,
    *,
    texts: Sequence[str],
    history: Sequence[HistoryMessage],
    pictures: int,
) -> dict[str, Any]:
    """One model's part. The cost is null where the catalogue names no price."""
    seen = [one for one in history if one.role != "assistant" or one.model in (None, model)]
    characters = sum(map(len, texts)) + sum(len(one.content) for one in seen)
    prompt_tokens = tokens_of(characters)
    if entry is not None and "image" in entry.input_modalities:
        prompt_tokens += TOKENS_PER_PICTURE * (pictures + sum(len(one.attachments) for one in seen))
    completion_tokens = min(parameters.max_tokens or ANSWER_TOKENS, ANSWER_TOKENS)
    if entry is not None and "image" in entry.output_modalities:
        completion_tokens += TOKENS_PER_PICTURE
    return {
        "model": model,
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "cost_usd_micros": cost_micros(entry, prompt_tokens, completion_tokens),
    }


def total(models: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The sum; its cost is that of the models whose price is known, and null where none is."""
    costs = [one["cost_usd_micros"] for one in models if one["cost_usd_micros"] is not None]
    return {
        "prompt_tokens": sum(one["prompt_tokens"] for one in models),
        "completion_tokens": sum(one["completion_tokens"] for one in models),
        "cost_usd_micros": sum(costs) if costs else None,
    }

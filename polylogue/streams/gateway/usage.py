"""Reads token counts and cost out of the many forms that gateways report them in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from polylogue.schemas.events import Usage
from polylogue.schemas.pricing import MICROS, decimal_of, scaled, whole
from polylogue.streams.gateway.events import UsageReported

TICKS_PER_MICRO = Decimal(10_000)  # xAI bills in ticks of a ten-billionth of a dollar
_MOST_TOKENS = 10**15  # more than any model can count


def usage_of(chunk: dict[str, Any], choice: dict[str, Any] | None) -> UsageReported | None:
    """From the chunk itself, a vendor's field in it, or its choice."""
    vendor = chunk.get("x_groq")
    for holder in (chunk, vendor, choice):
        usage = holder.get("usage") if isinstance(holder, dict) else None
        if isinstance(usage, dict) and usage:
            return _read(usage)
    return None


def _read(usage: dict[str, Any]) -> UsageReported:
    output = _mapping(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
    prompt = _mapping(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
    return UsageReported(
        Usage(
            prompt_tokens=_count(usage, "prompt_tokens", "input_tokens"),
            completion_tokens=_count(usage, "completion_tokens", "output_tokens"),
            total_tokens=_count(usage, "total_tokens"),
            reasoning_tokens=_count(output, "reasoning_tokens"),
            image_tokens=_count(output, "image_tokens"),
            audio_tokens=_count(output, "audio_tokens"),
            cached_tokens=_count(prompt, "cached_tokens"),
        ),
        cost_micros(usage),
    )


def cost_micros(usage: dict[str, Any]) -> int | None:
    """Micro-dollars from a number, a string, an object with a total, or ticks."""
    cost: Any = usage.get("cost")
    if isinstance(cost, dict):
        cost = next((cost[key] for key in ("total_cost", "total", "usd", "amount") if key in cost), None)
    micros = scaled(cost, MICROS)
    if micros is None:
        ticks = decimal_of(usage.get("cost_in_usd_ticks"))
        micros = None if ticks is None else whole(ticks / TICKS_PER_MICRO)
    if micros is None:
        details = _mapping(usage.get("cost_details"))
        micros = scaled(details.get("upstream_inference_cost"), MICROS)
    return micros


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(holder: dict[str, Any], *names: str) -> int | None:
    for name in names:
        value = holder.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS:
            return int(value)
    return None

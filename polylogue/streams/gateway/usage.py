"""Reads token counts and cost out of the many forms that gateways report them in."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from polylogue.schemas.events import Usage
from polylogue.streams.gateway.events import UsageReported

MICROS = Decimal(1_000_000)
TICKS_PER_MICRO = Decimal(10_000)  # xAI bills in ticks of a ten-billionth of a dollar
_MOST_MICROS = 10**15  # beyond a billion dollars it is no cost


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
    micros = _scaled(cost, MICROS)
    if micros is None:
        ticks = _decimal(usage.get("cost_in_usd_ticks"))
        micros = None if ticks is None else _whole(ticks / TICKS_PER_MICRO)
    if micros is None:
        details = _mapping(usage.get("cost_details"))
        micros = _scaled(details.get("upstream_inference_cost"), MICROS)
    return micros


def price_micros(price: Any) -> int | None:
    """Micro-dollars per million tokens, from dollars per token."""
    return _scaled(price, MICROS * 1_000_000)


def _scaled(value: Any, factor: Decimal) -> int | None:
    number = _decimal(value)
    return None if number is None else _whole(number * factor)


def _whole(number: Decimal) -> int | None:
    return int(number.to_integral_value(ROUND_HALF_EVEN)) if number <= _MOST_MICROS else None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value).strip().removeprefix("$"))
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() and 0 <= number < _MOST_MICROS else None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(holder: dict[str, Any], *names: str) -> int | None:
    for name in names:
        value = holder.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST_MICROS:
            return int(value)
    return None

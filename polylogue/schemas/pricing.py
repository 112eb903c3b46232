"""What tokens cost by a catalogue's prices, and how many tokens a text has by estimate."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Protocol

# Across the usual tokenizers and European languages; the estimate says that it is one.
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_PICTURE = 1300  # what the picture models of the catalogue bill for one of 1,024 × 1,024
MICROS = Decimal(1_000_000)
_MOST_MICROS = 10**15  # beyond a billion dollars it is no cost


class Priced(Protocol):
    """A model with its prices: micro-dollars per million tokens, None where the catalogue names none."""

    @property
    def prompt_price(self) -> int | None: ...
    @property
    def completion_price(self) -> int | None: ...


def tokens_of(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)


def cost_micros(model: Priced | None, prompt_tokens: int, completion_tokens: int) -> int | None:
    """Micro-dollars by the catalogue's prices, rounded up; None where it names none."""
    if model is None or model.prompt_price is None or model.completion_price is None:
        return None
    total = prompt_tokens * model.prompt_price + completion_tokens * model.completion_price
    return -(-total // 1_000_000)


def price_micros(price: Any) -> int | None:
    """Micro-dollars per million tokens, from dollars per token."""
    return scaled(price, MICROS * 1_000_000)


def scaled(value: Any, factor: Decimal) -> int | None:
    """A number that came as a number or as text, times `factor`, as a whole; None where it is none or absurd."""
    number = decimal_of(value)
    return None if number is None else whole(number * factor)


def whole(number: Decimal) -> int | None:
    return int(number.to_integral_value(ROUND_HALF_EVEN)) if number <= _MOST_MICROS else None


def decimal_of(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value).strip().removeprefix("$"))
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() and 0 <= number < _MOST_MICROS else None

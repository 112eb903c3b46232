"""What a turn has cost so far, by estimate, and whether it has reached its cap."""

from __future__ import annotations

from polylogue.schemas.events import Usage
from polylogue.streams.gateway.catalogue import ModelInfo

# Across the usual tokenizers and European languages; the estimate says that it is one.
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_PICTURE = 1300  # what the picture models of the catalogue bill for one of 1,024 × 1,024


def tokens_of(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)


def cost_micros(info: ModelInfo | None, prompt_tokens: int, completion_tokens: int) -> int | None:
    """Micro-dollars by the catalogue's prices (which are per million tokens), rounded up; None where it names none."""
    if info is None or info.prompt_price is None or info.completion_price is None:
        return None
    total = prompt_tokens * info.prompt_price + completion_tokens * info.completion_price
    return -(-total // 1_000_000)


class ResponseMeter:
    """Counts one response while it streams."""

    def __init__(self, turn: TurnMeter, info: ModelInfo | None, prompt_characters: int) -> None:
        self._turn = turn
        self._info = info
        self._prompt_tokens = tokens_of(prompt_characters)
        self._characters = 0
        self._pictures = 0
        self._counted = 0
        self._settle()

    def text(self, characters: int) -> None:
        self._characters += characters
        self._settle()

    def picture(self) -> None:
        self._pictures += 1
        self._settle()

    @property
    def usage(self) -> Usage:
        """What is reported where the gateway reports nothing."""
        completion = self._completion_tokens
        return Usage(
            prompt_tokens=self._prompt_tokens,
            completion_tokens=completion,
            total_tokens=self._prompt_tokens + completion,
            estimated=True,
        )

    @property
    def cost(self) -> int | None:
        return cost_micros(self._info, self._prompt_tokens, self._completion_tokens)

    @property
    def _completion_tokens(self) -> int:
        return tokens_of(self._characters) + self._pictures * TOKENS_PER_PICTURE

    def _settle(self) -> None:
        cost = self.cost or 0
        self._turn.add(cost - self._counted)
        self._counted = cost


class TurnMeter:
    """The running estimate of all responses of a turn, in micro-dollars."""

    def __init__(self, cap: int | None) -> None:
        self.spent = 0
        self._cap = cap

    @property
    def exhausted(self) -> bool:
        return self._cap is not None and self.spent >= self._cap

    def add(self, micros: int) -> None:
        self.spent += micros

"""What a turn has cost so far, by estimate, and whether it has reached its cap."""

from __future__ import annotations

from polylogue.schemas.events import Usage
from polylogue.schemas.pricing import TOKENS_PER_PICTURE, cost_micros, tokens_of
from polylogue.streams.gateway.catalogue import ModelInfo


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

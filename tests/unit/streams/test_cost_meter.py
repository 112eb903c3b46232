"""The running estimate of a turn, and its cap."""

from __future__ import annotations

import pytest

from polylogue.schemas.pricing import TOKENS_PER_PICTURE, cost_micros, tokens_of
from polylogue.streams.cost_meter import ResponseMeter, TurnMeter
from polylogue.streams.gateway.catalogue import ModelInfo


def model(prompt: int | None = 1_000_000, completion: int | None = 2_000_000) -> ModelInfo:
    """One and two micro-dollars a token unless said otherwise."""
    return ModelInfo("m", "m", ("text",), ("text",), prompt_price=prompt, completion_price=completion)


@pytest.mark.parametrize(("characters", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2)])
def test_four_characters_count_as_a_token_and_parts_are_rounded_up(characters: int, tokens: int) -> None:
    assert tokens_of(characters) == tokens


def test_a_price_that_is_not_known_gives_no_cost() -> None:
    assert cost_micros(None, 10, 10) is None
    assert cost_micros(model(prompt=None), 10, 10) is None


def test_less_than_a_micro_dollar_is_rounded_up() -> None:
    assert cost_micros(model(1, 1), 1, 0) == 1


def test_the_turn_counts_what_all_its_responses_have_cost() -> None:
    turn = TurnMeter(cap=60)
    first = ResponseMeter(turn, model(), prompt_characters=40)
    second = ResponseMeter(turn, model(), prompt_characters=40)
    assert turn.spent == 20
    first.text(40)
    assert (turn.spent, turn.exhausted) == (40, False)
    second.text(39)
    assert (turn.spent, turn.exhausted) == (60, True)


def test_a_turn_without_a_cap_is_never_exhausted() -> None:
    turn = TurnMeter(cap=None)
    ResponseMeter(turn, model(), prompt_characters=4_000_000)
    assert not turn.exhausted


def test_the_estimate_says_that_it_is_one_and_counts_pictures() -> None:
    meter = ResponseMeter(TurnMeter(cap=None), model(), prompt_characters=8)
    meter.text(8)
    meter.picture()
    assert meter.usage.estimated
    assert meter.usage.completion_tokens == 2 + TOKENS_PER_PICTURE
    assert meter.cost == 2 + 2 * (2 + TOKENS_PER_PICTURE)

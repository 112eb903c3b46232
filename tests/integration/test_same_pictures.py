"""A picture that a model sends twice in one answer, encoded differently, becomes one medium; the text does not wait."""

from __future__ import annotations

from collections import Counter

from polylogue.infra.settings import Settings
from polylogue.schemas.events import MediaProduced, ResponseCompleted
from tests.support.log import Log, of_type
from tests.support.processes import process


async def test_the_same_pixels_twice_in_one_answer_become_one_medium_and_different_ones_two(
    runner_settings: Settings, log: Log
) -> None:
    with process("runner", runner_settings):
        turn = await log.start_turn(
            "sim/case:case=image-same-pixels", "sim/case:case=image-two-of-index-0", "sim/gallery:images=3"
        )
        events = await log.wait_for(
            turn.conversation_id, lambda seen: len(of_type(seen, ResponseCompleted)) == 3, "three ends"
        )
    produced = of_type(events, MediaProduced)
    made = Counter(event.response_id for event in produced)
    assert [made[f"{turn.turn_id}-{number}"] for number in (1, 2, 3)] == [1, 2, 3]
    # A medium never comes behind the end of its response, where nobody would see it.
    for event in produced:
        end = next(one for one in of_type(events, ResponseCompleted) if one.response_id == event.response_id)
        assert event.sequence < end.sequence

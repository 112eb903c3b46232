"""What is counted of answers, and that the last rating of a turn is the one that counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.projections.model_stats import ANSWER_RATINGS, MODEL_STATS, ModelStats
from polylogue.projections.rows import RowChanges
from tests.support.events import Answer, Story, interleave, numbered, sample_story
from tests.unit.projections.folded import changes_of, folded, rows, sums

DAY = "2026-03-01"


def _compared(*models: str) -> tuple[Story, list[Answer]]:
    story = Story("c1", owner_id="ada")
    answers = story.ask("Which?", *models, start="Which?")
    for answer in answers:
        answer.begin().text("This.").complete()
    return story, answers


def _judged(changes: RowChanges) -> dict[str, tuple[object, ...]]:
    """By model: contested, won, thumbs up, thumbs down."""
    return {
        str(row["model_id"]): (row["contested"], row["won"], row["thumbs_up"], row["thumbs_down"])
        for row in rows(ANSWER_RATINGS, changes).values()
    }


def test_answers_are_summed_by_user_model_and_day() -> None:
    story, _ = _compared("sim/a")
    (failing, stopped) = story.ask("Again?", "sim/a", "sim/b")
    failing.begin().fail()
    stopped.begin().cancel()

    assert sums(MODEL_STATS, [changes_of(ModelStats(), story)]) == {
        ("ada", "sim/a", DAY): {
            "answers": 1,
            "failures": 1,
            "cost_usd_micros": 1234,
            "prompt_tokens": 7,
            "completion_tokens": 11,
            "first_token_ms_to_150": 1,
            "paced_tokens": 11,
            "paced_ms": 900 - 120,
        },
        ("ada", "sim/b", DAY): {"cancellations": 1},
    }


def test_the_best_answer_wins_against_the_others() -> None:
    story, (first, second, third) = _compared("sim/a", "sim/b", "sim/c")
    story.rate(first.turn_id, second, n1="down", n2="up")

    assert _judged(changes_of(ModelStats(), story)) == {
        "sim/a": (1, 0, 0, 1),
        "sim/b": (1, 1, 1, 0),
        "sim/c": (1, 0, 0, 0),
    }
    assert third.model == "sim/c"


def test_a_later_rating_replaces_the_former_one() -> None:
    story, (first, second) = _compared("sim/a", "sim/b")
    story.rate(first.turn_id, second, n2="up")
    story.rate(first.turn_id, first)

    assert _judged(changes_of(ModelStats(), story)) == {"sim/a": (1, 1, 0, 0), "sim/b": (1, 0, 0, 0)}

    story.rate(first.turn_id)
    assert _judged(changes_of(ModelStats(), story)) == {"sim/a": (0, 0, 0, 0), "sim/b": (0, 0, 0, 0)}


@pytest.mark.parametrize("best", ["alone", "failed", "unknown"])
def test_a_choice_without_a_choice_is_no_contest(best: str) -> None:
    story = Story("c1")
    whole, broken = story.ask("Which?", "sim/a", "sim/b", start="Which?")
    whole.begin().text("This.").complete()
    broken.begin().fail()
    chosen = {"alone": whole, "failed": broken, "unknown": Answer(story, whole.turn_id, "unknown", "sim/x")}
    story.rate(whole.turn_id, chosen[best], n1="up")

    # The one that failed was nothing to choose, and thumbs count without a contest.
    assert _judged(changes_of(ModelStats(), story)) == {"sim/a": (0, 0, 1, 0)}


def test_ratings_hold_no_note() -> None:
    assert "note" not in ANSWER_RATINGS.columns


@given(data=st.data())
def test_any_cut_into_batches_gives_the_same_sums(data: st.DataObject) -> None:
    log = numbered(interleave(sample_story("c1"), sample_story("c2", owner_id="other")))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(log) - 1), max_size=12)))
    batches = [log[start:end] for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True)]

    parted = folded(ModelStats(), batches)

    whole = sums(MODEL_STATS, folded(ModelStats(), [log]))
    assert whole
    assert sums(MODEL_STATS, parted) == whole
    assert sums(MODEL_STATS, reversed(parted)) == whole

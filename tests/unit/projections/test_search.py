"""What can be searched for: prompts at once, answers when they have ended, nothing of a deleted conversation."""

from __future__ import annotations

from polylogue.projections.search import SEARCH_MESSAGES, WORDS, Search
from tests.support.events import SAMPLE_CONTENTS, Story, numbered, sample_story
from tests.unit.projections.folded import changes_of
from tests.unit.projections.memory import build


def _contents(story: Story) -> list[str]:
    table = build(Search(), [numbered(story.events)])[SEARCH_MESSAGES.name]
    return [row["content"] for row in table.values()]


def test_every_prompt_and_answer_has_a_row_with_its_text() -> None:
    assert _contents(sample_story("c1")) == SAMPLE_CONTENTS


def test_words_are_taken_of_prompts_and_of_answers_that_have_ended() -> None:
    story = Story("c1")
    ended, running = story.ask("Hello", "sim/a", "sim/b", start="Hello")
    ended.begin().text("Good ", "day").complete()
    running.begin().text("Good ", "ev")

    refreshed = changes_of(Search(), story).refreshes[WORDS]

    assert refreshed == {f"{ended.turn_id}-user", ended.response_id}


def test_a_new_attempt_begins_the_answer_anew() -> None:
    story = Story("c1")
    (answer,) = story.ask("Hello", "sim/a", start="Hello")
    answer.begin().text("Half an ans")
    answer.taken_over().text("Whole.").complete()

    assert _contents(story) == ["Hello", "Whole."]


def test_nothing_of_a_deleted_conversation_is_left() -> None:
    story = sample_story("c1")
    story.delete()

    assert _contents(story) == []

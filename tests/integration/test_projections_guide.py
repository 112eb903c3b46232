"""The blocks of docs/projections.md are a projection, its test and a query that do what the page says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import psycopg
import pytest

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections.protocol import Projection
from polylogue.projections.testing import ProjectionSpec, Story
from polylogue.projections.testing.spec import Given
from tests.support.guides import blocks

pytestmark = pytest.mark.stack

PAGE = "projections.md"
MODULE = "polylogue.projections.answer_words"
MOST_LINES = 60


@pytest.fixture
def example() -> Iterator[dict[str, Any]]:
    """The names of the test's block; the projection's block is the module that it imports."""
    projection, test = blocks(PAGE, "python")
    module = sys.modules[MODULE] = ModuleType(MODULE)
    try:
        exec(compile(projection, MODULE, "exec"), module.__dict__)
        names: dict[str, Any] = {"__name__": "guide"}
        exec(compile(test, "guide", "exec"), names)
        yield names
    finally:
        del sys.modules[MODULE]


def test_the_worked_example_is_one_short_file() -> None:
    assert len(blocks(PAGE, "python")[0].splitlines()) < MOST_LINES


async def test_the_tests_of_the_page_pass(example: dict[str, Any], settings: Settings) -> None:
    tests = [one for name, one in example.items() if name.startswith("test_")]
    assert len(tests) == 3
    for one in tests:
        await one(settings)


async def test_the_query_says_the_words_of_each_model_and_day(
    example: dict[str, Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story()
    one, other = story.ask("Count", "sim/text", "sim/mixed", start="Counting")
    one.begin().text("one two th", "ree").complete()
    other.begin().text("four").complete()
    (query,) = blocks(PAGE, "sql")
    found: list[Any] = []
    drop = Given._drop

    def ask_and_drop(self: Given) -> None:
        with psycopg.connect(connection_string(self._settings)) as connection:
            found.extend(connection.execute(query.encode()).fetchall())
        drop(self)

    monkeypatch.setattr(Given, "_drop", ask_and_drop)
    projection: Projection = example["AnswerWords"]()
    await ProjectionSpec(settings, projection).given(*story.events).rows()
    assert [(model, str(day), words) for model, day, words in found] == [
        ("sim/mixed", "2026-03-01", 1),
        ("sim/text", "2026-03-01", 3),
    ]

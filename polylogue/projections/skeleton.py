"""The beginning of a projection and of its test, as files that work from the first moment."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection
from string import Template

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MOST_LETTERS = 40  # a schema's name holds DATABASE_SCHEMA and the version as well

_PROJECTION = Template('''\
"""The projection behind $title: one row a model and day, with the number of answers."""

from __future__ import annotations

from collections.abc import Sequence

from polylogue.projections.protocol import VisibleEvent
from polylogue.projections.rows import RowChanges, Table
from polylogue.schemas.base import Payload
from polylogue.schemas.events import ResponseCompleted

$constant = Table(
    "$name",
    key=("model_id", "day"),
    columns={
        "model_id": "text NOT NULL",
        "day": "date NOT NULL",
        "answers": "bigint NOT NULL DEFAULT 0",
    },
)


class $class_name:
    name = "$name"
    version = 1
    tables = ($constant,)
    handles: frozenset[type[Payload]] = frozenset({ResponseCompleted})

    def apply(self, batch: Sequence[VisibleEvent]) -> RowChanges:
        changes = RowChanges()
        for seen in batch:
            if isinstance(seen.event.data, ResponseCompleted):
                changes.add(
                    $constant,
                    model_id=seen.model or "",
                    day=seen.day,
                    answers=1,
                )
        return changes
''')

_TEST = Template('''\
"""Given these events, then these rows of $name: on real Postgres, however the log is cut or repeated."""

from __future__ import annotations

import pytest

from polylogue.infra.settings import Settings
from polylogue.projections.$name import $class_name
from polylogue.projections.testing import ProjectionSpec, Story

pytestmark = pytest.mark.stack


async def test_answers_are_counted_by_model_and_day(settings: Settings) -> None:
    story = Story()
    one, other = story.ask("How many legs has a spider?", "sim/text", "sim/mixed", start="Spiders")
    one.begin().text("Eight.").complete()
    other.begin().text("Ei").fail()
    await (
        ProjectionSpec(settings, $class_name())
        .given(*story.events)
        .then($name=[{"model_id": "sim/text", "day": "2026-03-01", "answers": 1}])
    )
''')


class NameRefusedError(Exception):
    """The message is a sentence that says what a name must be."""


def skeleton(name: str, taken: Collection[str]) -> dict[str, str]:
    """Text by path in the repository. Raises NameRefusedError."""
    if _NAME.fullmatch(name) is None or keyword.iskeyword(name) or len(name) > MOST_LETTERS:
        raise NameRefusedError(
            f"{name} cannot be a table's name here: use at most {MOST_LETTERS} small letters and digits, with"
            " underscores between words, such as words_daily."
        )
    if name in taken:
        raise NameRefusedError(f"There is a projection or module {name} already; choose another name.")
    words = {
        "name": name,
        "title": name.replace("_", " "),
        "constant": name.upper(),
        "class_name": class_name(name),
    }
    return {
        f"polylogue/projections/{name}.py": _PROJECTION.substitute(words),
        f"tests/integration/test_{name}.py": _TEST.substitute(words),
    }


def class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))

"""Nothing that a projection says depends on a clock, on chance or on a sequence: a replay must give the same rows."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from types import ModuleType

import pytest

from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.protocol import Projection
from tests.support.projections import WordsDaily

FORBIDDEN_MODULES = {
    "time",
    "random",
    "secrets",
    "uuid",
    "os",
    "socket",
    "asyncio",
    "polylogue.schemas.clock.now_ms",
}
FORBIDDEN_CALLS = {
    "now",
    "utcnow",
    "today",
    "now_ms",
    "rfc3339",
    "time",
    "monotonic",
    "urandom",
    "uuid4",
    "hash",
    "id",
    "open",
}
FORBIDDEN_SQL = re.compile(
    r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|random|gen_random_uuid|uuidv7|nextval)\s*\("
    r"|\b(current_timestamp|current_date|current_time|localtime|localtimestamp|smallserial|serial|bigserial)\b"
    r"|generated\s+(always|by\s+default)\s+as\s+identity|\b(real|float4|float8|double precision)\b",
    re.IGNORECASE,
)


def faults(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [one.name for one in node.names if one.name.split(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom):
            imported = [f"{node.module}.{one.name}" for one in node.names]
            found += [
                one for one in imported if one in FORBIDDEN_MODULES or one.split(".")[0] in FORBIDDEN_MODULES
            ]
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found += [f"{called}()"] if called in FORBIDDEN_CALLS else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += [match.group() for match in FORBIDDEN_SQL.finditer(node.value)]
    return found


def _modules(projection: Projection) -> list[ModuleType]:
    """The projection's own module and those of this package's pure helpers that it names."""
    own = inspect.getmodule(type(projection))
    assert own is not None
    return [own]


@pytest.mark.parametrize("projection", [*PROJECTIONS, WordsDaily()], ids=lambda projection: projection.name)
def test_a_projection_is_deterministic(projection: Projection) -> None:
    for module in _modules(projection):
        assert faults(inspect.getsource(sys.modules[module.__name__])) == []


@pytest.mark.parametrize(
    "source",
    [
        "import random",
        "import time as t",
        "from uuid import uuid4",
        "from datetime import datetime\ndatetime.now()",
        "from polylogue.schemas.clock import rfc3339\nrfc3339()",
        "COLUMNS = {'at': 'timestamptz DEFAULT now()'}",
        "COLUMNS = {'n': 'bigserial'}",
        "COLUMNS = {'cost': 'double precision'}",
        "SQL = 'UPDATE t SET r = random()'",
        "key = hash(event)",
    ],
)
def test_what_would_differ_in_a_replay_is_found(source: str) -> None:
    assert faults(source)


def test_what_is_meant_for_people_is_no_fault() -> None:
    assert faults("x = event.occurred_at[:10]\nchanges.add(TABLE, day=x, words=1)") == []

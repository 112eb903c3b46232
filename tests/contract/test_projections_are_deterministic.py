"""No projection depends on a clock, on chance, on a sequence or on rounding: a replay would give other rows."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from types import ModuleType

import pytest

from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.protocol import Projection
from polylogue.projections.rows import Refresh, Table
from tests.support.projections import WordsDaily

FORBIDDEN_MODULES = frozenset({"random", "secrets", "uuid", "time", "os", "socket", "threading", "asyncio"})
FORBIDDEN_NAMES = frozenset(
    {
        "now",
        "now_ms",
        "utcnow",
        "today",
        "time",
        "monotonic",
        "rfc3339",
        "urandom",
        "uuid4",
        "hash",
        "id",
        "open",
    }
)
FORBIDDEN_SQL = re.compile(
    r"\b(now|random|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|gen_random_uuid|uuidv\d"
    r"|uuid_generate_\w+|nextval|currval|setseed|pg_backend_pid|txid_current\w*)\s*\("
    r"|\b(current_(date|time|timestamp|user)|localtime|localtimestamp|session_user|(big|small)?serial|as identity)\b"
    r"|\b(real|float4|float8|double precision)\b",
    re.IGNORECASE,
)


def module_of(projection: Projection) -> ModuleType:
    module = inspect.getmodule(type(projection))
    assert module is not None
    return module


def faults_in_code(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name.split(".")[0] in FORBIDDEN_MODULES)
            case ast.ImportFrom(module=str(module), names=names):
                if module.split(".")[0] in FORBIDDEN_MODULES:
                    yield module
                yield from (one.name for one in names if one.name in FORBIDDEN_NAMES)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in FORBIDDEN_NAMES:
                yield f"{name}()"
            case ast.Global() | ast.Nonlocal():
                yield "global state"
            case ast.Constant(value=str(text)) if found := FORBIDDEN_SQL.search(text):
                yield found[0]


def sql_of(projection: Projection) -> Iterator[str]:
    for table in projection.tables:
        yield from (*table.columns.values(), *table.derived.values(), *table.indexes)
    for value in vars(module_of(projection)).values():
        if isinstance(value, Refresh):
            yield value.sql


@pytest.mark.parametrize(
    "projection", [*PROJECTIONS, WordsDaily()], ids=lambda one: f"{one.name} v{one.version}"
)
def test_a_projection_depends_on_its_events_alone(projection: Projection) -> None:
    assert list(faults_in_code(inspect.getsource(module_of(projection)))) == []
    assert [sql for sql in sql_of(projection) if FORBIDDEN_SQL.search(sql)] == []


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: f"{one.name} v{one.version}")
def test_a_projection_keeps_nothing_between_two_batches(projection: Projection) -> None:
    assert not getattr(projection, "__dict__", {})


@pytest.mark.parametrize(
    "source",
    [
        "import random",
        "import time as t",
        "from uuid import uuid4",
        "import datetime as dt\nat = dt.datetime.now()",
        "from polylogue.schemas.clock import now_ms",
        "from datetime import date\nday = date.today()",
        "columns = {'at': 'timestamptz NOT NULL DEFAULT now()'}",
        "columns = {'number': 'bigserial'}",
        "columns = {'cost': 'double precision'}",
        "columns = {'number': 'bigint GENERATED ALWAYS AS IDENTITY'}",
        "sql = 'UPDATE t SET day = CURRENT_DATE'",
        "sql = 'SELECT gen_random_uuid()'",
        "count = 0\ndef apply():\n    global count",
        "place = hash('text')",
    ],
)
def test_what_would_differ_in_a_replay_is_found(source: str) -> None:
    assert list(faults_in_code(source))


def test_what_only_sounds_alike_is_no_fault() -> None:
    assert list(faults_in_code("x = event.occurred_at[:10]\nchanges.add(TABLE, day=x, words=1)")) == []


def test_the_sql_of_every_table_is_looked_at() -> None:
    table = Table("t", key="a", columns={"a": "text", "at": "timestamptz DEFAULT now()"})

    class Timed:
        name, version, tables, handles = "timed", 1, (table,), frozenset()

    assert [sql for sql in sql_of(Timed()) if FORBIDDEN_SQL.search(sql)] == ["timestamptz DEFAULT now()"]  # type: ignore[arg-type]

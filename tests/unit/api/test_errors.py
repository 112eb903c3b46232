"""What goes wrong below a route becomes one sentence that says what to do."""

from __future__ import annotations

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from polylogue.api.errors import add_error_answers


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (psycopg.OperationalError("connection refused: secret"), 503, "database_unavailable"),
        (psycopg.errors.UndefinedTable("relation secret"), 503, "tables_missing"),
        (RuntimeError("secret"), 500, "internal"),
    ],
)
def test_a_failure_is_a_sentence_and_tells_nothing_of_itself(
    raised: Exception, status: int, code: str
) -> None:
    app = FastAPI()
    add_error_answers(app)

    @app.get("/")
    async def fail() -> None:
        raise raised

    answer = TestClient(app, raise_server_exceptions=False).get("/")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["detail"].endswith(".")
    assert "secret" not in answer.text

"""What the numbers say that `GET /usage` and `GET /stats/models` give, and whose they are."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from polylogue.infra.settings import Settings
from tests.support.api_server import api_server
from tests.support.events import Story, interleave, produce_events
from tests.support.principals import Asker
from tests.support.tables import caught_up, projector

DAYS = {"from": "2026-03-01", "to": "2026-03-01"}

pytestmark = [pytest.mark.stack]


def painted(owner: str, model: str, pictures: int, *, failures: int = 0) -> Story:
    """A conversation in which one model made pictures."""
    story = Story(owner_id=owner)
    (painter,) = story.ask("Draw", model, start="Draw")
    painter.begin()
    for _ in range(pictures):
        story.stored(painter.produce())
    for _ in range(failures):
        painter.refuse()
    painter.complete()
    return story


def judged() -> Story:
    """Two models answered twice; each was best once, and the second rating of the first turn counts."""
    story = Story(owner_id="ada")
    first = story.ask("Which?", "sim/a", "sim/b", start="Which?")
    second = story.ask("And now?", "sim/a", "sim/b")
    for answer in (*first, *second):
        answer.begin().text("This.").complete()
    story.rate(first[0].turn_id, first[0], n1="up")
    story.rate(first[0].turn_id, first[1], n2="up")
    story.rate(second[0].turn_id, second[1], n1="down")
    return story


@asynccontextmanager
async def reading(settings: Settings, *stories: Story) -> AsyncIterator[httpx.AsyncClient]:
    await produce_events(settings, interleave(*stories))
    async with projector(settings):
        await caught_up(settings)
    async with api_server(settings) as client:
        yield client


async def rows(client: httpx.AsyncClient, path: str, **asked: Any) -> list[dict[str, Any]]:
    answer = await client.get(f"/api/v1{path}", params=DAYS | asked)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["rows"])


async def test_usage_is_summed_by_what_is_asked_for(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Asker(monkeypatch).become("ada", "read")
    mine = [painted("ada", "sim/painter", 3, failures=1), painted("ada", "sim/other", 1)]
    async with reading(prepared, *mine, painted("bob", "sim/painter", 5)) as client:
        (day,) = await rows(client, "/usage")
        by_model = await rows(client, "/usage", by="model")
        by_both = await rows(client, "/usage", by=["type", "model"])
        other_days = await client.get("/api/usage", params={"from": "2026-03-02", "to": "2026-03-31"})

    assert day == {
        "day": "2026-03-01",
        "stored": 4,
        "failed": 1,
        "size_bytes": 1001 + 1002 + 1003 + 1001,
        "cost_usd_micros": 2 * 1234,
        "latency_p50_ms": day["latency_p50_ms"],
        "latency_p95_ms": day["latency_p95_ms"],
    }
    assert 0 < day["latency_p50_ms"] <= day["latency_p95_ms"] <= 100
    assert [(row["model"], row["stored"], row["failed"]) for row in by_model] == [
        ("sim/other", 1, 0),
        ("sim/painter", 3, 1),
    ]
    assert [(row["type"], row["model"]) for row in by_both] == [
        ("image", "sim/other"),
        ("image", "sim/painter"),
    ]
    nothing = other_days.json()
    assert (nothing["rows"], nothing["total"]["stored"], nothing["total"]["latency_p50_ms"]) == ([], 0, None)


async def test_only_an_administrator_sees_what_others_used(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker = Asker(monkeypatch)
    stories = [painted("ada", "sim/painter", 1), painted("bob", "sim/painter", 2)]
    async with reading(prepared, *stories) as client:
        everybody = await rows(client, "/usage", by="user")
        bobs = await rows(client, "/usage", user="bob")
        total = (await client.get("/api/usage", params=DAYS | {"all_users": "true"})).json()["total"]

        asker.become("ada", "read")
        own = await rows(client, "/usage", by="user")
        refused = [
            await client.get(path, params=DAYS | asked)
            for path in ("/api/usage", "/api/stats/models")
            for asked in ({"user": "bob"}, {"all_users": "true"})
        ]

    assert [(row["user"], row["stored"]) for row in everybody] == [("ada", 1), ("bob", 2)]
    assert [row["stored"] for row in bobs] == [2]
    assert total["stored"] == 3
    assert [(row["user"], row["stored"]) for row in own] == [("ada", 1)]
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(403, "admin_only")] * 4


async def test_the_csv_holds_the_same_rows_and_no_formula(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Asker(monkeypatch).become("ada", "read")
    async with reading(prepared, painted("ada", "=cmd()", 1), painted("ada", "sim/a", 2)) as client:
        expected = await rows(client, "/usage", by=["day", "model"])
        answer = await client.get("/api/usage", params=DAYS | {"by": ["day", "model"], "format": "csv"})

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "usage_2026-03-01_2026-03-01.csv" in answer.headers["content-disposition"]
    found = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["model"] for row in found] == ["'=cmd()", "sim/a"]
    assert [row["size_bytes"] for row in found] == [str(row["size_bytes"]) for row in expected]


async def test_models_are_compared_by_speed_cost_and_ratings(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Asker(monkeypatch).become("ada", "read")
    other = Story(owner_id="bob")
    (answer,) = other.ask("Hello", "sim/a", start="Hello")
    answer.begin().fail()
    async with reading(prepared, judged(), other) as client:
        found = await rows(client, "/stats/models")
        by_day = await rows(client, "/stats/models", by="day")

    assert [(row["model"], row["answers"], row["failures"]) for row in found] == [
        ("sim/a", 2, 0),
        ("sim/b", 2, 0),
    ]
    first, second = found
    assert (first["wins"], first["contests"], first["win_rate"]) == (0, 2, 0.0)
    assert (second["wins"], second["contests"], second["win_rate"]) == (2, 2, 1.0)
    # The thumb of the first rating is gone with it.
    assert [(row["thumbs_up"], row["thumbs_down"]) for row in found] == [(0, 1), (1, 0)]
    assert first["tokens_per_second"] == round(11 / 0.78, 1)
    assert 100 < first["first_token_p50_ms"] <= 150
    assert first["cost_usd_micros"] == 2 * 1234
    assert [(row["model"], row["day"]) for row in by_day] == [
        ("sim/a", "2026-03-01"),
        ("sim/b", "2026-03-01"),
    ]


async def test_what_cannot_be_asked_for_is_said(prepared: Settings) -> None:
    async with api_server(prepared) as client:

        async def status(**asked: str) -> int:
            return (await client.get("/api/usage", params=asked)).status_code

        period = {"from": "2026-03-02", "to": "2026-03-01"}
        assert await status(**period) == 400
        assert await status(**period | {"from": "2020-01-01"}) == 400
        assert await status(**period | {"from": "yesterday"}) == 422
        assert await status(by="moon") == 422
        assert await status(format="pdf") == 422
        assert await status(user="a\0b") == 422
        assert await status(to="0001-01-01") == 200
        assert await status(to="9999-12-31") == 200
        assert await status() == 200

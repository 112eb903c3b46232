"""What an administrator is shown of the projections and may order, and that nobody else is or may."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from polylogue.infra.settings import Settings
from tests.support.api_server import api_server
from tests.support.events import produce_events, produce_raw, sample_story
from tests.support.principals import Asker
from tests.support.tables import caught_up, ends, id_on, projector, query, until

ROUTE = "/api/v1/admin/projections"

pytestmark = [pytest.mark.stack]


async def _status(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    (found,) = (await client.get(ROUTE, params={"name": name, "sample_ms": 0})).json()["projections"]
    return dict(found)


async def test_an_administrator_sees_where_each_projection_stands(prepared: Settings) -> None:
    story = sample_story(id_on(1))
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)
    await produce_events(prepared, sample_story(id_on(1)).events)
    async with api_server(prepared) as client:
        answer = await client.get(ROUTE)
        unknown = await client.get(ROUTE, params={"name": "moon"})

    found = {shown["projection"]: shown for shown in answer.json()["projections"]}
    assert {"conversations", "media_usage_daily", "model_stats", "search", "gallery"} <= found.keys()
    search = found["search"]
    assert (search["version"], search["state"], search["paused"]) == (1, "promoted", False)
    assert [partition["partition"] for partition in search["partitions"]] == [0, 1, 2]
    assert search["lag"] == search["partitions"][1]["lag"] == len(story.events)
    assert search["lag_s"] > 0
    # Nobody applies anything, so there is no telling when it will be done.
    assert (search["events_per_s"], search["eta_s"]) == (0.0, None)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


async def test_a_stopped_partition_is_shown_and_goes_on_after_a_skip(prepared: Settings) -> None:
    await produce_raw(prepared, [(2, b"c", b"no json")])
    async with projector(prepared), api_server(prepared) as client:
        await until(lambda: query(prepared, "SELECT 1 FROM projection_stops WHERE projection = 'search'"))
        (stopped,) = (one for one in (await _status(client, "search"))["partitions"] if one["stopped_why"])
        nothing_said = await client.post(f"{ROUTE}/search/skip", json={"partition": 2, "offset": 1})
        skipped = await client.post(
            f"{ROUTE}/search/skip", json={"partition": 2, "offset": 1, "why": "written by a test"}
        )
        await until(lambda: ends(prepared).get(("search", 2)) == 2)
        after = await _status(client, "search")

    assert (stopped["partition"], stopped["stopped_at"], stopped["lag"]) == (2, 1, 1)
    assert stopped["stopped_why"] == "garbage: the value is not JSON"
    assert (nothing_said.status_code, nothing_said.json()["code"]) == (400, "bad_order")
    assert skipped.status_code == 200, skipped.text
    assert after["lag"] == 0
    assert [(one["offset"], one["why"]) for one in after["skips"]] == [(1, "written by a test")]


async def test_a_paused_projection_stands_still_until_it_is_resumed(prepared: Settings) -> None:
    story = sample_story(id_on(1))
    async with api_server(prepared) as client:
        tried = await client.post(f"{ROUTE}/search/pause", json={"dry_run": True})
        still_going = await _status(client, "search")
        paused = await client.post(f"{ROUTE}/search/pause")
        await produce_events(prepared, story.events)
        async with projector(prepared):
            await until(lambda: ends(prepared).get(("gallery", 1)) == len(story.events) + 1)
            shown = await _status(client, "search")
            resumed = await client.post(f"{ROUTE}/search/resume", json={"version": 1})
            await caught_up(prepared)

    assert (tried.json()["versions"], tried.json()["dry_run"]) == ([1], True)
    assert still_going["paused"] is False
    assert paused.json() == {"projection": "search", "action": "pause", "versions": [1], "dry_run": False}
    assert (shown["paused"], shown["partitions"][1]["lag"] > 0) == (True, True)
    assert resumed.status_code == 200


async def test_what_cannot_be_done_is_said(prepared: Settings) -> None:
    async with api_server(prepared) as client:

        async def refused(name: str, action: str, **body: Any) -> tuple[int, str]:
            answer = await client.post(f"{ROUTE}/{name}/{action}", json=body)
            assert answer.json()["detail"].endswith("."), answer.text
            return answer.status_code, answer.json()["code"]

        assert await refused("moon", "pause") == (404, "not_found")
        assert await refused("search", "promote") == (409, "order_refused")
        assert await refused("search", "rollback") == (409, "order_refused")
        assert await refused("search", "prune", version=1) == (409, "order_refused")
        assert await refused("search", "skip", partition=0, offset=99, why="x") == (409, "order_refused")
        assert await refused("search", "explode") == (422, "invalid_request")


async def test_nobody_else_sees_or_orders_anything(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Asker(monkeypatch).become("ada", "read", "write")
    async with api_server(prepared) as client:
        answers = [await client.get(ROUTE), await client.post(f"{ROUTE}/search/pause")]

    assert [(one.status_code, one.json()["code"]) for one in answers] == [(403, "admin_only")] * 2

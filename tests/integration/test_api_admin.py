"""What an administrator is shown of the projections, and that nobody else is."""

from __future__ import annotations

import pytest

from polylogue.api import principal
from polylogue.api.principal import Principal
from polylogue.infra.settings import Settings
from tests.support.api_server import api_server
from tests.support.events import produce_events, produce_raw, sample_story
from tests.support.tables import caught_up, id_on, projector, query, until

ROUTE = "/api/v1/admin/projections"

pytestmark = [pytest.mark.stack]


async def test_an_administrator_sees_where_each_projection_stands(prepared: Settings) -> None:
    story = sample_story(id_on(1))
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)
    await produce_events(prepared, sample_story(id_on(1)).events)
    async with api_server(prepared) as client:
        answer = await client.get(ROUTE)
        (one,) = (await client.get(ROUTE, params={"name": "search", "sample_ms": 50})).json()["projections"]
        unknown = await client.get(ROUTE, params={"name": "moon"})

    found = {shown["projection"]: shown for shown in answer.json()["projections"]}
    assert {"conversations", "media_usage_daily", "model_stats", "search", "gallery"} <= found.keys()
    search = found["search"]
    assert (search["version"], search["state"], search["paused"]) == (1, "promoted", False)
    assert [partition["partition"] for partition in search["partitions"]] == [0, 1, 2]
    assert search["lag"] == search["partitions"][1]["lag"] == len(story.events)
    assert search["lag_s"] > 0
    assert (search["events_per_s"], search["eta_s"]) == (None, None)
    # Nobody applies anything, so there is no telling when it will be done.
    assert (one["projection"], one["events_per_s"], one["eta_s"]) == ("search", 0.0, None)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


async def test_a_stopped_partition_is_shown_with_its_reason(prepared: Settings) -> None:
    await produce_raw(prepared, [(2, b"c", b"no json")])
    async with projector(prepared):
        await until(lambda: query(prepared, "SELECT 1 FROM projection_stops WHERE projection = 'search'"))
    async with api_server(prepared) as client:
        (search,) = (await client.get(ROUTE, params={"name": "search"})).json()["projections"]

    stopped = [one for one in search["partitions"] if one["stopped_at"] is not None]
    assert [(one["partition"], one["stopped_at"], one["lag"]) for one in stopped] == [(2, 1, 1)]
    assert stopped[0]["reason"] == "garbage: the value is not JSON"


async def test_nobody_else_sees_them(prepared: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(principal, "LOCAL", Principal("ada", frozenset({"read", "write"})))
    async with api_server(prepared) as client:
        answer = await client.get(ROUTE)

    assert (answer.status_code, answer.json()["code"]) == (403, "admin_only")

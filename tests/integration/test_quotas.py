"""Quotas on real servers: counted from events, exact after a replay, refused before a turn and while media arrive."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI, Request

from polylogue.api import server
from polylogue.api.principal import ALL_SCOPES, Principal, principal
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.media.quota_use import read_use
from polylogue.media.quotas import Used
from polylogue.schemas.events import MediaProduced, MediaRefused, ResponseCompleted, TextAppended
from tests.support.api_server import POST, api_server
from tests.support.clock import early_in_a_day
from tests.support.events import EPOCH, Story, interleave, produce_events, sample_story
from tests.support.log import of_type, open_log
from tests.support.processes import Simulator, process
from tests.support.script import Wire
from tests.support.sse_client import frames
from tests.support.tables import assert_equal_to_replay, caught_up, projector
from tests.support.whole_system import led_to

pytestmark = pytest.mark.stack


def limited(
    settings: Settings,
    gateway: Simulator,
    tmp_path: Path,
    owners: dict[str, dict[str, float]] | None = None,
    **free: Any,
) -> Settings:
    """With quotas: what is given for everybody but those who have their own."""
    path = tmp_path / "quotas.json"
    named = owners or {}
    tiers = {"free": free} | {f"of-{owner}": limits for owner, limits in named.items()}
    path.write_text(
        json.dumps({"default": "free", "tiers": tiers, "owners": {owner: f"of-{owner}" for owner in named}})
    )
    return led_to(gateway, settings.model_copy(update={"quotas_file": path}))


@pytest.fixture
def _anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks says in a header who they are."""
    create_app = server.create_app

    def with_owners(*arguments: Any) -> FastAPI:
        app = create_app(*arguments)

        async def named(request: Request) -> Principal:
            return Principal(request.headers.get("x-owner", "local"), ALL_SCOPES)

        app.dependency_overrides[principal] = named
        return app

    monkeypatch.setattr(server, "create_app", with_owners)


def today(story: Story) -> Story:
    """The same story, told now."""
    shift = dt.datetime.now(dt.UTC) - EPOCH
    for place, event in enumerate(story.events):
        at = dt.datetime.fromisoformat(event.occurred_at) + shift
        stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        story.events[place] = type(event)(
            **{
                name: stamp if name == "occurred_at" else getattr(event, name)
                for name in event.__struct_fields__
            }
        )
    return story


def painted(owner: str, pictures: int) -> Story:
    story = Story(owner_id=owner)
    (painter,) = story.ask("Draw", "sim/painter", start="Draw")
    painter.begin()
    for _ in range(pictures):
        story.stored(painter.produce())
    painter.complete()
    return story


async def used(settings: Settings, owner: str, now: dt.datetime) -> Used:
    async with await psycopg.AsyncConnection.connect(connection_string(settings)) as connection:
        return (await read_use(connection, owner, now)).used


async def test_counts_come_from_events_and_a_replay_gives_the_same(prepared: Settings) -> None:
    mine, gone = painted("ada", 3), painted("ada", 2)
    sizes = sum(mine.claims[name].segments.size_bytes for name in mine.claims)  # type: ignore[union-attr]
    gone.delete()
    await produce_events(prepared, interleave(mine, gone, painted("bob", 1), sample_story()))
    async with projector(prepared):
        await caught_up(prepared)
    async with projector(prepared):  # a restart counts nothing again
        await caught_up(prepared)
    # Deleted: its room is free, its day is not.
    assert await used(prepared, "ada", EPOCH) == Used(5, sizes, 2 * 1234)
    tomorrow, next_month = EPOCH + dt.timedelta(days=1), EPOCH + dt.timedelta(days=31)
    assert await used(prepared, "ada", tomorrow) == Used(0, sizes, 2 * 1234)
    assert await used(prepared, "ada", next_month) == Used(0, sizes, 0)
    assert await used(prepared, "nobody", EPOCH) == Used()
    await assert_equal_to_replay(prepared)


@pytest.mark.usefixtures("_anybody")
async def test_a_turn_over_a_quota_is_refused_with_what_and_until_when(
    prepared: Settings, gateway: Simulator, tmp_path: Path
) -> None:
    quotas: dict[str, dict[str, float]] = {
        "ada": {"media_per_day": 2},
        "bea": {"stored_bytes": 2000},
        "cyd": {"cost_usd_per_month": 0.001},
        "dan": {"media_per_day": 3},
        "staff": {},
    }
    await early_in_a_day()
    await produce_events(prepared, interleave(*(today(painted(owner, 2)) for owner in quotas)))
    async with projector(prepared):
        await caught_up(prepared)

    async with api_server(limited(prepared, gateway, tmp_path, quotas, media_per_day=2)) as client:

        async def asked(owner: str, model: str = "sim/painter") -> tuple[int, dict[str, Any], str | None]:
            asking, headers = {"input_data": "Draw", "models": [model]}, {"x-owner": owner}
            async with frames(client, "POST", POST, json=asking, headers=headers) as stream:
                response = stream.response
                if response.status_code == 200:
                    return 200, {}, None
                told = json.loads(await response.aread())
                return response.status_code, told, response.headers.get("retry-after")

        status, told, wait = await asked("ada")
        assert (status, told["code"], told["what"]) == (429, "quota_exceeded", "media_per_day")
        assert (told["limit"], told["used"]) == (2, 2)
        resets = dt.datetime.fromisoformat(told["resets"])
        assert resets.time() == dt.time()
        assert resets.tzinfo == dt.UTC
        left_s = (resets - dt.datetime.now(dt.UTC)).total_seconds()
        assert abs(int(wait or 0) - left_s) < 60

        status, told, _ = await asked("bea")
        assert (status, told["what"], told["limit"], told["resets"]) == (402, "stored_bytes", 2000, None)

        status, told, _ = await asked("cyd")
        assert (status, told["what"]) == (402, "cost_per_month")
        assert (told["limit"], told["used"]) == (1000, 1234)
        assert dt.datetime.fromisoformat(told["resets"]).day == 1

        for owner, model in (
            ("dan", "sim/painter"),  # room for one more
            ("ada", "sim/text"),  # words are no files
            ("staff", "sim/painter"),  # another tier
            ("eve", "sim/painter"),  # another owner
        ):
            assert (await asked(owner, model))[0] == 200, (owner, model)


@pytest.mark.usefixtures("_anybody")
async def test_what_is_left_of_the_month_is_the_most_that_a_turn_may_cost(
    prepared: Settings, gateway: Simulator, tmp_path: Path
) -> None:
    await early_in_a_day()
    await produce_events(prepared, today(painted("ada", 1)).events)
    async with projector(prepared):
        await caught_up(prepared)
    settings = limited(prepared, gateway, tmp_path, cost_usd_per_month=0.01)
    async with api_server(settings) as client, Wire(settings) as wire:
        for cap, most in ((None, 10_000 - 1234), (5, 10_000 - 1234), (0.001, 1000)):
            asking = {"input_data": "Hi", "models": ["sim/text"], "max_cost_usd": cap}
            async with frames(client, "POST", POST, json=asking, headers={"x-owner": "ada"}) as stream:
                assert stream.response.status_code == 200
                command, _ = await wire.command()
            assert command.data.max_cost_usd_micros == most


async def test_media_beyond_the_quota_are_refused_and_the_text_goes_on(
    prepared: Settings, gateway: Simulator, tmp_path: Path
) -> None:
    settings = limited(prepared, gateway, tmp_path, media_per_day=5)
    models = ["sim/gallery:images=3"] * 4
    async with open_log(settings) as log, projector(settings):
        with process("runner", settings):
            turn = await log.start_turn(*models)
            events = await log.wait_for(
                turn.conversation_id, lambda seen: len(of_type(seen, ResponseCompleted)) == 4, "four ends"
            )
            refused = of_type(events, MediaRefused)
            assert len(of_type(events, MediaProduced)) == 5
            assert {event.data.reason for event in refused} == {"quota_exceeded"}
            assert len(refused) == 12 - 5
            assert "5 files a day" in refused[0].data.message
            last = max(events.index(event) for event in refused)
            assert any(isinstance(event.data, TextAppended | ResponseCompleted) for event in events[last:])
        with process("runner", settings):  # what counts now is in the tables alone
            again = await log.start_turn("sim/gallery:images=2", "sim/text")
            events = await log.wait_for(
                again.conversation_id, lambda seen: len(of_type(seen, ResponseCompleted)) == 2, "two ends"
            )
    assert not of_type(events, MediaProduced)
    assert len(of_type(events, MediaRefused)) == 2
    assert of_type(events, TextAppended)

"""Every route that there is, as OpenAPI lists them, asked with one owner's key for what is another's: 404 everywhere.

A route that is new to this test fails it until its ids and body are named here, or it is named as public.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from polylogue.api.app import create_app
from polylogue.api.auth.rules import rule_for
from polylogue.infra.settings import Settings
from tests.support.accounts import bearer, key_of, keyed
from tests.support.api_server import api_server
from tests.support.events import Story, produce_events
from tests.support.tables import caught_up, projector

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

MARKER = "xylophone"  # stands in everything that is the other owner's
MODEL = "sim/painter"

# Asked by everybody, signed in or not.
PUBLIC = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/session"),
    ("POST", "/session"),
    ("DELETE", "/session"),
}
PUBLIC_PREFIX = "/shared/"  # the id of a share link is the secret
SCRAPED = {("GET", "/metrics")}
# Say the same to everybody who may read.
COMMON = {("GET", "/models"), ("GET", "/v1/models"), ("GET", "/v1/models/{model}"), ("POST", "/tickets")}
# Their ids are names that each owner gives to chats of their own: another owner's is simply not there.
OWN_NAMES = re.compile(r"/ai-sdk/")
QUERIES = {"/search": {"q": MARKER}}


@dataclass(frozen=True)
class Operation:
    method: str
    path: str  # as documented, with names in braces
    streams: bool

    @property
    def name(self) -> str:
        return self.path.removeprefix("/api/v1")

    @property
    def ids(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    @property
    def public(self) -> bool:
        return (self.method, self.name) in PUBLIC or self.name.startswith(PUBLIC_PREFIX)

    def at(self, ids: dict[str, str]) -> str:
        missing = set(self.ids) - ids.keys()
        assert not missing, f"say in this test what {missing} of {self.name} is"
        return re.sub(r"{(\w+)}", lambda found: ids[found[1]], self.path)


def operations() -> Iterator[Operation]:
    document = create_app(Settings(_env_file=None)).openapi()  # type: ignore[call-arg]  # pydantic-settings' own
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            yield Operation(method.upper(), path, "text/event-stream" in str(told["responses"]))


def body_of(operation: Operation, ids: dict[str, str]) -> dict[str, Any] | None:
    """A body that the route would take; each names what is the other owner's wherever it can."""
    asked = {"input_data": "Hello", "models": [MODEL]}
    bodies: dict[str, dict[str, Any] | None] = {
        "/compare-stream": asked | {"conversation_id": ids["conversation_id"]},
        "/estimate": asked | {"conversation_id": ids["conversation_id"]},
        "/conversations/{conversation_id}": {"title": "Mine"},
        "/conversations/{conversation_id}/cancel": {},
        "/conversations/{conversation_id}/share": {},
        "/conversations/{conversation_id}/breakout": {"model": MODEL},
        "/conversations/{conversation_id}/turns/{turn_id}/rating": {"note": "Mine"},
        "/conversations/{conversation_id}/turns/{turn_id}/models": {"models": [MODEL]},
        "/conversations/{conversation_id}/turns/{turn_id}/retry": {"response_id": f"{ids['turn_id']}-1"},
        "/conversations/{conversation_id}/turns/{turn_id}/branch": {"input_data": "Hello"},
        "/admin/projections/{name}/{action}": {"dry_run": True},
        "/session": {"key": "plg_x"},
        "/tickets": None,
        "/v1/chat/completions": {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]},
        "/ai-sdk/chat": {
            "id": "chat",
            "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}],
        },
        "/ai-sdk/chat/{chat_id}/stop": {},
    }
    if operation.method in {"GET", "HEAD", "DELETE"}:
        return None
    assert operation.name in bodies, f"say in this test what {operation.name} takes"
    return bodies[operation.name]


def owned(owner: str, marker: str) -> Story:
    """A conversation with a text, a stored picture and a title."""
    story = Story(owner_id=owner)
    words, painter = story.ask(f"About the {marker}", "sim/text", MODEL, start=f"The {marker}")
    words.begin().text(f"A {marker} is wood. ").complete()
    picture = painter.begin().text(f"See the {marker}. ").produce(media_id=f"m{story.conversation_id[:12]}")
    painter.complete()
    story.stored(picture)
    story.share(secrets.token_urlsafe(32))
    return story


def ids_of(story: Story) -> dict[str, str]:
    turn_id = next(event.turn_id for event in story.events if event.turn_id)
    return {
        "conversation_id": story.conversation_id,
        "turn_id": turn_id,
        "media_id": next(iter(story.claims)),
        "chat_id": "chat",
        "model": MODEL,
        "name": "search",
        "action": "pause",
    }


@dataclass(frozen=True)
class Tenants:
    settings: Settings
    api: httpx.AsyncClient
    mine: dict[str, str]
    theirs: dict[str, str]
    ada: dict[str, str]  # headers that say who asks
    bob: dict[str, str]
    reader: dict[str, str]

    async def ask(
        self, operation: Operation, headers: dict[str, str], ids: dict[str, str], body_ids: dict[str, str]
    ) -> httpx.Response:
        return await self.api.request(
            operation.method,
            operation.at(ids),
            headers=headers,
            params=QUERIES.get(operation.name),
            json=body_of(operation, body_ids),
            timeout=30,
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(prepared_once: Settings) -> AsyncIterator[Tenants]:
    settings = keyed(prepared_once)
    mine, theirs = owned("ada", "drum"), owned("bob", MARKER)
    await produce_events(settings, [*mine.events, *theirs.events])
    async with projector(settings), api_server(settings) as api:
        await caught_up(settings)
        yield Tenants(
            settings,
            api,
            ids_of(mine),
            ids_of(theirs),
            bearer(await key_of(settings, "ada")),
            bearer(await key_of(settings, "bob")),
            bearer(await key_of(settings, "ada", "read")),
        )


async def test_nothing_but_what_is_named_here_opens_without_a_key_and_no_reader_writes(
    stage: Tenants,
) -> None:
    for operation in operations():
        if operation.public:
            continue
        for key in ({}, bearer("plg_aaaaaaaaaaaa_" + "A" * 43)):
            answer = await stage.ask(operation, key, stage.mine, stage.mine)
            assert answer.status_code == 401, operation
        if (operation.method, operation.name) in SCRAPED or operation.name.startswith("/admin"):
            answer = await stage.ask(operation, stage.ada, stage.mine, stage.mine)
            assert answer.status_code == 403, operation
        elif rule_for(operation.method, operation.path).need == "write":
            answer = await stage.ask(operation, stage.reader, stage.mine, stage.mine)
            assert answer.status_code == 403, operation


async def test_every_route_that_writes_needs_to_be_named_to_be_open_to_readers() -> None:
    reading = {
        operation.name
        for operation in operations()
        if operation.method not in {"GET", "HEAD"}
        and not operation.public
        and rule_for(operation.method, operation.path).need == "read"
    }
    assert reading == {"/estimate", "/tickets"}


async def test_every_stream_is_counted_and_watched_as_one() -> None:
    streams = [operation for operation in operations() if operation.streams]
    assert streams
    for operation in streams:
        assert rule_for(operation.method, operation.at(dict.fromkeys(operation.ids, "x"))).stream, operation


async def test_what_is_anothers_is_404_on_every_route(stage: Tenants) -> None:
    asked = 0
    for operation in operations():
        if operation.public or operation.name.startswith("/admin") or OWN_NAMES.search(operation.name):
            continue
        if (operation.method, operation.name) in COMMON | SCRAPED:
            continue
        body = body_of(operation, stage.theirs)
        if not operation.ids and (body is None or stage.theirs["conversation_id"] not in body.values()):
            continue
        asked += 1
        answer = await stage.ask(operation, stage.ada, stage.theirs, stage.theirs)
        assert answer.status_code == 404, (operation, answer.status_code, answer.text)
        assert MARKER not in answer.text, operation
        if "turn_id" in operation.ids:  # another's turn in one's own conversation
            mixed = stage.theirs | {"conversation_id": stage.mine["conversation_id"]}
            answer = await stage.ask(operation, stage.ada, mixed, mixed)
            assert answer.status_code == 404, (operation, answer.status_code, answer.text)
        if operation.method in {"GET", "HEAD"} and not operation.streams:
            # Else everything would be 404 to everybody.
            answer = await stage.ask(operation, stage.bob, stage.theirs, stage.theirs)
            assert answer.status_code in {200, 302}, (operation, answer.status_code)
    assert asked > 15


async def test_no_list_shows_what_is_anothers(stage: Tenants) -> None:
    shown: set[str] = set()
    for operation in operations():
        if operation.method != "GET" or operation.ids or operation.public or operation.streams:
            continue
        if operation.name.startswith("/admin") or (operation.method, operation.name) in SCRAPED:
            continue
        answer = await stage.ask(operation, stage.ada, stage.theirs, stage.theirs)
        assert answer.status_code == 200, (operation, answer.text)
        told = answer.text.replace(f'"{MARKER}"', "")  # the question itself
        assert MARKER not in told, operation
        assert stage.theirs["conversation_id"] not in told, operation
        assert stage.theirs["media_id"] not in told, operation
        theirs = await stage.ask(operation, stage.bob, stage.theirs, stage.theirs)
        if stage.theirs["conversation_id"] in theirs.text:
            shown.add(operation.name)
    assert {"/conversations", "/media", "/search"} <= shown
    for other in ("?user=bob", "?all_users=true"):
        for numbers in ("usage", "stats/models"):
            refused = await stage.api.get(f"/api/v1/{numbers}{other}", headers=stage.ada)
            assert refused.status_code == 403


async def test_a_stream_of_everything_holds_nothing_of_anothers(stage: Tenants) -> None:
    streams = [one for one in operations() if one.method == "GET" and one.streams and not one.ids]
    for operation in streams:
        seen = b""
        async with stage.api.stream("GET", operation.path, headers=stage.ada, timeout=30) as response:
            assert response.status_code == 200
            later = owned("bob", MARKER)
            await produce_events(stage.settings, later.events)
            mine = owned("ada", "drum")
            await produce_events(stage.settings, mine.events)
            async with asyncio.timeout(60):
                async for piece in response.aiter_raw():
                    seen += piece
                    if mine.conversation_id.encode() in seen:  # it was written after the other's
                        break
        assert MARKER.encode() not in seen
        assert later.conversation_id.encode() not in seen


async def test_a_cursor_of_anothers_conversation_shows_nothing_of_it(stage: Tenants) -> None:
    path = "/api/v1/conversations/{}/events"
    async with stage.api.stream(
        "GET", path.format(stage.theirs["conversation_id"]), headers=stage.bob, timeout=30
    ) as response:
        theirs = b""
        async with asyncio.timeout(60):
            async for piece in response.aiter_raw():
                theirs += piece
                if (found := re.search(rb"^id: (.+)$", theirs, re.MULTILINE)) is not None:
                    break
    assert found is not None
    cursor = found[1].decode()
    turn = {"turn": stage.mine["turn_id"], "after": cursor}
    async with stage.api.stream(
        "GET", path.format(stage.mine["conversation_id"]), headers=stage.ada, params=turn, timeout=30
    ) as response:
        told = await response.aread()
    assert response.status_code in {200, 204, 409}
    assert MARKER.encode() not in told
    assert stage.theirs["conversation_id"].encode() not in told

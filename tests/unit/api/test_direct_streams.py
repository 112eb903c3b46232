"""A GET of an event stream gives its route the same past FastAPI's layers as through them, and gets the same answer."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from aiokafka.errors import KafkaError
from fastapi import FastAPI, Response
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from polylogue.api import compare_stream, conversations, direct_streams, my_streams
from polylogue.api.direct_streams import DirectStreams, asked
from polylogue.api.errors import ApiError, add_error_answers, not_found
from polylogue.api.hub import LogTruncatedError, NotReadyError
from polylogue.api.principal import LOCAL, SCOPE_KEY

ROUTES: dict[str, direct_streams.Route] = {
    "/api/v1/conversations/{conversation_id}/events": conversations.events,
    "/api/v1/compare-stream/{conversation_id}": compare_stream.resume,
    "/api/v1/streams/me": my_streams.mine,
}
PATHS = st.sampled_from(
    [
        "/api/v1/conversations/c1/events",
        "/api/v1/conversations/c 1é\n/events",
        "/api/v1/compare-stream/c1",
        "/api/v1/streams/me",
    ]
)
ELSEWHERE = st.sampled_from(
    [
        "/api/v1/conversations/c1",
        "/api/v1/conversations//events",
        "/api/v1/conversations/c1/events/",
        "/api/v1/streams/you",
        "/v1/streams/me",
    ]
)
NAMES = st.sampled_from(
    ["turn", "after", "errors", "snapshot", "content", "last_event_id", "last-event-id", "ticket", "Turn"]
)
VALUES = st.sampled_from(["", "frame", "true", "false", "1", "on", "True", "x y", "é", "a&b", "maybe"])
QUERIES = st.lists(st.tuples(NAMES, VALUES), max_size=4).map(urlencode)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"last-event-id", b"accept", b"content-length"]),
        st.sampled_from([b"cursor-1", b"", b"\xe9", b"0"]),
    ),
    max_size=3,
)


def recording(calls: list[dict[str, Any]]) -> FastAPI:
    """An app with the routes of streams, which say what they were given."""
    app = FastAPI()
    app.state.services = None
    for path, route in ROUTES.items():

        async def recorded(**given: Any) -> Response:
            calls.append(given)
            return Response()

        recorded.__signature__ = inspect.signature(route, eval_str=True)  # type: ignore[attr-defined]
        app.get(path)(recorded)
    return app


CALLS: list[dict[str, Any]] = []
RECORDING = recording(CALLS)


def scope_of(path: str, query: str, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        SCOPE_KEY: LOCAL,
    }


async def _nothing_more() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _unheard(_message: Any) -> None:
    pass


@given(PATHS, QUERIES, HEADERS)
def test_what_goes_the_short_way_is_what_fastapi_would_have_made_of_it(
    path: str, query: str, headers: list[tuple[bytes, bytes]]
) -> None:
    found = asked(scope_of(path, query, headers))
    if found is None:
        return
    route, arguments = found
    bound = inspect.signature(route).bind(None, LOCAL, **arguments)
    bound.apply_defaults()
    CALLS.clear()
    asyncio.run(RECORDING(scope_of(path, query, headers), _nothing_more, _unheard))
    assert [bound.arguments] == CALLS


@given(ELSEWHERE, QUERIES, HEADERS)
def test_other_paths_are_left_alone(path: str, query: str, headers: list[tuple[bytes, bytes]]) -> None:
    assert asked(scope_of(path, query, headers)) is None


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/api/v1/conversations/c1/events", "turn=t1&after=x"),
        ("/api/conversations/c1/events", "snapshot=true&errors=frame&ticket=plgt_x"),
        ("/api/v1/compare-stream/c1", "turn=t1&after=x"),
        ("/api/v1/streams/me", "content=true"),
    ],
)
def test_what_clients_usually_ask_for_goes_the_short_way(path: str, query: str) -> None:
    assert asked(scope_of(path, query, [(b"last-event-id", b"x")])) is not None


@pytest.mark.parametrize("query", ["errors=all", "snapshot=maybe"])
def test_what_is_wrong_with_a_request_is_for_fastapi_to_say(query: str) -> None:
    assert asked(scope_of("/api/v1/conversations/c1/events", query, [])) is None


def test_a_post_a_body_and_a_stranger_do_not_go_the_short_way() -> None:
    scope = scope_of("/api/v1/streams/me", "", [])
    assert asked(scope) is not None
    assert asked(scope | {"method": "POST"}) is None
    assert asked(scope | {"headers": [(b"transfer-encoding", b"chunked")]}) is None


class AsLocal:
    """As much of the guard as the routes ask for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[SCOPE_KEY] = LOCAL
        await self._app(scope, receive, send)


def app_of(*, direct: bool) -> tuple[FastAPI, list[str]]:
    """With what its answers to errors count."""
    app, counted = FastAPI(), list[str]()
    app.state.services = SimpleNamespace()
    add_error_answers(app, lambda _status, code: counted.append(code))
    app.include_router(conversations.router, prefix="/api/v1")
    if direct:
        app.add_middleware(DirectStreams)
    app.add_middleware(AsLocal)
    return app, counted


@pytest.mark.parametrize(
    "error",
    [
        not_found(),
        ApiError(410, "retention", "It is gone.", resume_from="x"),
        LogTruncatedError(0, 7),
        NotReadyError("Not yet."),
        KafkaError("secret"),
        RuntimeError("secret"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_is_answered_the_same_either_way(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any, **__: Any) -> Response:
        raise error

    monkeypatch.setattr(conversations, "stream", fails)
    told = []
    for direct in (True, False):
        app, counted = app_of(direct=direct)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.get("/api/v1/conversations/c1/events")
        told.append((answer.status_code, answer.json(), dict(answer.headers), counted))
    assert told[0] == told[1]
    assert told[0][0] >= 400


async def test_the_short_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the tests above would compare the long way with itself."""

    async def answers(*_: Any, **__: Any) -> Response:
        return Response(b"", media_type="text/event-stream")

    async def refuses(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(conversations, "stream", answers)
    app, _ = app_of(direct=False)
    direct = AsLocal(DirectStreams(refuses))

    async def with_app(scope: Scope, receive: Receive, send: Send) -> None:
        await direct({**scope, "app": app}, receive, send)

    transport = httpx.ASGITransport(with_app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/api/v1/conversations/c1/events", headers={"Last-Event-ID": "x"})
    assert answer.status_code == 200


def test_every_stream_of_the_short_way_takes_what_its_route_takes() -> None:
    for route, taken in direct_streams.TAKEN.items():
        parameters = set(inspect.signature(route).parameters)
        assert taken == parameters - {"services", "asking", "conversation_id"}

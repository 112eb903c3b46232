"""GETs of event streams straight to their routes' functions: a thousand readers who come back are each one call.

FastAPI looks a route up, solves its dependencies and wraps it; for a reader who comes back that is most of the work.
Here are the same functions with the same arguments. What is in any way unusual goes the long way, which says what is
wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from polylogue.api import compare_stream, conversations, my_streams
from polylogue.api.principal import SCOPE_KEY
from polylogue.api.services import Services

Route = Callable[..., Awaitable[Response]]
Arguments = dict[str, Any]

_LAST_EVENT_ID = "last_event_id"
_PATH = re.compile(r"/api(?:/v1)?/(?:conversations/([^/]+)/events|compare-stream/([^/]+)|streams/me)")
_TEXTS = frozenset({"turn", "after"})
_FLAGS = {"true": True, "false": False}
TAKEN: dict[Route, frozenset[str]] = {
    conversations.events: frozenset({"turn", "after", "errors", "snapshot", _LAST_EVENT_ID}),
    compare_stream.resume: frozenset({"turn", "after", "snapshot"}),
    my_streams.mine: frozenset({"after", "errors", "content", _LAST_EVENT_ID}),
}


class DirectStreams:
    """Behind the guard."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asking = scope.get(SCOPE_KEY)
        found = asked(scope) if asking is not None else None
        if found is None:
            await self._app(scope, receive, send)
            return
        route, arguments = found
        services: Services = scope["app"].state.services
        try:
            response = await route(services, asking, **arguments)
        except Exception as error:  # as Starlette does around a route; what has no answer of its own goes on
            answer = _answer_of(scope, error)
            if answer is None:
                raise
            response = await answer(Request(scope), error)
        await response(scope, receive, send)


def asked(scope: Scope) -> tuple[Route, Arguments] | None:
    """The function of the route and what FastAPI would give it; None where that is for FastAPI to say."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    path = _PATH.fullmatch(scope["path"])
    if path is None:
        return None
    headers = Headers(scope=scope)
    if "content-length" in headers or "transfer-encoding" in headers:
        return None
    conversation_id = path[1] or path[2]
    route: Route = conversations.events if path[1] else compare_stream.resume if path[2] else my_streams.mine
    taken = TAKEN[route]
    arguments: Arguments = {"conversation_id": conversation_id} if conversation_id else {}
    if _LAST_EVENT_ID in taken and (last := headers.get("last-event-id")) is not None:
        arguments[_LAST_EVENT_ID] = last
    if scope["query_string"]:
        for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
            if name not in taken or name == _LAST_EVENT_ID:
                continue
            if name in _TEXTS or (name == "errors" and value == "frame"):
                arguments[name] = value
            elif name != "errors" and value in _FLAGS:
                arguments[name] = _FLAGS[value]
            else:
                return None
    return route, arguments


def _answer_of(scope: Scope, error: Exception) -> Callable[[Request, Exception], Awaitable[Response]] | None:
    """What the app has for such errors; not for those that nobody expects."""
    answers: dict[Any, Any] = scope["app"].exception_handlers
    return next(
        (answers[kind] for kind in type(error).__mro__ if kind in answers and kind is not Exception), None
    )

"""Stands before every route: names and origins, who asks, what they may, how often; nothing is open that is not named.

It comes before bodies are read, so that a stranger costs a header and no more.
"""

from __future__ import annotations

from functools import partial

import psycopg
import psycopg_pool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from polylogue.api import principal
from polylogue.api.auth import origins
from polylogue.api.auth.access import LINK, Access
from polylogue.api.auth.limits import Spent, Verdict, judge
from polylogue.api.auth.open_streams import OPEN_STREAM
from polylogue.api.auth.rules import Rule, is_openai, rule_for
from polylogue.api.auth.turned_away import TurnedAway
from polylogue.api.ending import ending
from polylogue.api.errors import ApiError, answer
from polylogue.api.metrics import Metrics
from polylogue.api.openai.errors import in_openai_form
from polylogue.api.principal import SCOPE_KEY, Principal


class Guard:
    def __init__(self, app: ASGIApp, access: Access, metrics: Metrics) -> None:
        self._app, self._access, self._metrics = app, access, metrics
        self._turned_away = TurnedAway()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            asking, rule = await self._admitted(scope)
        except ApiError as error:
            await self._refused(error, scope, receive, send)
            return
        except (psycopg.OperationalError, psycopg_pool.PoolTimeout, psycopg_pool.PoolClosed):
            away = ApiError(
                503, "database_unavailable", "The database does not answer; nothing was accepted."
            )
            await self._refused(away, scope, receive, send)
            return
        scope[SCOPE_KEY] = asking
        with ending(scope) as end:
            if (opened_by := self._opened_by(rule, asking)) is not None:
                stream = scope[OPEN_STREAM] = self._access.streams.add(opened_by)
                end.add(partial(self._access.streams.remove, stream))
                receive = stream.receiving(receive)
            await self._limited(rule, asking, scope, receive, send)

    def _opened_by(self, rule: Rule, asking: Principal | None) -> str | None:
        """What may end while the answer is under way, and the answer with it."""
        if not (rule.stream or rule.file):
            return None
        if rule.link is not None:
            return f"{LINK}:{rule.link}"
        return asking.credential if asking is not None and self._access.signed_in else None

    async def _admitted(self, scope: Scope) -> tuple[Principal | None, Rule]:
        """Raises ApiError."""
        headers, method = Headers(scope=scope), scope["method"]
        rule = rule_for(method, scope["path"])
        host, origin = headers.get("host", ""), headers.get("origin")
        allowed = self._access.allowed_origins
        if not self._access.signed_in:
            refused = origins.refusal_without_sign_in(method, host, origin, allowed)
            asking, by_cookie = principal.LOCAL, False
            if refused is None:
                _check_scope(asking, rule)
                return asking, rule
            raise ApiError(403, *refused)
        if rule.need == "nothing":
            # A page that is not ours must not sign a browser in as somebody else, or out.
            if origin is not None and (refused := origins.refusal_with_cookie(method, host, origin, allowed)):
                raise ApiError(403, *refused)
            return None, rule
        if rule.limited:
            self._check_turned_away(scope)
        found, by_cookie = await self._access.who(headers)
        if found is None and rule.takes_ticket and "authorization" not in headers:
            found = await self._access.of_ticket(scope["query_string"])
            by_cookie = False
        if found is None:
            await self._count_stranger(scope)
            raise principal.not_signed_in()
        if by_cookie and (refused := origins.refusal_with_cookie(method, host, origin, allowed)):
            raise ApiError(403, *refused)
        _check_scope(found, rule)
        return found, rule

    async def _count_stranger(self, scope: Scope) -> None:
        """Whoever guesses is slowed down like everybody. Raises ApiError."""
        (limit,) = limits = self._access.policy.limits(None, _address(scope))
        (spent,) = await self._access.ledger.charge([limit.subject], 0)
        if limit.requests is not None and spent.requests > limit.requests:
            self._turned_away.add(limit.subject, spent.ends_in_s)
        _raise_refusal(judge(limits, [spent], stream=False))

    def _check_turned_away(self, scope: Scope) -> None:
        """A key that is made up costs a look into the database: not one more once the address may ask no more, whoever
        else is behind it. Raises ApiError."""
        (limit,) = limits = self._access.policy.limits(None, _address(scope))
        left_s = self._turned_away.left_s(limit.subject)
        if left_s is not None and limit.requests is not None:
            _raise_refusal(judge(limits, [Spent(limit.requests + 1, 0, 0, left_s)], stream=False))

    async def _limited(
        self, rule: Rule, asking: Principal | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        limits = self._access.policy.limits(asking, _address(scope)) if rule.limited else []
        if not limits:
            await self._app(scope, receive, send)
            return
        subjects = [limit.subject for limit in limits]
        ledger = self._access.ledger
        size = _declared(Headers(scope=scope))
        holds = rule.stream and asking is not None
        with ending(scope) as end:
            if holds:
                ledger.open(subjects)
                end.add(partial(ledger.close, subjects))
            verdict = judge(limits, await ledger.charge(subjects, size or 0), stream=holds)
            try:
                _raise_refusal(verdict)
            except ApiError as error:
                await self._refused(error, scope, receive, send, verdict)
                return
            told = _telling(send, verdict)
            if size is None:
                receive = _counting(receive, self._access, subjects)
            await self._app(scope, receive, told)

    async def _refused(
        self, error: ApiError, scope: Scope, receive: Receive, send: Send, verdict: Verdict | None = None
    ) -> None:
        self._metrics.refused(error.status, error.code)
        await _refusal(scope["path"], error, verdict)(scope, receive, send)


def _check_scope(asking: Principal, rule: Rule) -> None:
    """Raises ApiError."""
    if rule.need == "nothing" or rule.need in asking.scopes:
        return
    if rule.need == "admin":
        raise ApiError(403, "admin_only", "This needs the admin scope.")
    if rule.need == "metrics" and "admin" in asking.scopes:
        return
    raise ApiError(403, "scope_missing", f"This needs the scope {rule.need}, which the key does not have.")


def _raise_refusal(verdict: Verdict) -> None:
    if verdict.refusal is not None:
        raise ApiError(429, "too_many_requests", verdict.refusal, headers=verdict.headers)


def _refusal(path: str, error: ApiError, verdict: Verdict | None = None) -> JSONResponse:
    headers = dict(error.more.pop("headers", {})) | dict(verdict.headers if verdict else {})
    response = answer(error.status, error.code, error.detail, **error.more)
    if is_openai(path):
        response = in_openai_form(response)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    response.headers.update(headers)
    return response


def _telling(send: Send, verdict: Verdict) -> Send:
    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(verdict.headers)
        await send(message)

    return told


def _counting(receive: Receive, access: Access, subjects: list[str]) -> Receive:
    """A body that does not say how long it is counts as it comes; the next request is told."""

    async def counted() -> Message:
        message = await receive()
        if message["type"] == "http.request" and message.get("body"):
            await access.ledger.charge(subjects, len(message["body"]), requests=0)
        return message

    return counted


def _declared(headers: Headers) -> int | None:
    """The length of the body in bytes; None where only its end will say."""
    if "transfer-encoding" in headers:
        return None
    declared = headers.get("content-length", "0")
    return int(declared) if declared.isdigit() and len(declared) < 19 else 0


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""

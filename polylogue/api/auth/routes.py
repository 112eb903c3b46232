"""`/session` and `/tickets`: signs browsers in and out, says who one is, and gives tickets for streams."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from polylogue.api import principal
from polylogue.api.auth import sign_ins, tokens
from polylogue.api.auth.access import COOKIE, SECURE_COOKIE, Access, session_secret
from polylogue.api.auth.origins import host_named
from polylogue.api.auth.sign_ins import TICKET_LIFE
from polylogue.api.errors import ApiError
from polylogue.api.principal import Asking, Principal, is_loopback

router = APIRouter(tags=["session"])


async def access_of(request: Request) -> Access:
    access: Access = request.app.state.access
    return access


Guarded = Annotated[Access, Depends(access_of)]


class SignIn(BaseModel):
    """An API key, or the secret of a one-time link: what stands behind its `#`."""

    key: Annotated[str | None, Field(max_length=200)] = None
    link: Annotated[str | None, Field(max_length=200)] = None


@router.get("/session")
async def session(access: Guarded, request: Request) -> dict[str, Any]:
    """Who asks; `owner` is null where nobody has signed in yet."""
    if not access.signed_in:
        return _told(access, principal.LOCAL)
    found, _ = await access.who(request.headers)
    return _told(access, found)


@router.post("/session")
async def sign_in(access: Guarded, request: Request, response: Response, given: SignIn) -> dict[str, Any]:
    """Exchanges a key or a link for the cookie of a session. A link works once; a session ends with its key."""
    if not access.signed_in:
        return _told(access, principal.LOCAL)
    secure = not is_loopback(host_named(request.headers.get("host", "")))
    if secure and request.headers.get("origin", "").startswith("http://"):
        detail = "A browser keeps this session over HTTPS only; open this server by its https address."
        raise ApiError(400, "https_needed", detail)
    signed_in = await _exchange(access, given)
    if signed_in is None:
        detail = "This link or key opens nothing: it is unknown, over, or was used before."
        raise ApiError(401, "sign_in_refused", detail)
    response.set_cookie(
        SECURE_COOKIE if secure else COOKIE,
        signed_in.secret,
        max_age=int(access.session_life.total_seconds()),
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )
    response.headers["Cache-Control"] = "no-store"
    return _told(access, signed_in.principal) | {"expires_at": _rfc3339(signed_in.expires_at)}


@router.delete("/session", status_code=204, response_class=Response)
async def sign_out(access: Guarded, request: Request) -> Response:
    """Ends the session; its streams are closed within seconds."""
    response = Response(status_code=204)
    secret = session_secret(request.headers)
    if access.signed_in and secret is not None:
        access.doubt(secret)
        async with access.pool.connection() as connection:
            await sign_ins.sign_out(connection, secret)
        access.doubt(secret)
    for name, secure in ((SECURE_COOKIE, True), (COOKIE, False)):
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="strict")
    return response


@router.post("/tickets", status_code=201)
async def ticket(access: Guarded, asking: Asking, response: Response) -> dict[str, Any]:
    """For an EventSource of another origin: opens one stream as `?ticket=`, once, within 30 seconds."""
    response.headers["Cache-Control"] = "no-store"
    life = int(TICKET_LIFE.total_seconds())
    if not access.signed_in:  # every stream opens without one
        return {"ticket": tokens.new_secret(tokens.TICKET_PREFIX), "expires_in_s": life}
    async with access.pool.connection() as connection:
        made = await sign_ins.make_ticket(connection, asking)
    return {"ticket": made, "expires_in_s": life}


async def _exchange(access: Access, given: SignIn) -> sign_ins.SignedIn | None:
    if given.link is not None and tokens.is_secret(tokens.LINK_PREFIX, given.link):
        async with access.pool.connection() as connection, connection.transaction():
            return await sign_ins.use_link(connection, given.link, access.session_life)
    key = tokens.parse_key(given.key) if given.key is not None else None
    if key is None:
        return None
    async with access.pool.connection() as connection:
        asking = await sign_ins.of_key(connection, key)
        if asking is None:
            return None
        return await sign_ins.sign_in(
            connection, asking.owner, asking.scopes, access.session_life, key_id=key.key_id
        )


def _told(access: Access, asking: Principal | None) -> dict[str, Any]:
    return {
        "auth": "keys" if access.signed_in else "local",
        "owner": asking.owner if asking else None,
        "scopes": sorted(asking.scopes) if asking else [],
    }


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

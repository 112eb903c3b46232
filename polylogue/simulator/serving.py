"""What every endpoint of the simulator shares: who may ask, errors, and how a prompted request is read."""

from __future__ import annotations

import hmac

import orjson
from aiohttp import web

from polylogue.simulator import chunks, media, requests
from polylogue.simulator.chunks import Json
from polylogue.simulator.generations import Generations

KEY = web.AppKey("key", str)
GENERATIONS = web.AppKey("generations", Generations)
CACHE = web.AppKey("cache", media.Cache)


def json_response(body: Json, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), status=status, content_type="application/json", headers=headers
    )


def refusal(request: web.Request) -> web.Response | None:
    """For whoever has not the key."""
    key = request.app[KEY]
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else ""
    if not key or hmac.compare_digest(given.encode(), key.encode()):
        return None
    request.app[GENERATIONS].refuse()
    message = "User not found." if "Authorization" in request.headers else "No auth credentials found"
    return json_response(chunks.error_body(401, message), 401)


async def read_request(request: web.Request, *, prompted: bool) -> requests.ChatRequest | web.Response:
    """What is asked, or the answer to what cannot be."""
    refused = refusal(request)
    if refused is not None:
        return refused
    read = requests.read_prompted if prompted else requests.read
    try:
        asked = read(orjson.loads(await request.read()), request.headers.get("X-Sim", ""))
        if request.path.endswith(f"/{asked.model.endpoint}"):
            return asked
        message = f"{asked.model.id} is asked at {asked.model.endpoint}."
    except orjson.JSONDecodeError:
        message = "The body is not JSON."
    except requests.RequestError as error:
        message = str(error)
    request.app[GENERATIONS].refuse()
    return json_response(chunks.error_body(400, message), 400)

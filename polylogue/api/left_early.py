"""The answer where nothing was written before the end: to a reader whose key has ended, or to one who has gone."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Scope

from polylogue.api.auth.open_streams import OPEN_STREAM, OpenStream
from polylogue.api.auth.rules import is_openai
from polylogue.api.errors import answer
from polylogue.api.openai.errors import in_openai_form
from polylogue.api.principal import not_signed_in

CLOSED_BY_CLIENT = 499  # nobody gets it; it is what nginx writes into its log


def left_early(scope: Scope) -> Response:
    """Both look alike to a route: the reader is to be left."""
    opened: OpenStream | None = scope.get(OPEN_STREAM)
    if opened is None or not opened.ended:
        return Response(status_code=CLOSED_BY_CLIENT)
    refusal = not_signed_in()
    told = answer(refusal.status, refusal.code, refusal.detail)
    told.headers["WWW-Authenticate"] = "Bearer"
    return in_openai_form(told) if is_openai(scope["path"]) else told

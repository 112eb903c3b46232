"""What the OpenAPI document says beside the routes themselves: every error that an operation may answer, in our form."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from polylogue.api.auth.rules import is_openai, rule_for

_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["detail", "code"],
    "properties": {
        "detail": {"type": "string", "description": "a sentence for people"},
        "code": {"type": "string", "description": "a slug for programs"},
        "errors": {
            "type": "array",
            "description": "on 422: what is wrong with which field",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_OPENAI_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_WORDS = {
    400: "The request cannot be carried out",
    401: "Nobody is signed in, or the key works no more",
    402: "A quota of money or room is used up",
    403: "The key lacks the scope, or another host or page asks",
    404: "There is no such thing, or it is not the asker's",
    409: "It cannot be done now",
    410: "It was there and is gone",
    413: "The request is too large",
    422: "A field is not valid",
    429: "Too many requests, or a quota is used up; `Retry-After` says when to come back",
    503: "A server that is needed does not answer; `Retry-After` says when to come back",
}
_OTHER_TYPES = {"/metrics": ("text/plain",), "/api/v1/usage": ("text/csv",)}
_UNCHANGED = {"description": "The client has it already (`If-None-Match`)"}
_NOTHING_LEFT = {"description": "The turn is finished and nothing is left of it"}
_ASKS_MODELS = ("/compare-stream", "/models", "/retry", "/branch", "/chat", "/completions")


def describe(app: FastAPI) -> None:
    """The app's OpenAPI document from now on, made when it is first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes)
            app.openapi_schema = completed(made)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way


def completed(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {"Error": _ERROR, "OpenAIError": _OPENAI_ERROR}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(path, method.upper(), operation)
    return document


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    told = operation["responses"]
    form = {"$ref": f"#/components/schemas/{'OpenAIError' if is_openai(path) else 'Error'}"}
    for status in _errors(path, method, operation):
        known = told.get(str(status), {}).get("description") if status != 422 else None
        told[str(status)] = {
            "description": known or _WORDS[status],
            "content": {"application/json": {"schema": form}},
        }
    for kind in _OTHER_TYPES.get(path, ()):
        told["200"].setdefault("content", {})[kind] = {"schema": {"type": "string"}}
    if path == "/metrics":
        del told["200"]["content"]["application/json"]
    if path == "/readyz":
        told["503"] = told["200"] | {"description": "Something is missing; says what"}
    stream = rule_for(method, path).stream
    if method == "GET" and stream:
        told.setdefault("204", _NOTHING_LEFT)
    elif method == "GET" and "application/json" in told.get("200", {}).get("content", {}):
        told.setdefault("304", _UNCHANGED)


def _errors(path: str, method: str, operation: dict[str, Any]) -> list[int]:
    rule = rule_for(method, path)
    if not rule.limited:
        return [401, 403] if rule.need == "metrics" else []
    statuses = {400, 401, 403, 429, 503}
    if "422" in operation["responses"]:
        statuses.add(422)
    if "{" in path or rule.need == "admin":  # which are asked for by name
        statuses.add(404)
    if method not in {"GET", "HEAD"}:
        statuses |= {409, 413}
    if rule.stream:
        statuses |= {404, 409, 410}
    if method == "POST" and path.endswith(_ASKS_MODELS):
        statuses.add(402)
    statuses |= {int(one) for one in operation["responses"] if int(one) in _WORDS}
    return sorted(statuses)

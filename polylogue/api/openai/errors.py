"""Errors as OpenAI's clients read them: `error` with message, type, param and code. Pure."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi.responses import JSONResponse

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
# What their clients look for, where ours say it otherwise.
_CODES = {
    "unknown_model": (404, "model_not_found", "model"),
    "no_models": (400, "missing_required_parameter", "model"),
    "empty_prompt": (400, "invalid_value", "messages"),
    "not_signed_in": (401, "invalid_api_key", None),
    "too_many_requests": (429, "rate_limit_exceeded", None),
}


def error_body(status: int, message: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    if code == "insufficient_quota":
        kind = "insufficient_quota"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def in_openai_form(response: JSONResponse) -> JSONResponse:
    """The same refusal in their words; they know no 402, and ask again where a status looks passing."""
    told = orjson.loads(response.body)
    status, code, param = response.status_code, told.get("code"), told.get("param")
    status, code, param = _CODES.get(code, (status, code, param))
    if told.get("errors"):
        param = told["errors"][0].get("field") or param
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in {"content-length", "content-type"}
    }
    if status == 402:
        status, code = 429, "insufficient_quota"
        headers["x-should-retry"] = "false"
    return JSONResponse(error_body(status, told["detail"], code, param), status_code=status, headers=headers)


def failure(message: str, again: bool) -> JSONResponse:
    """The answer where the model could not answer; their clients ask again by themselves only where that may help."""
    status = 503 if again else 502
    headers = {"x-should-retry": "true" if again else "false"}
    return JSONResponse(error_body(status, message, "model_failed"), status_code=status, headers=headers)

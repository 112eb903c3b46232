"""Errors as the API answers them: `detail` a sentence, `code` a slug, on 422 also `errors`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import psycopg
import psycopg_pool
from aiokafka.errors import KafkaError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from polylogue.api.auth.rules import is_openai
from polylogue.api.command_log import KafkaAwayError
from polylogue.api.hub import LogTruncatedError, NotReadyError
from polylogue.api.openai.errors import in_openai_form
from polylogue.infra.logs import get_logger
from polylogue.media.store import StorageUnavailableError

RETRY_AFTER_S = 2
Answers = Callable[[Request, Exception], Awaitable[JSONResponse]]

log = get_logger("polylogue.api")


class ApiError(Exception):
    """Ends a request with this answer."""

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.retry_after_s: int | None = more.pop("retry_after_s", None)
        self.status, self.code, self.detail, self.more = status, code, detail, more


def not_found(what: str = "conversation") -> ApiError:
    return ApiError(404, "not_found", f"There is no such {what}.")


def turn_running() -> ApiError:
    return ApiError(409, "turn_running", "A turn of this conversation is still running.")


def answer(status: int, code: str, detail: str, **more: Any) -> JSONResponse:
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return JSONResponse({"detail": detail, "code": code} | more, status_code=status, headers=headers)


def add_error_answers(
    app: FastAPI, refused: Callable[[int, str], None] = lambda _status, _code: None
) -> None:
    """`refused` is told the status and code of every `ApiError`."""

    def add(error: type[Exception], answers: Answers) -> None:
        app.add_exception_handler(error, _in_the_callers_form(answers))

    async def api_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ApiError)
        refused(error.status, error.code)
        return await _api_error(request, error)

    add(ApiError, api_error)
    add(RequestValidationError, _invalid)
    add(HTTPException, _http_error)
    add(LogTruncatedError, _truncated)
    for away in (KafkaError, KafkaAwayError, NotReadyError):
        add(away, _kafka_away)
    for away in (psycopg.OperationalError, psycopg_pool.PoolTimeout, psycopg_pool.PoolClosed):
        add(away, _database_away)
    add(psycopg.errors.UndefinedTable, _tables_missing)
    add(StorageUnavailableError, _storage_away)
    add(Exception, _unexpected)


def _in_the_callers_form(answers: Answers) -> Answers:
    async def answered(request: Request, error: Exception) -> JSONResponse:
        response = await answers(request, error)
        return in_openai_form(response) if is_openai(request.url.path) else response

    return answered


async def _api_error(_: Request, error: ApiError) -> JSONResponse:
    response = answer(error.status, error.code, error.detail, **error.more)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # Without the input: it may be megabytes, and it is the caller's.
    errors = [
        {"field": ".".join(str(part) for part in one["loc"] if part != "body"), "message": one["msg"]}
        for one in error.errors()
    ]
    first = errors[0]
    where = f"{first['field']}: " if first["field"] else ""
    return answer(
        422, "invalid_request", f"The request is not valid: {where}{first['message']}.", errors=errors
    )


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    response = answer(
        status, status.phrase.lower().replace(" ", "_"), f"{status.description or status.phrase}."
    )
    response.headers.update(error.headers or {})
    return response


async def _truncated(_: Request, error: Exception) -> JSONResponse:
    return answer(410, "retention", str(error))


async def _kafka_away(_: Request, error: Exception) -> JSONResponse:
    detail = (
        str(error) if isinstance(error, NotReadyError) else "Kafka does not answer; nothing was accepted."
    )
    return answer(503, "kafka_unavailable", detail)


async def _database_away(_: Request, error: Exception) -> JSONResponse:
    log.warning("the database does not answer", error=type(error).__name__)
    return answer(503, "database_unavailable", "The database does not answer; nothing was accepted.")


async def _tables_missing(_: Request, error: Exception) -> JSONResponse:
    log.warning("a table is missing", error=type(error).__name__)
    return answer(
        503, "tables_missing", "The database lacks a table of this version; run: polylogue tables upgrade."
    )


async def _storage_away(_: Request, error: Exception) -> JSONResponse:
    log.warning("S3 does not answer", error=type(error).__name__)
    return answer(503, "storage_unavailable", "The media storage does not answer; nothing was accepted.")


async def _unexpected(_: Request, error: Exception) -> JSONResponse:
    # Starlette raises it again after the answer, and uvicorn logs it with its traceback.
    log.error("a request failed", error=type(error).__name__)
    return answer(500, "internal", "Something went wrong here; the log of the server says what.")

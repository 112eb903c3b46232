"""The OpenAPI document is true: the live API is asked whatever it allows and more, and answers as the document says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure as CheckFailed
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from polylogue.api import changes
from polylogue.api.app import create_app
from polylogue.api.auth.rules import rule_for
from polylogue.api.principal import ALL_SCOPES
from polylogue.infra.settings import Settings
from tests.support.accounts import bearer, key_of, keyed
from tests.support.api_server import api_server
from tests.support.processes import Simulator
from tests.support.whole_system import PAINTER, TEXT, System, running

Operation = APIOperation[Any, Any, Any, Any]


pytestmark = [pytest.mark.stack]

EXAMPLES = 4  # of each operation in each mode
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
MOST_TOLD = 700  # characters of a failure: which request, and what of the answer was not expected


@dataclass(frozen=True)
class Known:
    """Things that are there, so that not every answer is a 404."""

    ids: dict[str, str]

    def in_place(self, case: Case) -> None:
        for name in case.path_parameters or {}:
            if name in self.ids:
                case.path_parameters[name] = self.ids[name]


async def test_every_route_that_is_no_stream_answers_as_the_document_says(
    prepared: Settings, gateway: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "SEEN_WITHIN_S", 0.3)  # 202 is an answer, too
    # Made before anything runs beside: Hypothesis owns the process's random numbers while it draws.
    drawn = _drawn(create_app(prepared).openapi())
    assert len(drawn) > 30
    async with running(prepared, gateway) as system:
        await _hold(system, drawn, {})
        # With a sign-in, and limits that are never reached: the same for whoever may do everything.
        strict = keyed(system.settings, limit_requests_per_minute=0, limit_address_requests_per_minute=0)
        headers = bearer(await key_of(strict, "root", *sorted(ALL_SCOPES)))
        async with api_server(strict) as one:
            one.timeout = system.one.timeout
            one.headers.update(headers)
            await _hold(System(strict, one, one), drawn, headers)


async def _hold(system: System, drawn: list[tuple[Operation, list[Case]]], headers: dict[str, str]) -> None:
    kept, spare = await _known(system), await _known(system)
    failures: list[str] = []
    for operation, cases in drawn:
        known = spare if operation.method == "delete" else kept
        url = str(system.one.base_url)
        failures += await asyncio.to_thread(_failures, operation, cases, known, url, headers)
    assert not failures, "\n\n".join(["", *failures])


async def _known(system: System) -> Known:
    begun = await system.asked(models=[TEXT, PAINTER])
    told = begun[-1]
    await system.read(told["conversation_id"])
    shared = await system.one.post(f"/api/conversations/{told['conversation_id']}/share")
    return Known(
        {
            "conversation_id": told["conversation_id"],
            "turn_id": told["turn_id"],
            "media_id": next(one["media_id"] for one in begun if one["type"] == "media"),
            "share_id": shared.json()["share_id"],
            "name": "search",
            "model": TEXT,
        }
    )


def _drawn(document: dict[str, Any]) -> list[tuple[Operation, list[Case]]]:
    """Each operation that is no stream, with what it is asked. What deletes comes last."""
    schema = schemathesis.openapi.from_dict(document)
    found = [result.ok() for result in schema.get_all_operations()]
    asked = [one for one in found if not rule_for(one.method.upper(), one.path).stream]
    asked.sort(key=lambda one: one.method == "delete")
    return [(operation, list(_cases(operation))) for operation in asked]


def _cases(operation: Operation) -> Iterator[Case]:
    """What the document allows, and what it does not where that can be said."""
    modes = [GenerationMode.POSITIVE]
    if operation.query or operation.path_parameters or operation.body:
        modes.append(GenerationMode.NEGATIVE)
    for mode in modes:
        with suppress(Unsatisfiable):  # there may be nothing that such an operation does not allow
            yield from _made(operation, mode)


def _made(operation: Operation, mode: GenerationMode) -> list[Case]:
    made: list[Case] = []

    @hypothesis_settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def collect(case: Case) -> None:
        made.append(case)

    collect()
    return made


def _failures(
    operation: Operation, cases: list[Case], known: Known, url: str, headers: dict[str, str]
) -> list[str]:
    """The first failure of an operation, in a few lines."""
    for number, case in enumerate(cases):
        if number % 2:
            known.in_place(case)
        try:
            case.call_and_validate(
                base_url=url, headers=headers, checks=CHECKS, allow_redirects=False, timeout=30
            )
        except (FailureGroup, CheckFailed, requests.RequestException) as error:
            told = [str(one) for one in getattr(error, "exceptions", [error])]
            return [f"{operation.method.upper()} {operation.path}\n" + "\n".join(told)[:MOST_TOLD]]
    return []


async def test_the_document_names_the_errors_of_every_operation(prepared: Settings) -> None:
    document = create_app(prepared).openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            told = set(operation["responses"])
            rule = rule_for(method.upper(), path)
            if rule.limited:
                assert {"400", "401", "403", "429", "503"} <= told, (method, path)
            assert ("404" in told) or "{" not in path, (method, path)
            for status, answer in operation["responses"].items():
                # A part beyond a file's end has no body.
                if status >= "400" and status != "416" and path != "/readyz":
                    (form,) = answer["content"].values()
                    assert form["schema"]["$ref"].endswith("Error"), (method, path, status)
    assert "HTTPValidationError" not in document["components"]["schemas"]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(prepared)), base_url="http://127.0.0.1"
    ) as api:
        assert (await api.get("/api/v1/openapi.json")).json() == document

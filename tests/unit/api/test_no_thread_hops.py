"""No route and no dependency is a plain function: FastAPI calls those in a thread, which costs more than they do."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

import polylogue.api


def routes() -> Iterator[APIRoute]:
    for module in walk_packages(polylogue.api.__path__, "polylogue.api."):
        router: Any = getattr(import_module(module.name), "router", None)
        if isinstance(router, APIRouter):
            yield from (route for route in router.routes if isinstance(route, APIRoute))


def calls(dependant: Dependant) -> Iterator[Any]:
    yield dependant.call
    for one in dependant.dependencies:
        yield from calls(one)


def test_everything_that_answers_a_request_runs_on_the_loop() -> None:
    found = [call for route in routes() for call in calls(route.dependant)]
    assert len(found) > 50
    assert [call.__qualname__ for call in found if not inspect.iscoroutinefunction(call)] == []

"""Two API servers over real topics and tables, with a runner that the test plays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from polylogue.infra.settings import Settings
from tests.support.api_server import api_server
from tests.support.script import Wire


@dataclass(frozen=True)
class Played:
    settings: Settings
    one: httpx.AsyncClient
    other: httpx.AsyncClient
    wire: Wire


@asynccontextmanager
async def playing(settings: Settings) -> AsyncIterator[Played]:
    async with api_server(settings) as one, api_server(settings) as other, Wire(settings) as wire:
        yield Played(settings, one, other, wire)

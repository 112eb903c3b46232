"""What tests share: settings that lead the runner to the simulated gateway, its log, and a whole system a module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from polylogue.infra.settings import Settings
from tests.support.accounts import keyed
from tests.support.log import Log, open_log
from tests.support.played import Played, playing
from tests.support.processes import Simulator
from tests.support.whole_system import System, led_to, running


@pytest.fixture
def runner_settings(prepared: Settings, gateway: Simulator) -> Settings:
    return led_to(gateway, prepared)


@pytest.fixture
async def log(runner_settings: Settings) -> AsyncIterator[Log]:
    async with open_log(runner_settings) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(prepared_once: Settings, gateway: Simulator) -> AsyncIterator[System]:
    """For tests whose mark is `asyncio(loop_scope="module")`: to start it takes longer than most of them."""
    async with running(prepared_once, gateway) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played_once(prepared_once: Settings) -> AsyncIterator[Played]:
    async with playing(prepared_once) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def played(played_once: Played) -> Played:
    """For tests whose mark is `asyncio(loop_scope="module")`: the same for all of a module, with no command unread."""
    await played_once.wire.skip()
    return played_once


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served_once(prepared_once: Settings) -> AsyncIterator[Played]:
    async with playing(keyed(prepared_once, cors_origins="https://friend.example")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def served(served_once: Played) -> Played:
    """As `played`, with a sign-in, and one other site that browsers may come from."""
    await served_once.wire.skip()
    return served_once

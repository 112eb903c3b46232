"""What the walks of dying runners share: settings with topics and the simulated gateway, and their log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from polylogue.infra.settings import Settings
from polylogue.infra.topic_admin import apply_topics
from tests.faults.walk import settings_of
from tests.support.log import PARTITIONS, Log, open_log
from tests.support.processes import Simulator


@pytest.fixture
async def runner_settings(stack_environment: dict[str, str], gateway: Simulator, tmp_path: Path) -> Settings:
    """Without tables and bucket, which no runner needs."""
    made = settings_of(stack_environment, gateway.base_url, tmp_path)
    await apply_topics(made, partitions=PARTITIONS)
    return made


@pytest.fixture
async def log(runner_settings: Settings) -> AsyncIterator[Log]:
    async with open_log(runner_settings) as opened:
        yield opened

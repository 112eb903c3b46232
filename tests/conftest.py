"""The one stack that every test shares, and the settings that keep the tests apart on it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis
import pytest
import pytest_asyncio

from polylogue.infra.settings import Settings, load_settings
from tests.support.processes import Simulator, simulator
from tests.support.stack import test_stack

# The same examples in every run, however busy the machine is. `--hypothesis-profile=search` looks for new ones.
_BUSY: dict[str, Any] = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("same", derandomize=True, **_BUSY)
hypothesis.settings.register_profile("search", max_examples=1000, print_blob=True, **_BUSY)
hypothesis.settings.load_profile("same")


@pytest.fixture(scope="session")
def stack_environment() -> Iterator[dict[str, str]]:
    """Where Kafka, Postgres and S3 are: servers named in the environment, else containers, else the local stack."""
    # Not below pytest's folder: each session of pytest closes that one to other users, and Postgres is one under root.
    with (
        TemporaryDirectory(prefix="polylogue-test-", ignore_cleanup_errors=True) as directory,
        test_stack(Path(directory)) as environment,
    ):
        yield environment


def _own_settings(stack_environment: dict[str, str], home: Path) -> Settings:
    """With a topic prefix, a schema and a bucket of their own. Nothing is created yet."""
    name = secrets.token_hex(4)
    values = {key.lower(): value for key, value in stack_environment.items()}
    return load_settings(
        **values,
        _env_file=None,
        kafka_topic_prefix=f"t{name}-",
        database_schema=f"t{name}",
        s3_media_bucket=f"t{name}-media",
        polylogue_home=home,
        kafka_session_timeout_ms=6000,
        runner_drain_s=2,
        log_level="warning",
    )


async def _prepare(settings: Settings) -> Settings:
    from polylogue.infra.topic_admin import apply_topics
    from polylogue.media.store import ensure_bucket
    from polylogue.projections.migrate import upgrade

    await apply_topics(settings, partitions=3)
    upgrade(settings)
    ensure_bucket(settings)
    return settings


@pytest.fixture
def settings(stack_environment: dict[str, str], tmp_path: Path) -> Settings:
    """Settings with a topic prefix, a schema and a bucket of the test's own. Nothing is created yet."""
    return _own_settings(stack_environment, tmp_path / "home")


@pytest.fixture
async def prepared(settings: Settings) -> Settings:
    """The same settings with topics (3 partitions for commands and events), tables and bucket made."""
    return await _prepare(settings)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prepared_once(
    stack_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """As `prepared`, for all tests of a module, which tell their own rows from those of the others."""
    return await _prepare(_own_settings(stack_environment, tmp_path_factory.mktemp("module") / "home"))


@pytest.fixture(scope="module")
def gateway() -> Iterator[Simulator]:
    """The simulated gateway, one a module."""
    with simulator() as running:
        yield running


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("NO_COLOR", "1")

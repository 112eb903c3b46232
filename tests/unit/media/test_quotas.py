"""Limits, the moment at which each is reached, and a settings file that says what is wrong with it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.api import server
from polylogue.infra.settings import Settings, SettingsError
from polylogue.media.quota_file import quotas_of, read_quotas
from polylogue.media.quotas import Quotas, Tier, Used, cost_reached, day_of, media_reached, month_of
from polylogue.streams import runner

NOW = dt.datetime(2026, 12, 31, 23, 59, 30, tzinfo=dt.UTC)
FILE = """
default = "free"

[tiers.free]
media_per_day = 20
stored_bytes = 500_000_000
cost_usd_per_month = 1.5
requests_per_minute = 10

[tiers.staff]

[owners]
ada = "staff"
"""


def written(tmp_path: Path, text: str, name: str = "quotas.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_an_owner_has_the_tier_that_is_named_or_the_default(tmp_path: Path) -> None:
    quotas = read_quotas(written(tmp_path, FILE))
    assert quotas.tier_of("ada") == Tier()
    assert quotas.tier_of("bob").media_per_day == 20
    assert quotas.tier_of("bob").cost_micros_per_month == 1_500_000
    assert quotas.tier_of("bob").requests_per_minute == 10


def test_the_file_may_be_json(tmp_path: Path) -> None:
    content = {"default": "one", "tiers": {"one": {"media_per_day": 3}}}
    assert read_quotas(written(tmp_path, json.dumps(content), "q.json")) == Quotas(
        "one", {"one": Tier(media_per_day=3)}
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('default = "free"\n[tiers.free\n', "line 2"),
        ("", "default"),
        ('default = "free"\n', "tiers"),
        ('default = "free"\n[tiers.other]\n', "default names the tier free"),
        ('default = "a"\n[tiers.a]\n[owners]\nada = "b"\n', "owners.ada names the tier b"),
        ('default = "a"\n[tiers.a]\nmedia_per_week = 1\n', "media_per_week"),
        ('default = "a"\n[tiers.a]\nmedia_per_day = "many"\n', "media_per_day"),
        ('default = "a"\n[tiers.a]\nmedia_per_day = -1\n', "media_per_day is below zero"),
        ('default = "a"\n[tiers.a]\nstored_bytes = 1.5\n', "stored_bytes"),
        ('default = "a"\ntier = 1\n[tiers.a]\n', "tier"),
    ],
)
def test_a_bad_file_is_one_sentence_that_names_the_line_or_the_key(
    tmp_path: Path, text: str, named: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        read_quotas(written(tmp_path, text))
    assert str(refused.value).startswith("QUOTAS_FILE cannot be used")
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


def test_bad_json_and_a_missing_file_are_sentences_too(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="line 1"):
        read_quotas(written(tmp_path, "{", "q.json"))
    with pytest.raises(SettingsError, match="No such file"):
        read_quotas(tmp_path / "none.toml")
    binary = tmp_path / "q.toml"
    binary.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="byte 0"):
        read_quotas(binary)


def test_without_a_file_nobody_has_a_quota_and_with_one_the_tables_are_needed(tmp_path: Path) -> None:
    assert quotas_of(Settings(_env_file=None, quotas_file=None)) is None
    named = Settings(_env_file=None, quotas_file=written(tmp_path, FILE), database_url=None)
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        quotas_of(named)


@pytest.mark.parametrize("process", [runner, server])
async def test_a_bad_file_stops_the_process_with_its_sentence(tmp_path: Path, process: ModuleType) -> None:
    settings = Settings(
        _env_file=None,
        quotas_file=written(tmp_path, "default = 1"),
        database_url="postgresql://127.0.0.1:9/none",
        kafka_bootstrap_servers="127.0.0.1:9",
        openrouter_api_key="any",
    )
    with pytest.raises(SettingsError, match="QUOTAS_FILE cannot be used"):
        await process.serve(settings, asyncio.Event())


def test_files_of_today_end_at_midnight() -> None:
    tier = Tier(media_per_day=2)
    assert media_reached(tier, Used(media_today=1), NOW) is None
    reached = media_reached(tier, Used(media_today=2), NOW)
    assert reached is not None
    assert (reached.what, reached.limit, reached.used) == ("media_per_day", 2, 2)
    assert reached.resets == dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    assert "2 files a day" in reached.sentence
    assert "until 2027-01-01 00:00 UTC" in reached.sentence


def test_stored_bytes_have_room_for_what_fits_exactly() -> None:
    tier = Tier(stored_bytes=100)
    assert media_reached(tier, Used(stored_bytes=60), NOW, 40) is None
    reached = media_reached(tier, Used(stored_bytes=60), NOW, 41)
    assert reached is not None
    assert (reached.what, reached.resets) == ("stored_bytes", None)
    assert media_reached(tier, Used(stored_bytes=100), NOW) is not None


def test_money_comes_back_with_the_month() -> None:
    tier = Tier(cost_usd_per_month=2)
    assert cost_reached(tier, Used(cost_micros_this_month=1_999_999), NOW) is None
    reached = cost_reached(tier, Used(cost_micros_this_month=2_000_000), NOW)
    assert reached is not None
    assert reached.resets == dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    assert reached.sentence == "Your quota of $2.00 a month is used up until 2027-01-01 00:00 UTC."


def test_the_example_of_the_guide_can_be_used(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "administration.md").read_text("utf-8")
    example = guide.split("```toml\n")[1].split("```")[0]
    free = read_quotas(written(tmp_path, example)).tiers["free"]
    assert all(getattr(free, name) is not None for name in Tier.__struct_fields__)


def test_zero_allows_nothing_and_no_limit_allows_all() -> None:
    assert media_reached(Tier(media_per_day=0), Used(), NOW) is not None
    assert media_reached(Tier(stored_bytes=0), Used(), NOW) is not None
    assert cost_reached(Tier(cost_usd_per_month=0), Used(), NOW) is not None
    much = Used(10**9, 10**15, 10**12)
    assert media_reached(Tier(), much, NOW, 10**12) is None
    assert cost_reached(Tier(), much, NOW) is None


@given(st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2100, 1, 1), timezones=st.timezones()))  # noqa: DTZ001 (the zone is drawn)
def test_days_and_months_are_utc_whatever_the_clock_shows(moment: dt.datetime) -> None:
    first, following = month_of(moment)
    assert first <= day_of(moment) < following
    assert (first.day, following.day) == (1, 1)
    assert day_of(moment) == moment.astimezone(dt.UTC).date()

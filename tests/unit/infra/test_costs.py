"""The monthly estimate: the plan's figures, what is wrong with them, and the bill as AWS would write it."""

from __future__ import annotations

import datetime as dt
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from polylogue.cli import main
from polylogue.cli.problems import Problem
from polylogue.infra.costs import estimate as module
from polylogue.infra.costs.estimate import Assumptions, AssumptionsError, estimate
from polylogue.infra.costs.plan_figures import PLAN, PLAN_WITH_LIFECYCLE, corrections
from polylogue.infra.costs.prices import PricesError, read_prices
from polylogue.media import parts, store

PRICES = read_prices().prices
BARE = {"renditions_mb": 0, "renditions_per_file": 0, "alarms": 0, "old_film_views": 0}


def line(name: str, **assumed: Any) -> module.Line:
    found = estimate(Assumptions(**assumed), PRICES)
    return next(one for one in found.lines if one.what.startswith(name))


def test_the_plans_assumptions_give_the_plans_figures():
    assert round(PLAN.total_usd, 2) == 19.46  # which the plan rounds to 19.50
    assert [round(one.usd, 3) for one in PLAN.lines()] == [1.61, 0.004, 17.85]
    assert round(PLAN_WITH_LIFECYCLE.total_usd, 2) == 18.38
    assert round(PLAN_WITH_LIFECYCLE.lines()[0].usd, 2) == 0.53


def test_the_guide_has_the_figures_of_the_program():
    guide = (Path(__file__).parents[3] / "docs" / "administration.md").read_text("utf-8")
    totals = [PLAN.total_usd, PLAN_WITH_LIFECYCLE.total_usd, estimate(Assumptions(), PRICES).total_usd]
    totals += [one.figures.total_usd for one in corrections()]
    for total in totals:
        assert f"${total:.2f}" in guide


def test_each_correction_of_the_plan_has_its_figure():
    totals = [round(one.figures.total_usd, 3) for one in corrections()]
    assert totals == [18.074, 18.12, 21.11, 4.535]
    last = corrections()[-1].figures
    assert [round(one.quantity) for one in last.lines()] == [195, 10_000, 195]


def test_the_mix_averages_six_and_a_half_megabytes():
    assert Assumptions().average_mb == pytest.approx(6.5)


def test_ninety_days_hold_three_months_of_uploads():
    found = estimate(Assumptions(**BARE), PRICES)
    assert found.uploaded_gb == pytest.approx(65)
    assert found.stored_gb == pytest.approx(195)


def test_prices_are_those_of_the_dated_list():
    listed = read_prices()
    assert isinstance(listed.as_of, dt.date)
    assert listed.prices.put_per_1000 == 0.005
    assert listed.prices.storage_gb_month == 0.023
    assert listed.prices.cdn_out_free_gb == 1000


def test_the_bill_of_the_plans_users_is_this():
    found = estimate(Assumptions(), PRICES)
    by_name = {one.what.split(",")[0] + one.unit: round(one.usd, 3) for one in found.lines}
    assert by_name["Uploads" + "PUT"] == 0.165
    assert [round(one.usd, 3) for one in found.lines if one.what.startswith("Storage")] == [2.748, 1.0]
    assert round(found.total_usd, 2) == 4.2
    assert found.total_usd == pytest.approx(sum(one.usd for one in found.lines))


def test_transfer_is_free_up_to_the_free_tier_and_paid_above_it():
    assert line("CDN, transfer").usd == 0
    paid = line("CDN, transfer", users=10_000)
    assert paid.usd == pytest.approx((1950 - 1000) * 0.085)
    assert line("CDN, transfer", free_tiers=False).usd == pytest.approx(195 * 0.085)
    assert line("S3, transfer", cdn=False).usd == pytest.approx((195 - 100) * 0.09)


def test_a_large_file_is_several_requests():
    one_film = {"users": 1, "files_per_user": 1, "image_share": 0, "audio_share": 0, "video_share": 1, **BARE}
    assert line("Uploads", **one_film).quantity == 2 + 3  # begun, three parts of 8 MiB, completed
    assert line("Uploads", **one_film | {"video_mb": 5}).quantity == 1
    assert parts.PART_BYTES == module.PART_MB * 1e6
    assert store.SINGLE_PUT_BYTES == module.SINGLE_PUT_MB * 1e6


def test_films_that_expire_before_they_move_stay_in_one_class():
    assert line("Storage, infrequent", lifecycle_days=30).quantity == 0
    assert line("Films moved", lifecycle_days=30).quantity == 0
    # One day in the cheaper class is paid for as a month.
    assert line("Storage, infrequent", lifecycle_days=31).quantity == pytest.approx(40)
    assert line("Storage, infrequent", lifecycle_days=90).quantity == pytest.approx(80)


@given(
    users=st.floats(0, 1e7),
    files=st.floats(0, 1e3),
    days=st.floats(1, 3650),
    views=st.floats(0, 1e3),
    cdn=st.booleans(),
)
def test_no_line_is_negative_and_more_users_cost_no_less(
    users: float, files: float, days: float, views: float, cdn: bool
):
    given_ = Assumptions(
        users=users, files_per_user=files, lifecycle_days=days, views_per_file=views, cdn=cdn
    )
    found = estimate(given_, PRICES)
    assert all(one.usd >= 0 and one.quantity >= -1e-6 and math.isfinite(one.usd) for one in found.lines)
    more = estimate(msgspec.structs.replace(given_, users=users + 1), PRICES)
    assert more.total_usd >= found.total_usd - 1e-6


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"image_share": 0.6}, "add up to 1"),
        ({"users": -1}, "users"),
        ({"cache_hits": 2}, "cache_hits"),
        ({"lifecycle_days": 0}, "lifecycle_days"),
    ],
)
def test_assumptions_that_cannot_be_are_refused(changed: dict[str, float], named: str):
    with pytest.raises(AssumptionsError, match=named):
        Assumptions(**changed)


@pytest.mark.parametrize("content", ["", "{}", '{"as_of": "yesterday"}', "\xff"])
def test_a_bad_prices_file_is_one_sentence(tmp_path: Path, content: str):
    path = tmp_path / "prices.json"
    path.write_text(content, "latin-1")
    with pytest.raises(PricesError, match="prices"):
        read_prices(path)
    with pytest.raises(PricesError, match="cannot be read"):
        read_prices(tmp_path / "none.json")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.app, ["costs", *arguments])


@pytest.fixture(autouse=True)
def _default_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEDIA_LIFECYCLE_DAYS", raising=False)


def test_the_command_shows_every_assumption_and_every_price():
    shown = run().stdout
    for name in (*Assumptions.__struct_fields__, *PRICES.__struct_fields__):
        assert f"  {name} = " in shown
    assert read_prices().as_of.isoformat() in shown
    assert "Total: $4.20 a month" in shown


def test_every_assumption_and_every_price_can_be_set():
    other = {
        name: not value if isinstance(value, bool) else value / 2
        for name, value in msgspec.structs.asdict(Assumptions()).items()
    } | {"image_share": 0.25, "audio_share": 0.35, "video_share": 0.4}
    options = [part for name, value in other.items() for part in ("--set", f"{name}={value}")]
    assert json.loads(run("--json", *options).stdout)["assumptions"] == other
    for name in PRICES.__struct_fields__:
        content = json.loads(run("--json", "--price", f"{name}=7").stdout)
        assert content["prices"][name] == 7


def test_the_days_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MEDIA_LIFECYCLE_DAYS", "30")
    assert json.loads(run("--json").stdout)["assumptions"]["lifecycle_days"] == 30


def test_another_list_of_prices_is_taken(tmp_path: Path):
    listed = msgspec.to_builtins(read_prices())
    listed["prices"]["storage_gb_month"] = 1
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(listed))
    assert json.loads(run("--json", "--prices", str(path)).stdout)["prices"]["storage_gb_month"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--set", "user=1"),
        ("--set", "users"),
        ("--set", "users=many"),
        ("--set", "cdn=perhaps"),
        ("--price", "put_per_1000=-1"),
        ("--set", "cache_hits=3"),
        ("--prices", "none.json"),
        ("--plan-assumptions", "--set", "users=1"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(arguments: tuple[str, ...]):
    result = run(*arguments)
    assert isinstance(result.exception, Problem)
    assert "\n" not in str(result.exception)


def test_the_plans_figures_can_be_shown_with_their_corrections():
    shown = run("--plan-assumptions").stdout
    for figure in ("$19.46", "$18.38", "$18.07", "$18.12", "$21.11"):
        assert figure in shown
    content = json.loads(run("--plan-assumptions", "--json").stdout)
    assert (content["total_usd"], content["total_with_lifecycle_usd"]) == (19.46, 18.38)

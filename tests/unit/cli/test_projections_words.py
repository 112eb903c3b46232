"""What the commands of `polylogue projections` make of numbers, times and bounds, without any server."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.cli.problems import Problem
from polylogue.cli.projections import bar, wording
from polylogue.cli.projections.bar import Bar
from polylogue.cli.projections.rebuild import bound_of


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (0, "0 s"),
        (0.25, "0.2 s"),
        (1, "1 s"),
        (119.4, "119 s"),
        (121, "2 min"),
        (7199, "120 min"),
        (7200, "2.0 h"),
        (36_000, "10.0 h"),
    ],
)
def test_a_duration_is_told_in_the_unit_that_fits(seconds: float | None, said: str) -> None:
    assert wording.duration(seconds) == said


@pytest.mark.parametrize(("part", "whole", "said"), [(0, 0, "100 %"), (1, 3, "33 %"), (999, 1000, "99 %")])
def test_a_share_is_never_more_than_is_done(part: int, whole: int, said: str) -> None:
    assert wording.share(part, whole) == said


@given(st.integers(0, 2**63 - 1))
def test_a_whole_number_is_an_offset(offset: int) -> None:
    assert bound_of(str(offset)) == offset


@given(st.datetimes())
def test_a_time_without_a_zone_is_utc(at: datetime) -> None:
    assert bound_of(at.isoformat()) == at.replace(tzinfo=UTC)
    assert bound_of(f"{at.isoformat()}Z") == at.replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "tomorrow", "٣", "2026-13-01"])
def test_anything_else_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(Problem, match=r"--until takes an offset or a time"):
        bound_of(text)


def test_where_nobody_looks_progress_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(bar.time, "monotonic", lambda: now[0])
    with Bar("Rebuilding search") as shown:
        shown.show(0, 1000, 0.0, None)
        now[0] += bar.LINE_EVERY_S
        shown.show(500, 1000, 250.0, 2.0)
        shown.show(501, 1000, 250.0, 2.0)

    assert capsys.readouterr().err == "Rebuilding search: 500 of 1,000 records, 250/s, 2 s left\n"

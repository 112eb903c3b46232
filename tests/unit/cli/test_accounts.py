"""The lengths of time that the commands for users and keys take."""

from __future__ import annotations

from datetime import timedelta

import pytest

from polylogue.cli import accounts
from polylogue.cli.problems import Problem


@pytest.mark.parametrize(
    ("text", "length"),
    [("30m", timedelta(minutes=30)), ("12h", timedelta(hours=12)), ("90d", timedelta(days=90))],
)
def test_a_length_of_time_has_a_number_and_a_unit(text: str, length: timedelta) -> None:
    assert accounts.length_of_time(text) == length


@pytest.mark.parametrize("text", ["", "0h", "-1h", "1", "h", "1.5h", "1y", "9999999d", "1h "])
def test_what_is_no_length_of_time_is_said(text: str) -> None:
    with pytest.raises(Problem, match="no length of time"):
        accounts.length_of_time(text)

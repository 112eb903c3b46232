"""Trace Context: what is valid is kept as it came, what is not is replaced."""

from __future__ import annotations

import pytest

from polylogue.api.trace import made, valid

GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("text", [GOOD, GOOD.replace("00-", "cc-", 1) + "-more"])
def test_a_valid_one_is_kept(text: str) -> None:
    assert valid(text) == text


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        GOOD.upper(),
        GOOD + "-more",
        GOOD[:-1],
        GOOD.replace("00-", "ff-", 1),
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        GOOD + "\n",
        "cc" + GOOD[2:] + "-" + "x" * 600,
    ],
)
def test_an_invalid_one_is_ignored(text: str | None) -> None:
    assert valid(text) is None


def test_each_request_without_one_gets_its_own() -> None:
    assert made() != made()
    assert valid(again := made()) == again

"""Options come from the model name or the header; what cannot be used is refused with a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.simulator.options import OptionError, Options, parse_header, split_model


def test_every_option_is_read_from_the_model_name() -> None:
    name, options = split_model(
        "sim/painter:size=2mb:pace=5ms:images=3:tokens=200:delay=1s:seed=7", Options()
    )
    assert name == "sim/painter"
    assert options == Options(size=2 * 1024 * 1024, pace=0.005, images=3, tokens=200, delay=1.0, seed=7)


def test_the_header_sets_the_same_and_the_model_name_wins() -> None:
    header = parse_header(" size=2mb, pace=5ms ,")
    assert header == Options(size=2 * 1024 * 1024, pace=0.005)
    assert split_model("sim/text:pace=0", header)[1] == Options(size=2 * 1024 * 1024, pace=0.0)


@pytest.mark.parametrize("header", ["", " ", ","])
def test_an_empty_header_sets_nothing(header: str) -> None:
    assert parse_header(header) == Options()


@pytest.mark.parametrize(
    ("setting", "size"),
    [("1024", 1024), ("3b", 3), ("1.5kb", 1536), ("100mb", 100 * 1024 * 1024), ("1MB", 1024 * 1024)],
)
def test_sizes(setting: str, size: int) -> None:
    assert parse_header(f"size={setting}").size == size


@pytest.mark.parametrize(
    ("model", "word"),
    [
        ("sim/text:free", "'free'"),
        ("sim/text:colour=red", "'colour=red'"),
        ("sim/text:", "''"),
        ("sim/text:size=101mb", "100mb"),
        ("sim/text:size=-1", "number of bytes"),
        ("sim/text:pace=5", "unit"),
        ("sim/text:pace=61s", "60s"),
        ("sim/text:delay=1h", "unit"),
        ("sim/text:images=33", "32"),
        ("sim/text:images=", "whole number"),
        ("sim/text:tokens=1.5", "whole number"),
        ("sim/text:seed=-1", "whole number"),
        ("sim/text:seed=²", "whole number"),
    ],
)
def test_what_cannot_be_used_is_named_in_a_sentence(model: str, word: str) -> None:
    with pytest.raises(OptionError) as error:
        split_model(model, Options())
    assert str(error.value).startswith("The simulator ")
    assert str(error.value).endswith(".")
    assert word in str(error.value)


@given(st.text(max_size=60))
def test_any_suffix_is_read_or_refused(suffix: str) -> None:
    try:
        _, options = split_model(f"sim/text:{suffix}", Options())
    except OptionError:
        return
    assert options != Options() or suffix.partition("=")[0].strip() in ("pace", "delay", "size")


@given(
    size=st.integers(0, 100 * 1024 * 1024),
    pace=st.integers(0, 60_000),
    images=st.integers(0, 32),
    seed=st.integers(0, 2**63 - 1),
)
def test_whatever_is_allowed_is_read_back(size: int, pace: int, images: int, seed: int) -> None:
    options = parse_header(f"size={size},pace={pace}ms,images={images},seed={seed}")
    assert (options.size, options.images, options.seed) == (size, images, seed)
    assert options.pace == pytest.approx(pace / 1000)

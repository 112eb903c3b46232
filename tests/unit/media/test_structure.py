"""Structures are walked to their end, and whatever the bytes are, the walk ends and does not fail."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.media.provenance import carries_provenance
from polylogue.media.structure import is_cut_off
from tests.support.media_samples import SAMPLES

NAMES = sorted(SAMPLES)


def media_format(name: str) -> str:
    return name.partition(" ")[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_file_is_not_cut_off_whatever_follows_its_end(name: str) -> None:
    assert not is_cut_off(io.BytesIO(SAMPLES[name]()), media_format(name))


@given(st.sampled_from(NAMES), st.data())
def test_no_damage_makes_a_walk_fail_or_go_on_forever(name: str, data: st.DataObject) -> None:
    damaged = bytearray(SAMPLES[name]())
    for _ in range(data.draw(st.integers(1, 20))):
        damaged[data.draw(st.integers(0, min(len(damaged), 4096) - 1))] = data.draw(st.integers(0, 255))
    kept = data.draw(st.integers(0, len(damaged)))
    file = io.BytesIO(bytes(damaged[:kept]))
    assert isinstance(is_cut_off(file, media_format(name)), bool)
    assert isinstance(carries_provenance(file, media_format(name)), bool)


@given(st.sampled_from(NAMES), st.binary(max_size=400))
def test_any_bytes_can_be_walked(name: str, data: bytes) -> None:
    file = io.BytesIO(data)
    assert isinstance(is_cut_off(file, media_format(name)), bool)
    assert isinstance(carries_provenance(file, media_format(name)), bool)


@given(st.sampled_from([name for name in NAMES if name in {"png", "webp", "gif", "ogg", "webm"}]), st.data())
def test_any_prefix_of_a_file_with_a_fixed_end_is_cut_off(name: str, data: st.DataObject) -> None:
    whole = SAMPLES[name]()
    begun = data.draw(st.integers(64, len(whole) - 1))
    cut = is_cut_off(io.BytesIO(whole[:begun]), name)
    if name == "ogg":
        # Between two pages there is nothing to see; the length decides then.
        assert cut or whole[begun:].startswith(b"OggS")
    else:
        assert cut


def test_a_box_with_a_long_size_is_walked_and_one_without_reaches_to_the_end() -> None:
    file_type = b"\0\0\0\x10ftypisom\0\0\0\0"
    movie = b"\0\0\0\x08moov"
    long = struct.pack(">I4sQ", 1, b"mdat", 16 + 20) + bytes(20)
    assert not is_cut_off(io.BytesIO(file_type + movie + long), "mp4")
    assert is_cut_off(io.BytesIO(file_type + movie + long[:-1]), "mp4")
    assert not is_cut_off(io.BytesIO(file_type + movie + b"\0\0\0\0mdat" + bytes(9)), "mp4")
    assert is_cut_off(io.BytesIO(file_type + b"\0\0\0\0mdat" + bytes(9)), "mp4")


def test_an_mp3_that_announces_more_frames_than_it_has_is_cut_off_even_between_two_frames() -> None:
    bare = SAMPLES["mp3 without tags"]()
    half = len(bare) // 2
    assert half % 384 == 0  # frames of the same length, so this lies between two
    assert not is_cut_off(io.BytesIO(bare[:half]), "mp3")
    told = SAMPLES["mp3"]()
    tag = len(told) - len(bare)
    # The frame that announces the others stands in front of the first.
    assert is_cut_off(io.BytesIO(told[: tag + half]), "mp3")

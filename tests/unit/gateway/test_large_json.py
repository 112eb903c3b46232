"""JSON with long strings reads the same as with any other parser, only without decoding them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.streams.gateway import large_json

LONG = "A" * large_json.LIFTED_STRING_BYTES + "B"


def plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return bytes(value).decode()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


strings = st.text(max_size=6) | st.sampled_from(
    [LONG, LONG + "é", LONG + '"', '"' + LONG + "\\", "\\", "long string 0"]
)


@given(
    st.recursive(
        strings | st.integers(-(2**53), 2**53) | st.none(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=4),
        max_leaves=12,
    )
)
def test_a_long_document_reads_as_json_does(value: Any):
    document = json.dumps([value, "x" * large_json.SMALL_DOCUMENT_BYTES], ensure_ascii=False).encode()
    assert plain(large_json.loads(document))[0] == value
    assert plain(large_json.loads(bytearray(document)))[0] == value


def test_a_picture_is_not_copied():
    document = json.dumps({"a": {"b": ["x", LONG * 5]}}).encode()
    long = large_json.loads(document)["a"]["b"][1]
    assert isinstance(long, memoryview)
    assert long.obj is document


@pytest.mark.parametrize("tail", [b"", b'"', b'"}', b'"]]', b'"] x'])
def test_a_long_document_that_is_cut_off_or_wrong_is_a_value_error(tail: bytes):
    with pytest.raises(ValueError):
        large_json.loads(b'[1, "' + LONG.encode() * 6 + tail)


def test_a_long_document_of_many_strings_is_read_whole():
    value = ["x" * 20] * 10_000 + ['"' * 10_000]
    assert plain(large_json.loads(json.dumps(value).encode())) == value


def test_deep_nesting_is_a_value_error_or_a_value_but_no_crash():
    with pytest.raises(ValueError):
        large_json.loads(b"[" * 100_000 + b"]" * 100_000)

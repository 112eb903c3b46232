"""Data URLs and base64 in every form that has been seen, and the refusal of what is neither."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.streams.gateway.base64_media import DecodedMedia, decode_base64, decode_media
from polylogue.streams.gateway.events import BadMedia

DATA = bytes(range(251)) * 2  # its base64 holds "+", "/" and padding
TEXT = base64.b64encode(DATA).decode()
MANGLED = {
    "as it should be": TEXT,
    "url safe": TEXT.replace("+", "-").replace("/", "_"),
    "without padding": TEXT.rstrip("="),
    "escaped padding": TEXT.replace("=", "%3D"),
    "lines": "\r\n".join(TEXT[i : i + 76] for i in range(0, len(TEXT), 76)) + "\n",
    "lines ended by blanks": " ".join(TEXT[i : i + 76] for i in range(0, len(TEXT), 76)),
    "plus as blank": TEXT.replace("+", " "),
    "everything at once": TEXT.replace("+", " ").replace("/", "%2F").rstrip("=") + "\n",
    "pieces padded one by one": "".join(
        base64.b64encode(DATA[i : i + 50]).decode() for i in range(0, len(DATA), 50)
    ),
}


def decode(source: str | memoryview, max_bytes: int = 10_000) -> DecodedMedia | BadMedia:
    return decode_media(source, "image", max_bytes=max_bytes)


@pytest.mark.parametrize("text", MANGLED.values(), ids=MANGLED.keys())
@pytest.mark.parametrize("head", ["", "data:image/png;base64,", "data:;base64,", "DATA:image/png;BASE64,"])
def test_mangled_base64_gives_the_bytes(head: str, text: str):
    for source in (head + text, memoryview((head + text).encode())):
        decoded = decode(source)
        assert isinstance(decoded, DecodedMedia)
        assert decoded.data == DATA
        assert decoded.content_type == ("image/png" if "png" in head else None)


@given(st.binary(min_size=1, max_size=200))
def test_every_content_survives_the_url_safe_alphabet_without_padding(data: bytes):
    assert decode_base64(base64.urlsafe_b64encode(data).rstrip(b"=")) == data


@given(st.text(max_size=60))
def test_no_text_raises(text: str):
    assert isinstance(decode(text), DecodedMedia | BadMedia)
    assert isinstance(decode("data:" + text), DecodedMedia | BadMedia)


def test_parameters_are_read_up_to_the_first_comma():
    decoded = decode("data:audio/L16;codec=pcm;rate=24000;base64," + TEXT)
    assert decoded == DecodedMedia(DATA, "audio/l16", {"codec": "pcm", "rate": "24000"})


def test_a_data_url_within_a_data_url_is_unwrapped():
    decoded = decode("data:application/octet-stream;base64,data:image/webp;base64," + TEXT)
    assert decoded == DecodedMedia(DATA, "image/webp", {})


def test_a_data_url_without_base64_is_percent_decoded():
    assert decode("data:image/svg+xml,%3Csvg/%3E") == DecodedMedia(b"<svg/>", "image/svg+xml", {})


@pytest.mark.parametrize("text", ["A", "@@@@", "sandbox:/mnt/data/x.png", "ü" * 8, "AAAA=A", "AA\x00A"])
def test_what_is_no_base64_is_refused(text: str):
    refused = decode(text)
    assert isinstance(refused, BadMedia)
    assert refused.reason == "bad_base64"


@pytest.mark.parametrize("text", ["", "data:image/png;base64,"])
def test_nothing_is_refused(text: str):
    refused = decode(text)
    assert isinstance(refused, BadMedia)
    assert "without content" in refused.message


def test_the_size_limit_is_exact():
    assert isinstance(decode(TEXT, len(DATA)), DecodedMedia)
    refused = decode(TEXT, len(DATA) - 1)
    assert isinstance(refused, BadMedia)
    assert refused.reason == "too_large"

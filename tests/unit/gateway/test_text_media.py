"""Media in text become media wherever the text is cut; what only looks like them stays text."""

from __future__ import annotations

import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.simulator.media import png
from polylogue.streams.gateway.parts import MediaPart
from polylogue.streams.gateway.text_media import Piece, TextMedia

PNG = png("a red circle", 1, width=16, height=16)
BASE64 = base64.b64encode(PNG).decode()
URL = "data:image/png;base64," + BASE64


def read(pieces: list[str], *, max_bytes: int = 10**6) -> list[Piece]:
    """What the text holds; adjoining text is one."""
    reader, out = TextMedia(max_bytes=max_bytes), []
    for piece in pieces:
        out += reader.add(piece)
    out += reader.finish()
    return joined(out)


def joined(pieces: list[Piece]) -> list[Piece]:
    out: list[Piece] = []
    for piece in pieces:
        if out and isinstance(piece, str) and isinstance(out[-1], str):
            out[-1] += piece
        else:
            out.append(piece)
    return out


def medium(url: str = URL) -> MediaPart:
    return MediaPart("image", url)


HELD = [
    ("bare", f"Here: {URL} done", ["Here: ", medium(), " done"]),
    ("alone", URL, [medium()]),
    ("at the end of a sentence", f"See {URL}. Yes", ["See ", medium(), ". Yes"]),
    ("last with a full stop", f"See {URL}.", ["See ", medium(), "."]),
    ("markdown", f"a ![x]({URL}) b", ["a ", medium(), " b"]),
    ("markdown without alternative", f"![]({URL})", [medium()]),
    ("markdown with a title", f'![x]({URL} "A title")\n', [medium(), "\n"]),
    ("markdown in angles", f"![x](<{URL}>)", [medium()]),
    ("markdown that never closes", f"![x]({URL}", ["![x](", medium()]),
    ("markdown link", f"[picture]({URL})!", [medium(), "!"]),
    ("two", f"{URL}\n{URL}", [medium(), "\n", medium()]),
    ("picture within a link", f"[![x]({URL})](https://a.example)", ["[", medium(), "](https://a.example)"]),
    ("capitals", f"DATA:image/PNG;BASE64,{BASE64}", [medium(f"DATA:image/PNG;BASE64,{BASE64}")]),
]
NOT_HELD = [
    "[x](sandbox:/mnt/data/x.png)",
    "![x](https://cdn.example/base64/iVBORw0KGgo.png)",
    "https://a.example/data:image/png;base64," + BASE64,
    f'<img src="{URL}">',
    f"`{URL}`",
    f"url={URL}",
    "data:image/png;base64,iVBORw0KGgo",
    f"data:image/png;base64,{BASE64[:60]}...",
    f"data:image/png;base64,{BASE64[:60]}…",
    "data:image/png;base64,<your picture>",
    "data:image/png;base64," + "QUJD" * 40,
    "data:text/plain;base64," + "QUJD" * 40,
    "metadata: image, data: 5, data:",
    "Wow! [1] and [2][3] d ![ and ![a](",
    f"xdata:image/png;base64,{BASE64}",
]


@pytest.mark.parametrize(("text", "pieces"), [case[1:] for case in HELD], ids=[case[0] for case in HELD])
def test_media_in_text_are_found(text: str, pieces: list[Piece]):
    assert read([text]) == pieces
    assert read(list(text)) == pieces


@pytest.mark.parametrize("text", NOT_HELD)
def test_what_only_looks_like_a_medium_stays_text(text: str):
    assert read([text]) == [text]
    assert read(list(text)) == [text]


@given(
    st.lists(st.sampled_from([case[1] for case in HELD] + NOT_HELD + ["a", " ", "!", "[", "]("]), max_size=6),
    st.data(),
)
def test_any_cut_of_the_text_gives_the_same(parts: list[str], data: st.DataObject):
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    assert read([text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]) == read([text])


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("plain words", ""),
        ("see da", "da"),
        ("see data:im", "data:im"),
        ("see data:text", ""),
        ("![alt](data:", "![alt](data:"),
        ("![alt](htt", ""),
        ("[1] ", ""),
        ("ends!", "!"),
    ],
)
def test_text_is_held_back_only_while_it_may_become_a_medium(text: str, held: str):
    given_out = TextMedia(max_bytes=100).add(text)
    assert "".join(piece for piece in given_out if isinstance(piece, str)) == text.removesuffix(held)


def test_a_medium_that_breaks_off_is_not_text():
    reader = TextMedia(max_bytes=10**6)
    assert reader.add(f"a {URL[:-9]}") == ["a "]
    assert reader.abandon() == ([], True)


def test_a_payload_beyond_the_limit_is_not_kept():
    reader = TextMedia(max_bytes=1000)
    reader.add(f"data:image/png;base64,{BASE64}")
    for _ in range(100):
        reader.add("A" * 10_000)
    (part,) = reader.finish()
    assert isinstance(part, MediaPart)
    assert 1400 < len(part.source) < 20_000


@pytest.mark.parametrize(
    "text",
    ["data:image/png;base64,x ", " d", "[", "![", "![a](", f"{URL} ", "data:image/png;base64,"],
    ids=["heads", "letters", "brackets", "exclamations", "links", "media", "unfinished heads"],
)
def test_a_long_text_of_beginnings_is_read_in_linear_time(text: str):
    long = text * (2_000_000 // len(text))  # with work that grows by the square this would take hours
    found = read([long])
    assert sum(len(piece.source if isinstance(piece, MediaPart) else piece) for piece in found) == len(long)


def test_a_large_medium_in_one_text_is_whole():
    large = png("a red circle", 1, size=3_000_000)
    url = "data:image/png;base64," + base64.b64encode(large).decode()
    assert read([f"a {url} b"], max_bytes=10**7) == ["a ", medium(url), " b"]

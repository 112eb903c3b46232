"""Names of downloads: whatever a title is, the header is well-formed and the name is one of a file."""

from __future__ import annotations

import re
from urllib.parse import unquote

from hypothesis import example, given
from hypothesis import strategies as st

from polylogue.api.file_names import saved_as

HEADER = re.compile(
    r'attachment; filename="([A-Za-z0-9 ._()-]+)"(?:; filename\*=UTF-8\'\'([A-Za-z0-9%._~-]+))?'
)


def names(title: str, ending: str = ".md") -> list[str]:
    found = HEADER.fullmatch(saved_as(title, ending)["Content-Disposition"])
    assert found is not None
    return [found[1], *([unquote(found[2])] if found[2] else [])]


@given(st.text(alphabet=st.characters()))
@example("../../etc/passwd")
@example('a"; filename="b.exe')
@example("a\r\nSet-Cookie: x=1")
@example("\u202egpj.exe")
@example("CON")
@example("😀" * 200)
@example("\ud800")
def test_whatever_a_title_is_its_file_has_a_plain_name(title: str) -> None:
    for name in names(title):
        assert name.endswith(".md")
        assert len(name.encode()) < 200
        assert not name.startswith((".", " "))
        assert not re.search(r"[\x00-\x1f/\\:*?\"<>|\u202a-\u202e]", name)


def test_a_title_of_any_language_is_kept_beside_a_plain_one() -> None:
    assert names("Blue squares") == ["Blue squares.md"]
    assert names("Blå firkanter") == ["Bl firkanter.md", "Blå firkanter.md"]
    assert names("青い四角") == ["conversation.md", "青い四角.md"]
    assert saved_as("Blue", "media.zip") == {"Content-Disposition": 'attachment; filename="Blue media.zip"'}

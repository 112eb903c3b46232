"""Exports as values → text: what each format shows, what nothing in a conversation can break, and bundles."""

from __future__ import annotations

import io
import json
import re
import tracemalloc
import zipfile
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from polylogue.api.export import Wanted, bundle, document
from polylogue.api.export_contents import MediaChoice
from polylogue.api.export_markdown import closed
from polylogue.infra.settings import Settings
from polylogue.media.reading import PIECE_BYTES, ObjectMissingError, ObjectReader
from tests.unit.api.test_zip import MB, Reader

AT = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
HEAD = {
    "conversation_id": "c1",
    "title": "Blue squares",
    "created_at": AT,
    "updated_at": AT,
}
ORIGIN = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(_env_file=None)  # type: ignore[call-arg]


def medium(media_id: str = "m1", kind: str = "image", **values: Any) -> dict[str, Any]:
    return {
        "media_id": media_id,
        "type": kind,
        "status": "stored",
        "format": "png",
        "content_type": "image/png",
        "size_bytes": 3,
        "sha256": "0" * 64,
        "width": 4,
        "height": 3,
        "key": f"media/image/c1/painter/20261103_{media_id}.png",
        "url": "https://bucket.example/stored-that-day.png",
    } | values


def answer(content: str = "Here.", model: str = "sim/painter", **values: Any) -> dict[str, Any]:
    return {
        "message_id": "t1-1",
        "role": "assistant",
        "model_id": model,
        "content": content,
        "reasoning": "",
        "attachments": None,
        "media_urls": None,
        "status": "completed",
        "error_message": None,
        "created_at": AT,
    } | values


def turn(
    *answers: dict[str, Any], prompt: str = "Draw", attachments: Any = None, **values: Any
) -> dict[str, Any]:
    asked = answer(prompt) | {"role": "user", "model_id": None, "attachments": attachments}
    return {
        "turn_id": "t1",
        "conversation_id": "c1",
        "prompt": prompt,
        "system": None,
        "inherited": False,
        "gone": False,
        "messages": [asked, *answers],
    } | values


def wanted(form: str, media: MediaChoice = "linked") -> Wanted:
    return Wanted(cast("Any", form), media, ORIGIN, AT)


def text(
    form: str, settings: Settings, *turns: dict[str, Any], media: MediaChoice = "linked", **head: Any
) -> str:
    return b"".join(document(HEAD | head, list(turns), wanted(form, media), settings)).decode()


def test_markdown_embeds_pictures_and_links_sound_and_film(settings: Settings) -> None:
    media = [medium(), medium("m2", "audio"), medium("m3", "video")]
    told = text("md", settings, turn(answer("A *blue* square.", media_urls=media)))
    assert "## Prompt\n\nDraw\n" in told
    assert "\n## Response from sim/painter\n\nA *blue* square.\n" in told
    assert f"\n**Media:**\n\n- Image: ![Generated image]({ORIGIN}/api/media/m1/content)\n" in told
    assert f"- Audio: [Listen to audio]({ORIGIN}/api/media/m2/content)\n" in told
    assert f"- Video: [Watch video]({ORIGIN}/api/media/m3/content)\n" in told


@pytest.mark.parametrize("form", ["md", "json", "html"])
def test_every_format_names_each_model_and_says_how_its_answer_ended(form: str, settings: Settings) -> None:
    failed = answer("Half", "sim/failing", status="failed", error_message="The gateway broke.")
    told = text(form, settings, turn(answer(), failed, answer("So", "sim/slow", status="cancelled")))
    for part in ("sim/painter", "sim/failing", "sim/slow", "The gateway broke.", "Half"):
        assert part.replace(".", "") in told.replace("\\", "").replace(".", "")
    assert "stopped" in told or '"status": "cancelled"' in told


@pytest.mark.parametrize("form", ["md", "json", "html"])
@pytest.mark.parametrize("media", ["linked", "none"])
def test_no_name_in_the_bucket_and_no_address_that_ends_gets_out(
    form: str, media: MediaChoice, settings: Settings
) -> None:
    pictures = [{"key": "private/attachments/t1/x.png", "content_type": "image/png", "size_bytes": 3}]
    told = text(form, settings, turn(answer(media_urls=[medium()]), attachments=pictures), media=media)
    assert "bucket.example" not in told
    assert "20261103_" not in told
    assert "private/" not in told
    assert (f"{ORIGIN}/api/media/m1/content" in told) is (media == "linked")


@pytest.mark.parametrize("status", ["expired", "deleted", "failed", "uploading"])
@pytest.mark.parametrize("form", ["md", "json", "html"])
def test_a_medium_that_is_not_there_has_no_link_and_says_why(
    form: str, status: str, settings: Settings
) -> None:
    told = text(form, settings, turn(answer(media_urls=[medium(status=status)])))
    assert "/content" not in told
    assert {"expired": "time was over", "deleted": "was deleted"}.get(status, "stored") in told


def test_it_says_who_can_open_the_links(settings: Settings) -> None:
    assert "only on the machine that runs Polylogue" in text("md", settings, turn(answer()))
    keys = settings.model_copy(update={"host": "0.0.0.0"})
    assert "signed in" in text("md", keys, turn(answer()))
    assert "left out" in text("md", settings, turn(answer()), media="none")


def test_json_has_all_that_is_known_of_a_medium(settings: Settings) -> None:
    renditions = [{"name": "webp", "key": "k", "size_bytes": 2, "width": 4, "height": 3}]
    told = json.loads(
        text("json", settings, turn(answer(media_urls=[medium(duration_ms=5, renditions=renditions)])))
    )
    (found,) = told["turns"][0]["answers"][0]["media"]
    assert found == {
        "type": "image",
        "media_id": "m1",
        "status": "stored",
        "format": "png",
        "content_type": "image/png",
        "size_bytes": 3,
        "sha256": "0" * 64,
        "width": 4,
        "height": 3,
        "duration_ms": 5,
        "renditions": [{"name": "webp", "size_bytes": 2, "width": 4, "height": 3}],
        "file": f"{ORIGIN}/api/media/m1/content",
        "missing": None,
    }
    assert (told["form"], told["version"], told["models"]) == ("polylogue-conversation", 1, ["sim/painter"])


@given(st.text(), st.text(), st.text(max_size=300))
@example("a\n# b", "x](javascript:alert(1))", "```\nnot closed")
def test_titles_models_and_cut_off_code_leave_markdown_as_it_is_meant(
    title: str, model: str, content: str
) -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    told = text("md", settings, turn(answer(content, model or "m"), answer("LAST", "last")), title=title)
    tokens = MarkdownIt("commonmark").parse(told)
    heads = [
        tokens[number + 1]
        for number, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == "h1"
    ]
    assert heads
    assert all(child.type in ("text", "text_special", "softbreak") for child in heads[0].children or ())


@given(st.text(alphabet="`~ \na", max_size=60))
def test_a_block_of_code_never_swallows_what_follows(content: str) -> None:
    tokens = MarkdownIt("commonmark").parse(f"{closed(content)}\n\n---\n\n## Next\n")
    assert any(token.type == "heading_open" and token.level == 0 for token in tokens)


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


ALLOWED = frozenset(
    re.findall(
        r"\w+",
        """html head meta title style body header h1 p main section h2 div pre article figure figcaption a img audio video
    details summary em strong code blockquote ul ol li hr br table thead tbody tr th td s h3 h4 h5 h6""",
    )
)
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "![x](http://tracker.example/pixel.png)",
    "![x](data:image/svg+xml,<svg onload=alert(1)>)",
    "<svg/onload=alert(1)>",
    '```"onmouseover="alert(1)\nx\n```',
    "[x](//evil.example)",
    '[x](http://a "t\\" onclick=alert(1)")',
    "<http://a'onclick='x>",
    "|a|\n|:-:|\n|<iframe src=x>|",
    "</div></article></main><base href=//evil>",
    "&lt;script&gt;",
    "[![x](http://a/b)](http://c)",
)


def check_harmless(page: str) -> None:
    seen = Seen()
    seen.feed(page)
    for tag, attributes in seen.tags:
        assert tag in ALLOWED, tag
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or re.match(r"(https?://|mailto:|assets/)", value), value
        if tag in ("img", "audio", "video"):
            assert str(attributes["src"]).startswith((ORIGIN, "assets/"))
        if tag == "meta":
            assert attributes.get("http-equiv") in (None, "Content-Security-Policy")
    policies = [one for tag, one in seen.tags if tag == "meta" and "http-equiv" in one]
    assert len(policies) == 1
    assert str(policies[0]["content"]).startswith("default-src 'none';")
    assert "unsafe" not in str(policies[0]["content"])


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_hostile_gets_into_a_page(hostile: str, settings: Settings) -> None:
    shown = turn(
        answer(hostile, hostile, reasoning=hostile, media_urls=[medium()]),
        answer("x", status="failed", error_message=hostile),
        prompt=hostile,
        system=hostile,
    )
    check_harmless(text("html", settings, shown, title=hostile))


@given(st.lists(st.sampled_from(HOSTILE) | st.text(max_size=20), max_size=6).map(" ".join))
def test_no_mixture_gets_into_a_page(content: str) -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    check_harmless(
        text("html", settings, turn(answer(content, content or "m"), prompt=content), title=content)
    )


def test_an_answer_is_shown_as_its_markdown_means(settings: Settings) -> None:
    page = text(
        "html",
        settings,
        turn(answer("# Head\n\n|a|b|\n|-|-:|\n|1|2|\n\n~~no~~ **yes**\n\n```py\nx < 1\n```")),
    )
    for part in (
        "<h1>Head</h1>",
        '<td class="right">2</td>',
        "<s>no</s>",
        "<strong>yes</strong>",
        "x &lt; 1",
    ):
        assert part in page


def bundled(form: str, settings: Settings, reader: Reader, *turns: dict[str, Any]) -> zipfile.ZipFile:
    made = bundle(cast("ObjectReader", reader), HEAD, list(turns), wanted(form, "bundled"), settings)
    opened = zipfile.ZipFile(io.BytesIO(b"".join(made)))
    assert opened.testzip() is None
    return opened


@pytest.mark.parametrize("form", ["md", "json", "html"])
def test_a_bundle_holds_the_files_that_its_document_names(form: str, settings: Settings) -> None:
    pictures = [{"key": "private/a.png", "content_type": "image/png", "size_bytes": 2}]
    media = [medium("m1"), medium("m2"), medium("m3", status="deleted")]
    reader = Reader({media[0]["key"]: b"aaa", media[1]["key"]: ObjectMissingError(), "private/a.png": b"pp"})
    found = bundled(form, settings, reader, turn(answer(media_urls=media), attachments=pictures))
    files = ["assets/sim-painter/01-01.png", "assets/_attached/01-01.png"]
    assert found.namelist() == [*files, f"conversation.{form}"]
    assert [found.read(name) for name in files] == [b"aaa", b"pp"]
    told = found.read(f"conversation.{form}").decode()
    assert set(re.findall(r"assets/[\w./-]+\.png", told)) == set(files)
    assert "not in the storage any more" in told
    assert "It was deleted." in told.replace("\\", "")
    if form == "html":
        check_harmless(told)


def test_memory_does_not_grow_with_what_is_bundled(settings: Settings) -> None:
    media = [medium(f"m{number}", size_bytes=60 * MB) for number in range(4)]
    reader = Reader({one["key"]: 60 * MB for one in media})
    made = bundle(
        cast("ObjectReader", reader),
        HEAD,
        [turn(answer(media_urls=media))],
        wanted("html", "bundled"),
        settings,
    )
    tracemalloc.start()
    try:
        written = sum(len(piece) for piece in made)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert written > 240 * MB
    assert peak < 32 * PIECE_BYTES


@pytest.mark.parametrize("form", ["md", "json", "html"])
def test_memory_does_not_grow_with_the_turns(form: str, settings: Settings) -> None:
    turns = [turn(answer("word " * 4000))] * 400  # 8 MB of text, held once
    tracemalloc.start()
    try:
        pieces = document(HEAD, turns, wanted(form), settings)
        sizes = [len(piece) for piece in pieces]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(sizes) > 7 * MB
    assert peak < 3 * MB


def test_leaving_early_closes_the_object_that_is_being_read(settings: Settings) -> None:
    media = [medium(size_bytes=50 * MB)]
    reader = Reader({media[0]["key"]: 50 * MB})
    made = bundle(
        cast("ObjectReader", reader),
        HEAD,
        [turn(answer(media_urls=media))],
        wanted("md", "bundled"),
        settings,
    )
    next(made)
    assert reader.open == 1
    made.close()
    assert reader.open == 0


def test_what_was_deleted_before_has_its_notice(settings: Settings) -> None:
    gone = turn(gone=True, notice="What came before is gone.", messages=[], prompt="")
    for form in ("md", "json", "html"):
        assert "What came before is gone" in text(form, settings, gone)

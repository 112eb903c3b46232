"""What hangs in the gallery: what was stored, with its renditions, and nothing of what was deleted."""

from __future__ import annotations

from polylogue.projections.gallery import GALLERY_ITEMS, Gallery
from tests.support.events import Story, numbered, sample_story
from tests.unit.projections.memory import Rows, build


def _items(story: Story) -> Rows:
    return build(Gallery(), [numbered(story.events)])[GALLERY_ITEMS.name]


def test_only_what_was_stored_is_an_item() -> None:
    story = sample_story("c1")

    items = _items(story)

    assert {item["model_id"] for item in items.values()} == {
        "sim/painter",
        "sim/speaker",
        "sim/film",
        "sim/gallery",
    }
    claims = [story.claims[media_id] for media_id in items]
    assert [item["key"] for item in items.values()] == [claim.key for claim in claims]
    assert sorted(item["status"] for item in items.values()) == ["expired", *["stored"] * 4]


def test_renditions_come_with_the_medium_or_after_it() -> None:
    story = Story("c1")
    (painter,) = story.ask("Draw", "sim/painter", start="Draw")
    picture = painter.begin().produce()
    story.stored(picture)
    assert _items(story)[picture]["renditions"] is None

    story.renditions(picture)
    assert "thumb.webp" in _items(story)[picture]["renditions"]


def test_what_leads_to_the_bytes_of_a_deleted_medium_goes() -> None:
    story = sample_story("c1")
    media_id = next(iter(_items(story)))
    story.deleted(media_id)

    item = _items(story)[media_id]

    assert (item["status"], item["key"], item["sha256"], item["renditions"]) == ("deleted", None, None, None)


def test_nothing_of_a_deleted_conversation_is_left() -> None:
    story = sample_story("c1")
    story.delete()
    for media_id in story.claims:
        story.deleted(media_id)

    assert _items(story) == {}

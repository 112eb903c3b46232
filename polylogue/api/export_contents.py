"""What an export of a conversation tells, whatever its format: turns, answers, and where each medium is to be had. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from polylogue.api.lineage import Row, models_of
from polylogue.api.zip_contents import Entry, entries_of

MediaChoice = Literal["linked", "bundled", "none"]
ASSETS = "assets"

_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif"}
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_GONE = {
    "expired": "Its time was over, and it was removed.",
    "deleted": "It was deleted.",
    "generating": "It was still being made.",
    "uploading": "It was still being stored.",
}


@dataclass(frozen=True)
class Place:
    """Where a medium is to be had: an address or a name in the bundle; or why it is not, in a sentence."""

    href: str | None = None
    missing: str | None = None


@dataclass(frozen=True)
class Medium:
    kind: str  # image, audio or video
    about: Row
    place: Place


@dataclass(frozen=True)
class Answer:
    model: str
    told: Row  # the message as it is stored
    media: tuple[Medium, ...]

    @property
    def content(self) -> str:
        return self.told["content"] or ""

    @property
    def reasoning(self) -> str:
        return self.told["reasoning"] or ""

    @property
    def outcome(self) -> str | None:
        """What became of it, in a sentence; None where it ended as it should."""
        match self.told["status"]:
            case "completed":
                return None
            case "cancelled":
                return "This answer was stopped."
            case "failed":
                return f"This answer failed: {one_line(self.told['error_message'] or 'no reason was given')}"
        return "This answer was not finished when it was exported."


@dataclass(frozen=True)
class Turn:
    number: int
    told: Row
    pictures: tuple[Medium, ...]  # that were sent with the prompt
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Export:
    head: Row
    turns: tuple[Turn, ...]
    exported_at: datetime
    media: MediaChoice
    note: str  # where the media are, and who can open them

    @property
    def title(self) -> str:
        return one_line(self.head["title"] or "") or "Conversation"

    @property
    def models(self) -> list[str]:
        return models_of(turn.told for turn in self.turns)


PlaceOf = Callable[[Row], Place]


def export_of(
    head: Row, turns: Iterable[Row], place_of: PlaceOf, *, at: datetime, media: MediaChoice, note: str
) -> Export:
    """`place_of` is asked for every medium and every attached picture."""
    made = tuple(_turn(number, turn, place_of) for number, turn in enumerate(turns, 1))
    return Export(head, made, at, media, note)


def _turn(number: int, turn: Row, place_of: PlaceOf) -> Turn:
    asked = [one for one in turn["messages"] if one["role"] == "user"]
    answers = [one for one in turn["messages"] if one["role"] != "user"]
    pictures = (picture for one in asked for picture in one["attachments"] or ())
    return Turn(
        number,
        turn,
        tuple(Medium("image", one, place_of(one)) for one in pictures),
        tuple(
            Answer(
                one["model_id"] or "",
                one,
                tuple(Medium(medium["type"], medium, place_of(medium)) for medium in one["media_urls"] or ()),
            )
            for one in answers
        ),
    )


def linked(origin: str) -> PlaceOf:
    """Addresses that do not change; an attached picture has none of its own."""

    def place_of(medium: Row) -> Place:
        if not medium.get("media_id"):
            return Place(missing="An attached picture has no address; a bundled export holds it.")
        if medium.get("status") != "stored":
            return Place(missing=_why(medium))
        return Place(f"{origin}/api/media/{medium['media_id']}/content")

    return place_of


def left_out(_: Row) -> Place:
    return Place(missing="Left out of this export.")


def bundled(files: Iterable[tuple[Entry, str | None]]) -> PlaceOf:
    """`files` are the entries of the bundle, each with the reason why it is missing, None where it is there."""
    places: dict[str, Place] = {}
    for entry, missing in files:
        if missing is None:
            places[entry.key] = Place(entry.name)
        elif entry.key:
            places[entry.key] = Place(missing=f"It could not be put in: {missing}.")

    def place_of(medium: Row) -> Place:
        stored = medium.get("status", "stored") == "stored"
        found = places.get(medium.get("key") or "") if stored else None
        return found or Place(missing=_why(medium))

    return place_of


def assets_of(turns: Iterable[Row]) -> list[Entry]:
    """All that a bundle holds beside the document: the media of the answers, and the pictures that were attached."""
    turns = list(turns)
    made = [replace(one, name=f"{ASSETS}/{one.name}") if one.name else one for one in entries_of(turns)]
    return made + list(_attached(turns))


def _attached(turns: Iterable[Row]) -> Iterator[Entry]:
    for number, turn in enumerate(turns, 1):
        position = 0
        for message in turn["messages"]:
            for picture in message["attachments"] or () if message["role"] == "user" else ():
                position += 1
                ending = _ENDINGS.get(picture["content_type"], "bin")
                # Models have folders that begin with a letter or a digit, so that this one is nobody's.
                name = f"{ASSETS}/_attached/{number:02d}-{position:02d}.{ending}"
                about = {"status": "stored", "turn": number}
                yield Entry(about, message["created_at"], name, picture["key"], picture["size_bytes"])


def _why(medium: Row) -> str:
    return _GONE.get(medium.get("status") or "", "It was not stored.")


def one_line(text: str) -> str:
    """Without what ends a line, and without what turns the direction of reading around."""
    return _CONTROLS.sub(" ", text).strip()


def told_of(medium: Medium) -> dict[str, Any]:
    """Type, format and measures as far as they are known, in words for people."""
    about = medium.about
    told: dict[str, Any] = {}
    if about.get("width") and about.get("height"):
        told["size"] = f"{about['width']} × {about['height']}"
    if about.get("duration_ms"):
        told["length"] = f"{about['duration_ms'] / 1000:.1f} s"
    if about.get("size_bytes"):
        told["bytes"] = f"{about['size_bytes']:,} bytes"
    return told

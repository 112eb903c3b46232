"""All media of a conversation as one zip: names, manifest, what is missing, and memory."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.api.zip_contents import entries_of
from polylogue.api.zip_download import archive
from polylogue.media.reading import PIECE_BYTES, ObjectMissingError, ObjectReader
from polylogue.media.store import StorageUnavailableError

MB = 1024 * 1024
AT = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
HEAD = {"conversation_id": "c", "title": "Blue squares", "created_at": AT}


class Reader:
    """Objects by key: their bytes, their size (all zeros), or the error that comes instead."""

    def __init__(self, objects: Mapping[str, bytes | int | Exception]) -> None:
        self.objects = objects
        self.open = 0

    def pieces(self, key: str, first: int, last: int) -> Generator[bytes]:
        found = self.objects[key]
        if isinstance(found, Exception):
            raise found
        self.open += 1
        try:
            size = found if isinstance(found, int) else len(found)
            assert (first, last) == (0, size - 1)
            for at in range(0, size, PIECE_BYTES):
                count = min(PIECE_BYTES, size - at)
                yield bytes(count) if isinstance(found, int) else found[at : at + count]
        finally:
            self.open -= 1


def medium(key: str, size: int = 3, **values: Any) -> dict[str, Any]:
    told = {
        "media_id": key,
        "type": "image",
        "status": "stored",
        "format": "png",
        "size_bytes": size,
        "key": key,
    }
    return told | values


def turn(*answers: tuple[str, list[dict[str, Any]] | None], **values: Any) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [
        {"message_id": "u", "model_id": None, "media_urls": None, "created_at": AT}
    ]
    messages += [
        {"message_id": f"r{number}", "model_id": model, "media_urls": media, "created_at": AT}
        for number, (model, media) in enumerate(answers)
    ]
    return {
        "turn_id": "t",
        "prompt": "Draw",
        "inherited": False,
        "gone": False,
        "messages": messages,
    } | values


def zipped(reader: Reader, *turns: dict[str, Any]) -> zipfile.ZipFile:
    whole = b"".join(archive(cast("ObjectReader", reader), HEAD, list(turns)))
    opened = zipfile.ZipFile(io.BytesIO(whole))
    assert opened.testzip() is None
    return opened


def test_files_are_named_by_model_turn_and_position_and_the_manifest_tells_of_each() -> None:
    reader = Reader({"a": b"aaa", "b": b"bbb", "c": b"ccc", "d": b"ddd"})
    found = zipped(
        reader,
        turn(("sim/painter", [medium("a"), medium("b", format="webp", width=2)]), ("sim/text", None)),
        turn(("sim-painter", [medium("c")]), ("sim/painter", [medium("d")]), turn_id="t2"),
    )
    names = [
        "sim-painter/01-01.png",
        "sim-painter/01-02.webp",
        "sim-painter-2/02-01.png",
        "sim-painter/02-01.png",
    ]
    assert found.namelist() == [*names, "manifest.json"]
    assert [found.read(name) for name in names] == [b"aaa", b"bbb", b"ccc", b"ddd"]
    told = json.loads(found.read("manifest.json"))
    assert [(one["file"], one["missing"]) for one in told["media"]] == [(name, None) for name in names]
    assert (told["media"][1]["width"], told["media"][1]["model"]) == (2, "sim/painter")
    assert [(one["turn"], one["prompt"]) for one in told["turns"]] == [(1, "Draw"), (2, "Draw")]
    assert (told["conversation_id"], told["title"]) == ("c", "Blue squares")
    assert "url" not in told["media"][0]


def test_what_is_not_there_is_told_in_the_manifest_and_fails_nothing() -> None:
    reader = Reader({"a": b"aaa", "b": ObjectMissingError(), "c": StorageUnavailableError("no")})
    media = [
        medium("b"),
        medium("c"),
        medium("x", status="deleted"),
        medium("y", status="expired"),
        medium("a"),
    ]
    found = zipped(reader, turn(("m", media)))
    assert found.namelist() == ["m/01-05.png", "manifest.json"]
    told = json.loads(found.read("manifest.json"))["media"]
    assert [(one["media_id"], one["missing"]) for one in told] == [
        ("b", "not in the storage any more"),
        ("c", "the storage did not answer"),
        ("x", "deleted"),
        ("y", "expired"),
        ("a", None),
    ]


def test_a_conversation_without_media_is_a_manifest() -> None:
    assert zipped(Reader({}), turn(("m", None))).namelist() == ["manifest.json"]


def test_a_file_that_breaks_off_ends_the_zip_and_is_not_passed_off_as_whole() -> None:
    class Breaking(Reader):
        def pieces(self, key: str, first: int, last: int) -> Generator[bytes]:
            yield bytes(10)
            raise StorageUnavailableError("cut")

    with pytest.raises(StorageUnavailableError):
        zipped(Breaking({}), turn(("m", [medium("a", 1000)])))


def test_memory_does_not_grow_with_the_files_and_nothing_is_compressed() -> None:
    sizes = {f"{number}": 60 * MB for number in range(4)}
    turns = [turn(("m", [medium(key, size) for key, size in sizes.items()]))]
    tracemalloc.start()
    try:
        written = sum(len(piece) for piece in archive(cast("ObjectReader", Reader(sizes)), HEAD, turns))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 * PIECE_BYTES
    assert sum(sizes.values()) < written < 1.01 * sum(sizes.values())


def test_leaving_early_closes_the_object_that_is_being_read() -> None:
    reader = Reader({"a": 50 * MB})
    pieces = archive(cast("ObjectReader", reader), HEAD, [turn(("m", [medium("a", 50 * MB)]))])
    next(pieces)
    assert reader.open == 1
    pieces.close()
    assert reader.open == 0


# Also such as differ in what a file name cannot hold, or in nothing that a file system sees.
NAMES = st.text(alphabet="aAbB./\\-:~ é", min_size=1, max_size=4) | st.text(min_size=1, max_size=8)


@given(st.lists(st.tuples(NAMES, st.integers(1, 3)), max_size=6))
def test_whatever_models_are_called_their_files_have_names_of_their_own_that_stay_in_the_folder(
    answers: list[tuple[str, int]],
) -> None:
    made = entries_of([turn(*((model, [medium("k")] * count) for model, count in answers))])
    names = [entry.name for entry in made if entry.name]
    assert len(names) == len({name.lower() for name in names}) == sum(count for _, count in answers)
    for name in names:
        folder, _, file = name.partition("/")
        assert folder.strip(".")
        assert "/" not in file
        assert "\\" not in name

"""Removing objects: only what is still to go, only while the log was read a moment ago."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from polylogue.media.bucket_contents import BucketContents, StoredObject
from polylogue.streams.sweeper_objects import BucketUnavailableError, DecisionTooOldError, ObjectRemoval
from polylogue.streams.sweeper_plan import RemoveObjects

FOLDER = "media/image/c/sim%2Fpainter/"
MINE = [f"{FOLDER}20260101_m.png", f"{FOLDER}20260101_m.webp.webp", f"{FOLDER}20260101_m.thumbnail.webp"]
OTHERS = [f"{FOLDER}20260101_mm.png", f"{FOLDER}20260101_n.png"]
NEIGHBOURS = ["media/image/cc/m/20260101_m.png"]


class Contents:
    def __init__(self, error: Exception | None = None) -> None:
        self.keys = set(MINE + OTHERS + NEIGHBOURS)
        self._error = error

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        if self._error is not None:
            raise self._error
        return iter([StoredObject(key, 1, 0) for key in sorted(self.keys) if key.startswith(prefix)])

    def remove(self, key: str) -> None:
        self.keys.discard(key)


def removal(contents: Contents) -> ObjectRemoval:
    return ObjectRemoval(cast("BucketContents", contents))


async def removed(contents: Contents, action: RemoveObjects, **answers: Any) -> int:
    objects = removal(contents)
    try:
        return await objects.remove(action, **({"stands": lambda: True, "fresh": lambda: True} | answers))
    finally:
        objects.close()


@pytest.mark.parametrize("key", [MINE[0], None])
async def test_all_objects_of_a_medium_go_and_no_others(key: str | None) -> None:
    contents = Contents()
    assert await removed(contents, RemoveObjects("c", "m", 0, key)) == 3
    assert contents.keys == {*OTHERS, *NEIGHBOURS}


async def test_all_objects_of_a_conversation_go_and_no_others() -> None:
    contents = Contents()
    assert await removed(contents, RemoveObjects("c", None, 0)) == 5
    assert contents.keys == set(NEIGHBOURS)


async def test_nothing_more_goes_once_a_record_says_otherwise() -> None:
    contents, answers = Contents(), iter([True, False])
    assert await removed(contents, RemoveObjects("c", "m", 0), stands=lambda: next(answers)) == 1
    assert len(contents.keys) == 5


async def test_nothing_goes_when_the_log_was_not_read_for_too_long() -> None:
    contents = Contents()
    with pytest.raises(DecisionTooOldError):
        await removed(contents, RemoveObjects("c", "m", 0), fresh=lambda: False)
    assert len(contents.keys) == 6


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://secret.invalid/key"),
        ClientError({"Error": {"Code": "SlowDown", "Message": "key"}}, "ListObjectsV2"),
        OSError("key"),
    ],
    ids=lambda one: type(one).__name__,
)
async def test_a_bucket_that_does_not_answer_is_said_without_keys(error: Exception) -> None:
    with pytest.raises(BucketUnavailableError) as told:
        await removed(Contents(error), RemoveObjects("c", "m", 0))
    assert "key" not in str(told.value)

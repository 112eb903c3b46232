"""A partition whose beginning was removed keeps its name, as long as anybody knows it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from polylogue.api.log_names import LogNotNamedError, log_names
from polylogue.schemas.codec import event_codec
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import ConversationRenamed, LogCreated


class Record(NamedTuple):
    value: bytes


def written(data: Any) -> bytes:
    return event_codec.encode(
        Event(
            event_id="e", conversation_id="", owner_id="system", occurred_at="2026-01-01T00:00:00Z", data=data
        )
    )


class Readers:
    """Of partitions by what their log begins with: a name, nothing yet, something else, or removed."""

    def __init__(self, *begin: str | None) -> None:
        self._begin = begin

    async def ends(self, partition: int) -> tuple[int, int]:
        begin = self._begin[partition]
        return {None: (0, 0), "removed": (7, 9)}.get(begin, (0, 9))

    async def first_record(self, partition: int) -> Record | None:
        begin = self._begin[partition]
        if begin is None:
            return None
        data = ConversationRenamed(title="x") if begin == "else" else LogCreated(log_id=begin)
        return Record(written(data))


async def named(*begin: str | None, remembered: str | None = None) -> dict[int, str]:
    async def remember(_partition: int) -> str | None:
        return remembered

    readers: Any = Readers(*begin)
    return await log_names("events", readers, remember, len(begin))


async def test_the_first_record_says_the_name() -> None:
    assert await named("aaaaaaaa", "aaaaaaaa") == {0: "aaaaaaaa", 1: "aaaaaaaa"}


async def test_where_it_was_removed_the_other_partitions_say_it() -> None:
    assert await named("removed", "aaaaaaaa", "removed") == {0: "aaaaaaaa", 1: "aaaaaaaa", 2: "aaaaaaaa"}


async def test_where_all_were_removed_whoever_has_read_them_says_it() -> None:
    assert await named("removed", "removed", remembered="bbbbbbbb") == {0: "bbbbbbbb", 1: "bbbbbbbb"}


@pytest.mark.parametrize(
    ("begin", "sentence"),
    [
        (["aaaaaaaa", None], r"events\[1\] has no name yet"),
        (["aaaaaaaa", "else"], r"events\[1\] has no name yet"),
        (["removed", "removed"], r"the beginning of events\[0\] was removed"),
    ],
)
async def test_what_nobody_can_name_is_said(begin: list[str | None], sentence: str) -> None:
    with pytest.raises(LogNotNamedError, match=sentence):
        await named(*begin)

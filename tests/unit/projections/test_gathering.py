"""Which records a follower holds back, for how long, and what becomes of them when their partition is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition

from polylogue.api.streams import SNAPSHOT_TABLES
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.checkpoints import Checkpoint
from polylogue.projections.conversation_messages import ConversationMessages
from polylogue.projections.gallery import Gallery
from polylogue.projections.gathering import Gathering, may_gather
from polylogue.projections.ownership import Ownership
from polylogue.projections.protocol import Projection
from polylogue.schemas.codec import event_codec
from tests.support.clock import Clock
from tests.support.events import Story

ONE, TWO = TopicPartition("conversation-events", 1), TopicPartition("conversation-events", 2)

BEGUN = Checkpoint("any", 1, 1, "log", 0, "7")


class Recorded(NamedTuple):
    offset: int
    value: bytes | None


class Following:
    """A follower's gathering, with partitions that stand at offset 0."""

    def __init__(self, projection: Projection) -> None:
        self.owned, self.clock = Ownership("any", "1"), Clock()
        self.gathering = Gathering(projection, self.owned, self.clock)
        for place in (ONE, TWO):
            self.take(place)

    def take(self, place: TopicPartition) -> None:
        self.owned.take(place, replace(BEGUN, partition=place.partition))

    def due(self, batches: Any) -> dict[TopicPartition, list[int]]:
        """The offsets that are to be written."""
        found: Any = self.gathering.due(batches)
        return {place: [record.offset for record in records] for place, records in found.items()}


@pytest.fixture
def records() -> list[Recorded]:
    """Of an answer: three that say that it begins, pieces, and its end."""
    story = Story("c")
    (answer,) = story.ask("Count", "sim/text", start="Counting")
    answer.begin().text("one", "two").reason("three").text("four").complete()
    return [Recorded(offset, event_codec.encode(event)) for offset, event in enumerate(story.events)]


@pytest.fixture
def pieces(records: list[Recorded]) -> list[Recorded]:
    found = [one for one in records if b"Appended" in (one.value or b"")]
    assert len(found) == 4
    return [one._replace(offset=number) for number, one in enumerate(found)]


@pytest.fixture
def gallery() -> Following:
    return Following(Gallery())


def test_pieces_are_held_back_until_something_else_comes_and_are_written_before_it(
    gallery: Following, pieces: list[Recorded], records: list[Recorded]
) -> None:
    assert gallery.due({ONE: pieces[:2]}) == {}
    assert gallery.gathering.places == {ONE}
    assert gallery.due({ONE: pieces[2:]}) == {}
    assert gallery.due({ONE: [records[-1]._replace(offset=4)]}) == {ONE: [0, 1, 2, 3, 4]}
    assert gallery.gathering.places == set()


def test_what_comes_in_one_partition_has_those_of_all_written(
    gallery: Following, pieces: list[Recorded], records: list[Recorded]
) -> None:
    assert gallery.due({ONE: pieces}) == {}
    assert gallery.due({TWO: records[:1]}) == {ONE: [0, 1, 2, 3], TWO: [0]}


def test_pieces_are_written_after_a_moment_though_nothing_else_comes(
    gallery: Following, pieces: list[Recorded]
) -> None:
    assert gallery.due({ONE: pieces[:1]}) == {}
    gallery.clock.now += Gathering.HOLD_S - 0.01
    assert gallery.due({TWO: pieces[:1]}) == {}
    gallery.clock.now += 0.01
    assert gallery.due({}) == {ONE: [0], TWO: [0]}
    assert gallery.due({ONE: pieces[1:2]}) == {}  # from here on anew


def test_as_many_pieces_as_make_a_batch_do_not_wait(gallery: Following, pieces: list[Recorded]) -> None:
    many = [pieces[0]._replace(offset=number) for number in range(Gathering.MOST_RECORDS)]
    assert gallery.due({ONE: many[:-1]}) == {}
    assert gallery.due({ONE: many[-1:]}) == {ONE: list(range(Gathering.MOST_RECORDS))}


def test_what_was_held_back_of_a_partition_that_was_taken_anew_is_forgotten(
    gallery: Following, pieces: list[Recorded]
) -> None:
    assert gallery.due({ONE: pieces[:2], TWO: pieces[:1]}) == {}
    gallery.owned.release(ONE)
    gallery.take(ONE)
    assert gallery.due({ONE: pieces[:1]}) == {}  # read again
    gallery.clock.now += Gathering.HOLD_S
    assert gallery.due({}) == {ONE: [0], TWO: [0]}


def test_what_was_fetched_before_the_partition_was_sought_is_not_held_back(
    gallery: Following, pieces: list[Recorded]
) -> None:
    gallery.owned.take(ONE, replace(BEGUN, next_offset=9))
    assert gallery.due({ONE: pieces}) == {ONE: [0, 1, 2, 3]}
    gallery.owned.release(ONE)
    assert gallery.due({ONE: pieces}) == {ONE: [0, 1, 2, 3]}


@pytest.mark.parametrize("value", [None, b"", b"no event", b'{"type": "TextAppended"}'])
def test_what_cannot_be_told_to_be_a_piece_is_not_held_back(gallery: Following, value: bytes | None) -> None:
    assert gallery.due({ONE: [Recorded(0, value)]}) == {ONE: [0]}


def test_nothing_is_held_back_from_what_makes_rows_of_pieces(pieces: list[Recorded]) -> None:
    assert Following(ConversationMessages()).due({ONE: pieces}) == {ONE: [0, 1, 2, 3]}


def test_nothing_is_held_back_from_tables_that_readers_of_a_running_answer_wait_for() -> None:
    gathering = {one.name for one in PROJECTIONS if may_gather(one)}
    assert gathering
    assert not gathering & {*SNAPSHOT_TABLES, "conversations", "conversation_messages"}

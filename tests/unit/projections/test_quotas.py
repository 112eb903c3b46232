"""What counts for a quota, on which day, and that no duplicate, cut or deletion counts it wrong."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from polylogue.projections.quotas import QUOTA_DAYS, QUOTA_MEDIA, QuotaUse
from tests.support.events import Story, interleave, numbered, sample_story
from tests.unit.projections.folded import changes_of, folded, rows, sums

DAY = "2026-03-01"


def test_every_medium_produced_and_every_answer_paid_for_counts_on_its_day() -> None:
    story = Story("c1", owner_id="ada")
    painter, speaker = story.ask("Draw and sing", "sim/painter", "sim/speaker", start="Both")
    first = painter.begin().produce()
    painter.produce()
    painter.refuse()  # never became a medium
    wrong = speaker.begin().produce("audio")
    story.stored(first)
    story.stored(first)  # told twice
    story.rejected(wrong)
    painter.complete()
    speaker.fail()

    found = sums(QUOTA_DAYS, [changes_of(QuotaUse(), story)])

    assert found == {("ada", DAY): {"media": 3, "cost_usd_micros": 1234}}


def test_owners_are_counted_apart_and_conversations_of_one_together() -> None:
    stories = [Story("c1", "ada"), Story("c2", "ada"), Story("c3", "bob")]
    for story in stories:
        (painter,) = story.ask("Draw", "sim/painter", start="Draw")
        painter.begin().produce()

    found = sums(QUOTA_DAYS, [changes_of(QuotaUse(), *stories)])

    assert found == {("ada", DAY): {"media": 2}, ("bob", DAY): {"media": 1}}


def test_room_is_taken_from_production_to_the_end_of_a_medium() -> None:
    story = Story("c1")
    (painter,) = story.ask("Draw", "sim/painter", start="Draw")
    painter.begin()
    underway, kept, wrong, lost, old, gone = (painter.produce() for _ in range(6))
    for media_id in (kept, old, gone):
        story.stored(media_id)
    story.rejected(wrong)
    story.failed(lost)
    story.renditions(kept)
    story.expired(old)
    story.deleted(gone)

    found = rows(QUOTA_MEDIA, changes_of(QuotaUse(), story))

    counted = {media_id for media_id, row in found.items() if row["counted"]}
    assert counted == {underway, kept}
    assert found[kept]["later_renditions_bytes"] == 99
    assert found[kept]["original_bytes"] == story.claims[kept].segments.size_bytes  # type: ignore[union-attr]


def test_one_that_is_tried_again_takes_its_room_again() -> None:
    story = Story("c1")
    (painter,) = story.ask("Draw", "sim/painter", start="Draw")
    lost = painter.begin().produce()
    story.failed(lost)
    assert rows(QUOTA_MEDIA, changes_of(QuotaUse(), story))[lost]["counted"] is False
    story.retried(lost, 1)
    assert rows(QUOTA_MEDIA, changes_of(QuotaUse(), story))[lost]["counted"] is True


def test_a_deleted_conversation_frees_its_room_and_leaves_its_counts() -> None:
    kept, deleted = sample_story("c1"), sample_story("c1")
    deleted.delete()

    assert sums(QUOTA_DAYS, [changes_of(QuotaUse(), kept)]) == sums(
        QUOTA_DAYS, [changes_of(QuotaUse(), deleted)]
    )
    assert not any(row["counted"] for row in rows(QUOTA_MEDIA, changes_of(QuotaUse(), deleted)).values())


@given(cuts=st.lists(st.integers(0, 200), max_size=6))
def test_no_cut_into_batches_changes_a_count(cuts: list[int]) -> None:
    events = numbered(interleave(sample_story("c1", "ada"), sample_story("c2", "bob")))
    edges = sorted({0, len(events), *(cut for cut in cuts if cut < len(events))})
    batches = [events[start:end] for start, end in pairwise(edges)]

    assert sums(QUOTA_DAYS, folded(QuotaUse(), batches)) == sums(QUOTA_DAYS, folded(QuotaUse(), [events]))

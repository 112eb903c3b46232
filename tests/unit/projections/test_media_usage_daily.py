"""What is counted of media, on which day, for whom, and that no cut and no deletion changes it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from polylogue.projections.media_usage_daily import MEDIA_USAGE_DAILY, MediaUsageDaily, shares
from polylogue.schemas.base import MediaType
from tests.support.events import Story, interleave, numbered, sample_story
from tests.unit.projections.folded import Numbers, changes_of, folded, sums

DAY = "2026-03-01"
MEDIA: st.SearchStrategy[MediaType] = st.sampled_from(["image", "audio", "video"])


def _numbers(*stories: Story) -> Numbers:
    return sums(MEDIA_USAGE_DAILY, [changes_of(MediaUsageDaily(), *stories)])


def test_media_are_counted_by_user_model_type_and_day() -> None:
    story = Story("c1", owner_id="ada")
    painter, speaker = story.ask("Draw and sing", "sim/painter", "sim/speaker", start="Both")
    first, second = painter.begin().produce(), painter.produce()
    sound = speaker.begin().produce("audio")
    story.stored(first)
    story.stored(second)
    story.rejected(sound)

    numbers = _numbers(story)

    assert numbers[("ada", "sim/painter", "image", DAY)] == {
        "stored": 2,
        "size_bytes": 1001 + 1002,
        "latency_ms_to_50": 2,  # each was stored four events after it was produced, at 10 ms an event
    }
    assert numbers[("ada", "sim/speaker", "audio", DAY)] == {"failed": 1}


def test_each_failure_counts_and_a_retry_that_succeeds_counts_as_stored() -> None:
    story = Story("c1")
    (painter,) = story.ask("Draw", "sim/painter", start="Draw")
    painter.begin().refuse()
    lost = painter.produce()
    story.failed(lost)
    painter.complete()
    story.retried(lost, 1)
    story.stored(lost, 1)

    (row,) = _numbers(story).values()

    assert (row["failed"], row["stored"]) == (2, 1)
    # From the retry on, not from when it was produced.
    assert row["latency_ms_to_10"] == 1


def test_an_answer_without_media_costs_the_media_nothing() -> None:
    story = Story("c1")
    words, painter = story.ask("Draw", "sim/text", "sim/painter", start="Draw")
    words.begin().text("No.").complete()
    painter.begin().refuse()
    story.stored(painter.produce())
    painter.complete()

    assert {key[1]: row.get("cost_usd_micros") for key, row in _numbers(story).items()} == {
        "sim/painter": 1234
    }


@given(cost=st.integers(0, 10**12), media=st.lists(MEDIA, min_size=1, max_size=40))
def test_the_shares_of_a_cost_are_the_cost(cost: int, media: list[MediaType]) -> None:
    parts = list(shares(cost, media))

    assert sum(share for _, share in parts) == cost
    assert {media_type for media_type, _ in parts} <= set(media)


def test_a_deleted_conversation_leaves_its_numbers() -> None:
    kept, deleted = sample_story("c1"), sample_story("c1")
    deleted.delete()
    deleted.deleted(next(iter(deleted.claims)))

    assert _numbers(deleted) == _numbers(kept)


@given(data=st.data())
def test_any_cut_into_batches_gives_the_same_sums(data: st.DataObject) -> None:
    log = numbered(interleave(sample_story("c1"), sample_story("c2", owner_id="other")))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(log) - 1), max_size=12)))
    batches = [log[start:end] for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True)]

    parted = folded(MediaUsageDaily(), batches)

    whole = sums(MEDIA_USAGE_DAILY, folded(MediaUsageDaily(), [log]))
    assert whole
    assert sums(MEDIA_USAGE_DAILY, parted) == whole
    assert sums(MEDIA_USAGE_DAILY, reversed(parted)) == whole

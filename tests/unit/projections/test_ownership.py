"""What a follower owns while partitions come and go between its awaits."""

from __future__ import annotations

from dataclasses import replace

from aiokafka import TopicPartition

from polylogue.projections.checkpoints import Checkpoint
from polylogue.projections.ownership import Ownership

ONE, TWO = TopicPartition("conversation-events", 1), TopicPartition("conversation-events", 2)
AT_5 = Checkpoint(projection="words", version=1, partition=1, log_id="log", next_offset=5, written_by="7")
AT_9 = replace(AT_5, next_offset=9)


def _owning() -> Ownership:
    owned = Ownership("words", "1")
    owned.take(ONE, AT_5)
    return owned


def test_what_is_assigned_is_taken_once_and_again_after_it_was_released() -> None:
    owned = _owning()
    assert owned.to_take({ONE, TWO}) == {TWO}
    owned.release(ONE)
    assert owned.to_take({ONE, TWO}) == {ONE, TWO}


def test_a_stopped_partition_is_not_taken_again_before_all_is_forgotten() -> None:
    owned = _owning()
    owned.stop(ONE)
    assert (owned.checkpoint(ONE), owned.to_take({ONE})) == (None, set())
    owned.forget_all()
    assert owned.to_take({ONE}) == {ONE}


def test_a_checkpoint_that_was_reached_is_told_to_the_group_once() -> None:
    owned = _owning()
    assert owned.advance(ONE, AT_5, AT_9)
    assert owned.positions == {ONE: 9}
    assert (owned.take_unreported(), owned.take_unreported()) == ({ONE: 9}, {})


def test_what_was_written_of_a_partition_that_was_taken_anew_meanwhile_moves_nothing() -> None:
    owned = _owning()
    owned.forget_all()
    owned.take(ONE, replace(AT_5))  # equal, and of another assignment
    assert not owned.advance(ONE, AT_5, AT_9)
    assert (owned.positions, owned.take_unreported()) == ({ONE: 5}, {})


def test_attempts_are_counted_across_a_release_until_one_succeeds() -> None:
    owned = _owning()
    assert owned.failed(ONE) == 1
    owned.release(ONE)
    owned.take(ONE, AT_5)
    assert owned.failed(ONE) == 2
    owned.succeeded(ONE)
    assert owned.failed(ONE) == 1

"""Which logs a checkpoint refuses, and that each refusal says what to do."""

from __future__ import annotations

import pytest

from polylogue.projections.checkpoints import Checkpoint, refuse
from polylogue.projections.log_heads import LogHead

CHECKPOINT = Checkpoint("conversations", 1, partition=2, log_id="aaaa", next_offset=50, written_by="7")


def _head(*, beginning: int = 0, end: int = 60, log_id: str | None = "aaaa") -> LogHead:
    return LogHead("conversation-events", 2, beginning, end, log_id)


@pytest.mark.parametrize(
    "head",
    [_head(), _head(end=50), _head(beginning=50, log_id=None), _head(beginning=10, log_id=None)],
    ids=["inside", "at the end", "at the beginning", "start removed, but long read"],
)
def test_a_checkpoint_within_its_log_is_continued_from(head: LogHead) -> None:
    assert refuse(CHECKPOINT, head) is None


def test_another_log_is_refused_and_both_are_named() -> None:
    refusal = refuse(CHECKPOINT, _head(log_id="bbbb"))

    assert refusal is not None
    assert "partition 2 of conversation-events is log bbbb" in refusal
    assert "log aaaa" in refusal
    assert "polylogue projections reset conversations" in refusal


def test_an_offset_past_the_head_is_refused_and_both_are_named() -> None:
    refusal = refuse(CHECKPOINT, _head(end=49))

    assert refusal is not None
    assert "ends at offset 49" in refusal
    assert "offset 50" in refusal
    assert "polylogue projections reset conversations" in refusal


def test_records_removed_before_they_were_read_are_a_refusal() -> None:
    refusal = refuse(CHECKPOINT, _head(beginning=51, log_id=None))

    assert refusal is not None
    assert "begins at offset 51" in refusal
    assert "topics apply" in refusal

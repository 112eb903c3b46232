"""When a new medium may come in: the operator's switch, and room for its bytes."""

from __future__ import annotations

from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError
from hypothesis import given
from hypothesis import strategies as st

from polylogue.infra.settings import load_settings
from polylogue.schemas.controls import MediaPaused, MediaResumed
from polylogue.schemas.envelope import Control
from polylogue.streams.admission import AGENT_GROUP, OVERLOADED, PAUSED, MediaAdmission
from polylogue.streams.faust_app import GROUP
from polylogue.streams.gateway.answer import DISABLED
from polylogue.streams.media_switch import MediaSwitch, in_force
from polylogue.streams.segment_backlog import Backlog, SegmentBacklog, Span
from polylogue.streams.segment_series import SEGMENT_BYTES


class Measured:
    def __init__(self, *backlogs: Backlog | Exception) -> None:
        self._backlogs = list(backlogs)

    async def measure(self) -> Backlog:
        measured = self._backlogs.pop(0)
        if isinstance(measured, Exception):
            raise measured
        return measured


def admission(*backlogs: Backlog | Exception, paused: bool = False, **changes: Any) -> MediaAdmission:
    settings = load_settings(_env_file=None, kafka_bootstrap_servers="127.0.0.1:1", **changes)
    switch = MediaSwitch(settings)
    switch.paused = paused
    return MediaAdmission(settings, switch, cast("SegmentBacklog", Measured(*backlogs)))


def test_media_come_in_as_long_as_nothing_speaks_against_it() -> None:
    free = admission()
    assert (free.off, free.refusal()) == (None, None)


def test_a_pause_refuses_what_comes_and_asks_for_nothing_more() -> None:
    paused = admission(paused=True)
    assert paused.off == PAUSED
    assert paused.refusal() == ("disabled", PAUSED)


def test_the_setting_asks_for_nothing_and_lets_what_was_asked_for_come() -> None:
    off = admission(enable_media_responses=False)
    assert off.off == DISABLED
    assert off.refusal() is None


async def test_half_of_a_partition_is_where_media_are_refused_until_there_is_room_again() -> None:
    below, above = Backlog({0: 499, 1: 0}, 1000), Backlog({0: 0, 1: 500}, 1000)
    one = admission(below, above, KafkaConnectionError("away"), below)
    await one.measure()
    assert one.refusal() is None
    await one.measure()
    assert one.refusal() == ("overloaded", OVERLOADED)
    await one.measure()  # nobody says: the last figure holds
    assert one.refusal() == ("overloaded", OVERLOADED)
    await one.measure()
    assert one.refusal() is None


def test_without_a_budget_nothing_is_too_much() -> None:
    assert Backlog({0: 10**15}, None).fraction == 0


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**12), st.integers(-10, 10**6))
def test_the_bytes_behind_an_offset_are_never_more_than_there_are(
    begin: int, count: int, size: int, offset: int
) -> None:
    known, unknown = Span(begin, begin + count, size), Span(begin, begin + count)
    wanted = min(offset, begin + count)
    assert 0 <= known.bytes_from(wanted) <= size
    assert known.bytes_from(begin + count) == 0
    assert unknown.bytes_from(wanted) == SEGMENT_BYTES * (begin + count - max(begin, wanted))


@pytest.mark.parametrize("before", [True, False])
def test_the_last_word_of_the_operator_is_in_force(before: bool) -> None:
    def said(data: MediaPaused | MediaResumed) -> Control:
        return Control(control_id="1", issued_at="2026-01-01T00:00:00.000Z", data=data)

    assert in_force(said(MediaPaused(reason="x")), paused=before)
    assert not in_force(said(MediaResumed()), paused=before)


def test_the_group_whose_progress_counts_is_that_of_the_media_agent() -> None:
    assert AGENT_GROUP == GROUP

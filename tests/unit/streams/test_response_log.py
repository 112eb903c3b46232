"""Text is joined while it waits, cut where it is long, and never passes another event."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylogue.schemas.envelope import Event
from polylogue.schemas.events import ReasoningAppended, ResponseNoted, TextAppended
from polylogue.streams.partition_writer import PartitionLostError
from polylogue.streams.response_log import LONGEST_DELTA, ResponseLog
from tests.support.log import start_turn
from tests.support.sink import Sink


def response_log(sink: Sink, coalesce_s: float = 60) -> ResponseLog:
    return ResponseLog(sink, start_turn("m"), "r", attempt=2, sequence=0, coalesce_s=coalesce_s)


pieces = st.lists(
    st.tuples(
        st.sampled_from([TextAppended, ReasoningAppended, ResponseNoted]),
        st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=4),
    ),
    max_size=30,
)


@given(pieces)
@settings(max_examples=60)
def test_joining_keeps_every_character_and_the_order_of_kinds(given_pieces) -> None:
    async def run() -> list[Event]:
        sink = Sink()
        log = response_log(sink)
        for kind, text in given_pieces:
            if kind is ResponseNoted:
                log.event(ResponseNoted(code="c", message=text))
            else:
                log.text(text, kind)
        log.send_text()
        return sink.events

    events = asyncio.run(run())
    assert _runs([(kind, text) for kind, text in given_pieces]) == _runs(
        [
            (type(event.data), getattr(event.data, "text", getattr(event.data, "message", "")))
            for event in events
        ]
    )
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))


async def test_text_is_sent_when_its_time_is_over() -> None:
    sink = Sink()
    log = response_log(sink, coalesce_s=0.001)
    log.text("a")
    log.text("b")
    assert sink.events == []
    while not sink.events:
        await asyncio.sleep(0)
    assert [event.data for event in sink.events] == [TextAppended(text="ab")]


async def test_long_text_is_cut_below_the_size_of_a_record() -> None:
    sink = Sink()
    response_log(sink).text("x" * (LONGEST_DELTA * 2 + 1))
    assert [len(event.data.text) for event in sink.events] == [LONGEST_DELTA, LONGEST_DELTA, 1]


async def test_waiting_text_of_a_lost_partition_is_forgotten_without_a_sound() -> None:
    sink = Sink()
    log = response_log(sink, coalesce_s=0.001)
    log.text("a")
    sink.lost = True
    while log._timer is not None:
        await asyncio.sleep(0)
    assert sink.events == []
    with pytest.raises(PartitionLostError):
        log.event(ResponseNoted(code="c", message="m"))


@pytest.mark.parametrize(
    ("pieces", "stored"),
    [(["a\x00b"], "a\ufffdb"), (["\ud83d", "\ude00"], "😀"), (["x\ud83d"], "x\ufffd"), (["ü"], "ü")],
)
async def test_text_that_no_table_can_hold_is_mended(pieces: list[str], stored: str) -> None:
    sink = Sink()
    log = response_log(sink)
    for piece in pieces:
        log.text(piece)
    log.send_text()
    assert [event.data.text for event in sink.events] == [stored]


def _runs(given_pieces) -> list[tuple[type, str]]:
    """Neighbouring text of one kind joined, empty text left out."""
    runs: list[tuple[type, str]] = []
    for kind, text in given_pieces:
        if kind is not ResponseNoted and not text:
            continue
        if runs and runs[-1][0] is kind and kind is not ResponseNoted:
            runs[-1] = (kind, runs[-1][1] + text)
        else:
            runs.append((kind, text))
    return runs

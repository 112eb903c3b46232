"""The bench's own parts: pictures of an exact size, percentiles, stamps, reports."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from bench import chunks, report
from bench.figure import Figure, Series, Table, Target, percentile
from bench.pictures import png
from bench.questions import Line, latencies_ms
from bench.stamps import stamp, stamps
from polylogue.streams.gateway.chat_completions import ChatCompletions
from polylogue.streams.gateway.events import Finished, MediaBytes, TextDelta
from polylogue.streams.gateway.framing import Framing


@pytest.mark.parametrize("size", [20_000, 1_000_000])
def test_a_picture_has_exactly_its_size_and_can_be_decoded(size: int) -> None:
    data = png(size, seed=1)
    assert len(data) == size
    Image.open(io.BytesIO(data)).load()
    assert data != png(size, seed=2)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_a_percentile_is_a_measured_value_with_that_share_below_it(values: list[float]) -> None:
    found = percentile(values, 50)
    assert found in values
    assert sum(value <= found for value in values) * 2 >= len(values)


def test_a_stamp_survives_its_way_through_a_frame() -> None:
    before = time.time_ns()
    data = json.dumps({"type": "chunk", "content": stamp()}).encode()
    line = Line(time.time_ns() + 5_000_000, data)
    assert before <= line.stamps[0] <= line.at_ns
    assert 5 <= latencies_ms([line])[0] < 1000
    assert stamps(b"@12@") == []


def test_the_recorded_answer_is_what_the_gateway_adapter_takes_for_a_whole_one() -> None:
    picture = png(20_000, seed=1)
    framing, adapter = Framing(), ChatCompletions()
    events = [event for frame in framing.feed(chunks.answer(50, (picture,))) for event in adapter.feed(frame)]
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "".join(chunks.words(50))
    assert [e.data for e in events if isinstance(e, MediaBytes)] == [picture]
    assert isinstance(events[-1], Finished)


def test_a_report_holds_every_value_and_says_whether_the_median_meets_the_target(tmp_path: Path) -> None:
    async def run(_: bool) -> list[object]:
        return []

    table = Table()
    for value in (3.0, 1.0, 9.0):
        table.add("latency", "ms", value, Target(2))
    path = report.write(
        Figure("example", "From a to b.", run),  # type: ignore[arg-type]  # never run
        table.series(),
        quick=False,
        machine={"cores": 2},
        versions={"python": "3.11"},
        directory=tmp_path,
    )
    (series,) = json.loads(path.read_text())["series"]
    assert series == {
        "name": "latency",
        "unit": "ms",
        "median": 3.0,
        "min": 1.0,
        "max": 9.0,
        "values": [3.0, 1.0, 9.0],
        "target": "≤ 2",
        "met": False,
    }


def test_a_figure_with_parts_is_shown_as_one_table_each() -> None:
    async def run(_: bool) -> list[Series]:
        return []

    idle, storm = Table("memory"), Table("storm")
    idle.add("a reader", "KiB", 3)
    storm.add("a reader", "ms", 4)
    told = io.StringIO()
    figure = Figure("readers", "From here to there.", run)
    report.show(Console(file=told, width=80), figure, [*idle.series(), *storm.series()])
    assert [line.strip() for line in told.getvalue().splitlines() if "runs)" in line] == [
        "readers: memory (1 runs)",
        "readers: storm (1 runs)",
    ]
    assert told.getvalue().count("From here to there.") == 1

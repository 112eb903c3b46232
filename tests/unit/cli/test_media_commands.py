"""Ages and lines of `polylogue media` and `polylogue usage tail`."""

from __future__ import annotations

import pytest

from polylogue.cli.media_audit import table
from polylogue.cli.media_retry import seconds
from polylogue.cli.problems import Problem
from polylogue.cli.usage_tail import line
from polylogue.schemas.envelope import UsageEvent
from polylogue.schemas.usage import MediaUsageRecorded, Steps
from polylogue.streams.sweeper_audit import Finding


@pytest.mark.parametrize(("age", "wanted"), [("90s", 90), ("30m", 1800), (" 2h ", 7200), ("3d", 259_200)])
def test_an_age_is_a_number_and_a_unit(age: str, wanted: float) -> None:
    assert seconds(age) == wanted


@pytest.mark.parametrize("age", ["", "2", "h", "2 h", "-2h", "2w", "1.5h", "9999999d"])
def test_what_is_no_age_is_said_in_one_sentence(age: str) -> None:
    with pytest.raises(Problem, match="is no age"):
        seconds(age)


def test_a_line_of_usage_tells_what_is_known_and_obeys_nobody() -> None:
    recorded = MediaUsageRecorded(
        outcome="failed",
        media_id="m",
        media_type="video",
        conversation_id="c",
        response_id="r",
        model="sim/\x1b[31mfilm",
        size_bytes=1_234_567,
        reason="storage_unavailable",
        width=640,
        height=480,
        duration_ms=1500,
        cost_usd_micros=12_300,
        latency_ms=987,
        steps=Steps(queued=12, read=300, upload=675),
    )
    event = UsageEvent(
        event_id="m.failed.0", owner_id="local", occurred_at="2026-11-03T09:12:30.250Z", data=recorded
    )
    told = line(event)
    assert "\x1b" not in told
    assert told.startswith("2026-11-03T09:12:30.250Z  failed    local  sim/")
    assert told.endswith(
        "video, 1,234,567 bytes, 640×480, 1.5 s, $0.0123, in 987 ms (queued 12, read 300, upload 675), storage_unavailable  m"
    )


def test_the_table_of_an_audit_says_what_was_removed_and_what_is_left() -> None:
    orphan = Finding("orphan", "media/x", "no event speaks of it", 7, 1_790_000_000_000)
    missing = Finding("missing", "media/y", "it is shown as stored and has no object")
    lines = table([orphan, missing], frozenset({orphan}))
    assert " ".join(lines[1].split()) == (
        "orphan (removed) 2026-09-21 14:13:20 7 media/x no event speaks of it"
    )
    assert lines[-1] == "2 found, 1 removed, 1 left."
    assert table([], frozenset()) == ["Bucket and log agree."]

"""Every wire case gives the same events however its bytes are cut and whatever comments stand between its lines."""

from __future__ import annotations

import itertools
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylogue.simulator.case_replies import Reply
from polylogue.simulator.case_switch import reply_to
from polylogue.simulator.cases import CASES
from polylogue.streams.gateway import questions
from polylogue.streams.gateway.events import Finished, GatewayEvent, TextDelta, UpstreamError
from polylogue.streams.gateway.framing import Framing
from polylogue.streams.gateway.protocols import Protocol
from polylogue.streams.gateway.request import AudioRequest, ChatRequest
from polylogue.streams.gateway.sse import ProtocolError
from tests.unit.gateway.cases import EXPECTED
from tests.unit.gateway.cases.expected import BROKEN, SILENT, failed, joined

LIMIT = 1024 * 1024
TOO_LONG = failed("limit", "The gateway sent more in one piece than is allowed.", retryable=False)


@cache
def reply(case_id: str) -> Reply:
    return reply_to(case_id, EXPECTED[case_id].size)


def is_stream(case_id: str) -> bool:
    if CASES[case_id].endpoint == "videos":
        return False
    sent = reply(case_id)
    return sent.status == 200 and not sent.silent and not sent.content_type.startswith("audio/")


STREAMS = [case_id for case_id in CASES if is_stream(case_id)]
WITH_LINES = [
    case_id
    for case_id in STREAMS
    if not reply(case_id).body.startswith((b"{", b"\xef")) and b"\r" not in reply(case_id).body
]


def run(case_id: str, body: bytes, cuts: list[int]) -> list[GatewayEvent]:
    protocol: Protocol = CASES[case_id].endpoint
    audio_format = EXPECTED[case_id].audio_format
    request = ChatRequest(
        model="m", messages=(), audio=AudioRequest("alloy", audio_format) if audio_format else None
    )
    adapter = questions.adapter(protocol, request, max_media_bytes=LIMIT)
    framing = Framing(max_line_bytes=2 * LIMIT, max_body_bytes=2 * LIMIT)
    events: list[GatewayEvent] = []
    for start, stop in itertools.pairwise([0, *sorted(cuts), len(body)]):
        for frame in framing.feed(body[start:stop]):
            events += adapter.feed(frame)
    match reply(case_id).end:
        case "close":
            for frame in framing.end():
                events += adapter.feed(frame)
            events += adapter.end()
        case "drop":
            events += adapter.fail(BROKEN)
        case "stall":
            events += adapter.fail(SILENT)
        case "endless":
            assert framing.feed(b"A" * LIMIT) == []
            with pytest.raises(ProtocolError):
                framing.feed(b"A" * LIMIT)
            events += adapter.fail(TOO_LONG)
    assert adapter.ended
    assert adapter.end() == []
    return events


def wanted(case_id: str) -> list[GatewayEvent]:
    expected = EXPECTED[case_id]
    events = expected.events(expected.size) if callable(expected.events) else expected.events  # type: ignore[arg-type]
    return events if expected.leave_after is None else [*events, SILENT]


@pytest.mark.parametrize("case_id", [one for one in STREAMS if len(reply(one).body) < 100_000])
def test_one_byte_at_a_time_gives_the_events_of_the_case(case_id: str):
    body = reply(case_id).body
    assert joined(run(case_id, body, list(range(len(body))))) == joined(wanted(case_id))


@settings(max_examples=300)
@given(st.sampled_from(STREAMS), st.data())
def test_any_cut_gives_the_events_of_the_case(case_id: str, data: st.DataObject):
    body = reply(case_id).body
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=30))
    assert joined(run(case_id, body, cuts)) == joined(wanted(case_id))


@settings(max_examples=300)
@given(st.sampled_from(WITH_LINES), st.data())
def test_comments_between_any_lines_change_nothing(case_id: str, data: st.DataObject):
    lines = reply(case_id).body.split(b"\n")
    comment = st.sampled_from([b"", b": OPENROUTER PROCESSING\n", b":\n", b": \xff data: x\n:\n"])
    comments = data.draw(st.lists(comment, min_size=len(lines), max_size=len(lines)))
    body = b"\n".join(extra + line for extra, line in zip(comments, lines, strict=True))
    assert joined(run(case_id, body, [])) == joined(wanted(case_id))


@settings(max_examples=300)
@given(st.sampled_from([one for one in STREAMS if len(reply(one).body) < 100_000]), st.data())
def test_whatever_is_done_to_the_bytes_the_answer_ends_once(case_id: str, data: st.DataObject):
    """Cut out, doubled, overwritten, mixed with another case: never an exception, always one end, and it is last."""
    body = bytearray(reply(case_id).body)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        stop = data.draw(st.integers(start, min(len(body), start + 200)))
        other = reply(data.draw(st.sampled_from(STREAMS[:40]))).body[:2000]
        body[start:stop] = data.draw(
            st.sampled_from([b"", body[start:stop] * 2, b"\xff\x00", b"\n\n", b'"', b"\\", b"data: ", other])
        )
    protocol: Protocol = CASES[case_id].endpoint
    request = ChatRequest(model="m", messages=())
    adapter, framing = questions.adapter(protocol, request, max_media_bytes=LIMIT), Framing()
    events: list[GatewayEvent] = []
    for frame in (*framing.feed(bytes(body)), *framing.end()):
        events += adapter.feed(frame)
    events += adapter.end()
    assert [isinstance(event, Finished | UpstreamError) for event in events][-1:] == [True]
    assert sum(isinstance(event, Finished | UpstreamError) for event in events) == 1
    for event in events:
        if isinstance(event, TextDelta):
            event.text.encode()  # what is stored is UTF-8

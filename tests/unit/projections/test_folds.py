"""What each projection makes of a conversation, however the log is cut into batches or repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.conversation_messages import MESSAGES, ConversationMessages
from polylogue.projections.conversations import Conversations
from polylogue.projections.media_objects import MediaObjects
from polylogue.projections.protocol import Projection
from polylogue.projections.reduction import reduce
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import EVENTS
from tests.support.events import EPOCH, Story, interleave, numbered, sample_story
from tests.unit.projections.memory import Rows, build

EACH = pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: projection.name)


def _deleted_story(conversation_id: str) -> Story:
    story = sample_story(conversation_id)
    story.delete()
    story.deleted(next(iter(story.claims)))
    return story


def _log() -> list[Event]:
    return interleave(sample_story("c1"), _deleted_story("c2"), sample_story("c3", owner_id="other"))


def _only(projection: Projection, table: str, story: Story) -> Rows:
    return build(projection, [numbered(story.events)])[table]


@EACH
@given(data=st.data())
def test_any_cut_into_batches_gives_the_same_rows(projection: Projection, data: st.DataObject) -> None:
    log = numbered(_log())
    cuts = sorted(data.draw(st.sets(st.integers(1, len(log) - 1), max_size=12)))
    batches = [log[start:end] for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True)]

    assert build(projection, batches) == build(projection, [log])


@EACH
def test_one_event_a_batch_gives_the_same_rows(projection: Projection) -> None:
    log = numbered(_log())

    assert build(projection, [[one] for one in log]) == build(projection, [log])


@EACH
@given(data=st.data())
def test_records_written_again_leave_the_rows_unchanged(projection: Projection, data: st.DataObject) -> None:
    events = _log()
    first = data.draw(st.integers(0, len(events) - 1))
    last = data.draw(st.integers(first, len(events)))
    repeated = [*events[:last], *events[first:last], *events[last:]]

    # What a producer sends again lies after what it sent before; the later offset is nobody's.
    expected = build(projection, [[(offset, event) for offset, event in numbered(events)]])
    offsets = [*range(1, last + 1), *range(1000, 1000 + last - first), *range(last + 1, len(events) + 1)]
    assert build(projection, [list(zip(offsets, repeated, strict=True))]) == expected


@EACH
def test_a_log_read_twice_gives_the_rows_of_one_reading(projection: Projection) -> None:
    log = numbered(_log())

    assert build(projection, [log, log]) == build(projection, [log])


@EACH
def test_what_a_projection_handles_exists(projection: Projection) -> None:
    assert projection.handles <= set(EVENTS.values())


def test_a_thousand_pieces_of_text_are_one_change_of_one_row() -> None:
    story = Story("c")
    (answer,) = story.ask("Count", "sim/text", start="Counting")
    opening = len(story.events)
    answer.begin().text(*(f"{number} " for number in range(1000)))
    states: dict[str, object] = {}
    log = numbered(story.events)
    reduce(states, log[:opening], 0)  # type: ignore[arg-type]

    changes = ConversationMessages().apply(reduce(states, log[opening:], 0))  # type: ignore[arg-type]

    assert list(changes.rows[MESSAGES]) == [answer.response_id]


def test_an_answer_has_its_text_its_reasoning_and_its_end() -> None:
    rows = _only(ConversationMessages(), "conversation_messages", sample_story("c"))

    answer = rows["ct1-1"]
    assert (answer["role"], answer["model_id"], answer["status"]) == ("assistant", "sim/text", "completed")
    assert answer["content"] == "Here is a circle."
    assert answer["reasoning"] == "A circle is round. "
    assert answer["usage"] == '{"prompt_tokens":7,"completion_tokens":11,"total_tokens":18}'
    assert (answer["cost_usd_micros"], answer["time_to_first_token_ms"]) == (1234, 120)


def test_a_failed_answer_keeps_its_text_and_says_why() -> None:
    failed = _only(ConversationMessages(), "conversation_messages", sample_story("c"))["ct1-3"]

    assert failed["content"] == "I am "
    assert (failed["status"], failed["error_class"], failed["retryable"]) == ("failed", "upstream", True)
    assert failed["error_message"] == "The provider failed."


def test_messages_of_a_turn_stand_in_order_of_request_whatever_the_round() -> None:
    rows = _only(ConversationMessages(), "conversation_messages", sample_story("c"))

    turn = sorted((row for row in rows.values() if row["turn_id"] == "ct1"), key=lambda row: row["position"])
    assert [row["message_id"] for row in turn] == ["ct1-user", "ct1-1", "ct1-2", "ct1-3", "ct1-4"]


def test_a_new_attempt_begins_the_answer_anew() -> None:
    story = Story("c")
    (answer,) = story.ask("Hello", "sim/text", start="Hello")
    answer.begin().reason("Hm").taken_over().text("Good day").complete()

    row = _only(ConversationMessages(), "conversation_messages", story)[answer.response_id]

    assert (row["content"], row["reasoning"], row["attempt"]) == ("Good day", None, 2)


def test_a_cancelled_answer_keeps_its_text() -> None:
    story = Story("c")
    (answer,) = story.ask("Hello", "sim/slow", start="Hello")
    answer.begin().text("Good").cancel()

    row = _only(ConversationMessages(), "conversation_messages", story)[answer.response_id]

    assert (row["content"], row["status"], row["finish_reason"]) == ("Good", "cancelled", "cancelled")


def test_a_turn_runs_until_its_last_medium_has_its_outcome() -> None:
    story = Story("c")
    (answer,) = story.ask("Draw", "sim/painter", start="A drawing")
    picture = answer.begin().produce()
    answer.complete()
    tables = build(Conversations(), [numbered(story.events)])
    assert tables["conversations"]["c"]["turn_running"] is True
    assert tables["conversation_turns"]["ct1"]["finished"] is False

    story.stored(picture)
    tables = build(Conversations(), [numbered(story.events)])
    assert tables["conversations"]["c"]["turn_running"] is False
    assert tables["conversation_turns"]["ct1"]["finished"] is True
    assert tables["conversation_turns"]["ct1"]["completed_at"] == story.events[-1].occurred_at


def test_a_conversation_still_runs_when_the_loser_of_a_race_ends() -> None:
    story = Story("c")
    (winner,) = story.ask("First", "sim/text", start="Race")
    (loser,) = story.ask("Second", "sim/text")
    winner.begin()
    loser.fail("conflict", retryable=False)

    tables = build(Conversations(), [numbered(story.events)])

    assert tables["conversation_turns"][loser.turn_id]["finished"] is True
    assert tables["conversation_turns"][winner.turn_id]["finished"] is False
    assert tables["conversations"]["c"]["turn_running"] is True


def test_a_turn_starts_where_its_command_wrote_first() -> None:
    story = Story("c")
    story.ask("First", "sim/text", start="Start")

    tables = build(Conversations(), [numbered(story.events, first_offset=40)])

    assert tables["conversation_turns"]["ct1"]["start_offset"] == 40
    assert tables["conversations"]["c"]["first_offset"] == 40


def test_a_further_round_opens_the_turn_again() -> None:
    story = sample_story("c")
    turn = _only(Conversations(), "conversation_turns", story)["ct1"]

    assert (turn["round"], turn["finished"], turn["prompt"]) == (2, True, "Draw a red circle")
    assert turn["start_offset"] > 1
    assert _only(Conversations(), "conversations", story)["c"]["last_turn_id"] == "ct4"


def test_media_pass_through_their_states() -> None:
    rows = _only(MediaObjects(), "media_objects", sample_story("c"))

    assert {row["media_id"]: row["status"] for row in rows.values()} == {
        "ct1-2m1": "stored",
        "ct1-2m2": "expired",
        "ct4-1m1": "stored",
        "ct4-2m1": "stored",
        "ct4-3m1": "refused",
        "ct4-3m2": "rejected",
        "ct4-3m3": "stored",
    }
    assert (rows["ct4-3m3"]["retry"], rows["ct4-3m3"]["reason"]) == (1, None)
    assert rows["ct4-3m1"]["model_id"] == "sim/gallery"


def test_a_film_keeps_the_time_at_which_its_job_began() -> None:
    story = Story("c")
    (answer,) = story.ask("Film", "sim/film", start="A film")
    job = answer.begin().job()
    began = story.events[-1].occurred_at
    answer.text("wait").produce("video", media_id=job)

    row = _only(MediaObjects(), "media_objects", story)[job]

    assert (row["status"], row["created_at"]) == ("uploading", began)
    assert row["updated_at"] == story.events[-1].occurred_at


def test_times_are_the_events_own() -> None:
    conversation = _only(Conversations(), "conversations", sample_story("c"))["c"]

    assert conversation["created_at"].startswith(EPOCH.strftime("%Y-%m-%dT%H:%M:%S"))


@EACH
def test_no_table_keeps_the_content_of_a_deleted_conversation(projection: Projection) -> None:
    story = _deleted_story("c")
    tables = build(projection, [numbered(story.events)])

    told = repr(tables)
    for content in (
        "red circle",
        "Circles",
        "Here is",
        "round",
        "I am",
        "Listen",
        "Say it",
        "brief",
        "https:",
    ):
        assert content not in told
    assert not any(row["status"] == "stored" for row in tables.get("media_objects", {}).values())
    if projection.name == "conversations":
        assert tables["conversations"]["c"]["deleted"] is True
        assert tables["conversation_turns"] == {}

"""The state of a turn follows its frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.cli import wording
from polylogue.client import Comparison
from polylogue.schemas import frames
from polylogue.schemas.frames import Frame, KeepaliveFrame
from tests.unit.cli.frames import CONVERSATION, TURN, Script


def follow(*frames: Frame | None) -> Comparison:
    comparison = Comparison(begun_at_s=100.0)
    for number, frame in enumerate(frames, start=1):
        comparison.apply(frame, 100.0 + number)
    return comparison


def test_answers_stand_in_order_of_request_with_all_their_text() -> None:
    script = Script()
    comparison = follow(
        script.turn("b", "a"),
        script.start("b"),
        script.start("a"),
        script.chunk("a", "one "),
        script.chunk("b", "x"),
        script.chunk("a", "two"),
    )
    assert [(answer.model, answer.text) for answer in comparison.answers.values()] == [
        ("b", "x"),
        ("a", "one two"),
    ]
    assert comparison.prompt == "Hello"
    assert (comparison.conversation_id, comparison.turn_id) == (CONVERSATION, TURN)


def test_time_to_first_token_is_that_of_the_first_sign_of_an_answer() -> None:
    script = Script()
    comparison = follow(
        script.start("a"), script.reasoning("a", "hm"), script.chunk("a", "x"), script.done("a")
    )
    (answer,) = comparison.answers.values()
    assert (answer.first_at_s, answer.ended_at_s) == (102.0, 104.0)
    assert answer.reasoning == "hm"


def test_a_medium_passes_from_pending_to_stored_and_keeps_its_place() -> None:
    script = Script()
    comparison = follow(
        script.start("a"), script.pending("a", "m1"), script.pending("a", "m2"), script.media("a", "m1")
    )
    assert [(medium.media_id, medium.state) for _, medium in comparison.media] == [
        ("m1", "stored"),
        ("m2", "uploading"),
    ]
    assert comparison.media[0][1].url == "http://s3/m1.png"


@pytest.mark.parametrize("phase", ["generating", "validating", "uploading"])
def test_a_medium_on_its_way_says_in_which_phase_it_is(phase: frames.PendingPhase) -> None:
    script = Script()
    comparison = follow(
        script.start("a"), script.pending("a", phase="generating"), script.pending("a", phase=phase)
    )
    ((_, medium),) = comparison.media
    assert wording.medium(medium, link=True) == f"image {phase} …"


def test_a_medium_that_comes_after_the_end_counts_and_leaves_the_answer_ended() -> None:
    script = Script()
    comparison = follow(script.start("a"), script.done("a"), script.media("a"))
    (answer,) = comparison.answers.values()
    assert answer.phase == "finished"
    assert answer.media["m1"].state == "stored"


def test_a_deleted_medium_has_no_link_any_more() -> None:
    script = Script()
    comparison = follow(script.start("a"), script.media("a"), script.media_deleted())
    assert [(medium.state, medium.url) for _, medium in comparison.media] == [("deleted", None)]


def test_a_failed_medium_says_why() -> None:
    script = Script()
    comparison = follow(script.start("a"), script.media_failed("a"))
    assert [(medium.state, medium.message) for _, medium in comparison.media] == [("failed", "Too large.")]


def test_a_stopped_answer_is_not_a_failed_one() -> None:
    script = Script()
    comparison = follow(
        script.start("a"),
        script.start("b"),
        script.done("a", reason="cancelled"),
        script.done("b", error=True),
    )
    assert [answer.phase for answer in comparison.answers.values()] == ["cancelled", "failed"]
    assert not comparison.every_model_failed


def test_every_model_failed_only_when_all_have() -> None:
    script = Script()
    frames = [script.start("a"), script.start("b"), script.done("a", error=True)]
    assert not follow(*frames).every_model_failed
    assert follow(*frames, script.done("b", error=True)).every_model_failed
    assert not follow().every_model_failed


def test_a_further_round_opens_the_turn_again() -> None:
    script = Script()
    frames = [script.turn("a"), script.start("a"), script.done("a"), script.complete()]
    assert follow(*frames).complete
    assert not follow(*frames, script.turn("b")).complete


def test_unknown_frames_and_keepalives_change_nothing() -> None:
    assert follow(None, KeepaliveFrame()) == follow()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=5)), max_size=30))
def test_text_of_each_model_is_the_sum_of_its_chunks(chunks: list[tuple[str, str]]) -> None:
    script = Script()
    comparison = follow(*(script.chunk(model, text) for model, text in chunks))
    for answer in comparison.answers.values():
        assert answer.text == "".join(text for model, text in chunks if model == answer.model)

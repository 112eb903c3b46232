"""What a conversation shares with its parents, and what a model is told of it."""

from __future__ import annotations

from typing import Any

from polylogue.api.history import history_of
from polylogue.api.lineage import GONE, composed, models_of, settled


def generation(
    name: str,
    parent: str | None = None,
    upto: str | None = None,
    model: str | None = None,
    *,
    deleted: bool = False,
) -> dict[str, Any]:
    return {
        "conversation_id": name,
        "parent_conversation_id": parent,
        "parent_turn_id": upto,
        "parent_model_id": model,
        "deleted": deleted,
    }


def turn(conversation: str, name: str, *, finished: bool = True) -> dict[str, Any]:
    return {"conversation_id": conversation, "turn_id": name, "finished": finished}


def said(turn_id: str, model: str | None, content: str, **more: Any) -> dict[str, Any]:
    return {
        "turn_id": turn_id,
        "role": "assistant" if model else "user",
        "model_id": model,
        "content": content,
        "status": "completed",
        "attachments": None,
        "media_urls": None,
    } | more


def told(turns: list[dict[str, Any]], before: str | None = None) -> list[tuple[str | None, str]]:
    return [(one.model, one.content) for one in history_of(turns, before)]


def test_a_breakout_sees_every_prompt_and_one_models_answers_up_to_where_it_began() -> None:
    turns = [turn("parent", "t1"), turn("parent", "t2"), turn("child", "t3")]
    messages = [
        said(f"t{n}", model, f"{model or 'prompt'} {n}") for n in (1, 2, 3) for model in (None, "a", "b")
    ]
    family = [generation("child", "parent", "t1", "a"), generation("parent")]
    seen = composed(family, turns, messages)
    assert [(one["turn_id"], one["inherited"]) for one in seen] == [("t1", True), ("t3", False)]
    assert told(seen) == [(None, "prompt 1"), ("a", "a 1"), (None, "prompt 3"), ("a", "a 3"), ("b", "b 3")]
    assert models_of(seen) == ["a", "b"]


def test_a_grandchild_sees_only_what_every_breakout_before_it_let_through() -> None:
    turns = [turn("old", "t1"), turn("mid", "t2")]
    messages = [
        said(f"t{n}", model, f"{model or 'prompt'} {n}") for n in (1, 2) for model in (None, "a", "b")
    ]
    family = [generation("new", "mid", "t2", "b"), generation("mid", "old", "t1", "a"), generation("old")]
    assert told(composed(family, turns, messages)) == [(None, "prompt 1"), (None, "prompt 2"), ("b", "b 2")]


def test_a_branch_of_the_first_turn_shares_only_what_the_parent_itself_inherited() -> None:
    turns = [turn("old", "t1"), turn("mid", "t2")]
    messages = [said("t1", None, "one"), said("t2", None, "two")]
    family = [generation("new", "mid", None), generation("mid", "old", "t1"), generation("old")]
    assert told(composed(family, turns, messages)) == [(None, "one")]


def test_one_answer_of_a_model_to_a_prompt_counts_the_last_one_that_was_completed() -> None:
    answers = [
        said("t1", "a", "first"),
        said("t1", "a", "second"),
        said("t1", "a", "cut off", status="cancelled"),
        said("t1", "b", "part", status="failed"),
        said("t1", "c", "", status="failed"),
    ]
    seen = composed([generation("c")], [turn("c", "t1")], [said("t1", None, "prompt"), *answers])
    assert told(seen) == [(None, "prompt"), ("a", "second"), ("b", "part")]


def test_an_unfinished_turn_and_what_comes_from_the_named_turn_on_is_left_out() -> None:
    turns = [turn("c", "t1"), turn("c", "t2", finished=False), turn("c", "t3"), turn("c", "t4")]
    messages = [said(one["turn_id"], None, one["turn_id"]) for one in turns]
    assert told(composed([generation("c")], turns, messages), before="t4") == [(None, "t1"), (None, "t3")]


def test_pictures_of_both_sides_are_told_and_only_stored_ones() -> None:
    picture = {
        "key": "private/local/t1/1.png",
        "content_type": "image/png",
        "size_bytes": 3,
        "sha256": "0" * 64,
    }
    medium = picture | {"key": "media/image/x.png", "status": "stored", "type": "image", "url": "https://x"}
    media = [medium, medium | {"status": "deleted"}, medium | {"type": "audio"}]
    messages = [said("t1", None, "look", attachments=[picture]), said("t1", "a", "", media_urls=media)]
    user, answer = history_of(composed([generation("c")], [turn("c", "t1")], messages))
    assert [one.key for one in user.attachments] == ["private/local/t1/1.png"]
    assert [one.key for one in answer.attachments] == ["media/image/x.png"]


def test_what_was_shared_with_a_deleted_conversation_is_gone_and_says_so() -> None:
    family = [generation("child", "parent", "t1", "a"), generation("parent", deleted=True)]
    seen = composed(family, [turn("child", "t3")], [said("t3", None, "prompt 3"), said("t3", "a", "a 3")])
    assert [(one["turn_id"], one["gone"], one["inherited"]) for one in seen] == [
        ("t1", True, True),
        ("t3", False, False),
    ]
    assert (seen[0]["notice"], seen[0]["messages"], seen[0]["prompt"]) == (GONE, [], "")
    assert told(seen) == [(None, "prompt 3"), ("a", "a 3")]
    assert models_of(seen) == ["a"]


def test_what_a_deleted_conversation_had_inherited_itself_is_still_there() -> None:
    family = [
        generation("new", "mid", "t2"),
        generation("mid", "old", "t1", deleted=True),
        generation("old"),
    ]
    seen = composed(family, [turn("old", "t1")], [said("t1", None, "prompt 1"), said("t1", "a", "a 1")])
    assert [(one["turn_id"], one["gone"]) for one in seen] == [("t1", False), ("t2", True)]
    assert told(seen) == [(None, "prompt 1"), ("a", "a 1")]


def test_a_deleted_parent_that_shared_no_turn_leaves_no_trace() -> None:
    assert composed([generation("child", "parent"), generation("parent", deleted=True)], [], []) == []


def test_a_turn_whose_answers_are_behind_in_their_table_has_not_ended_yet() -> None:
    for status, finished in (("waiting", False), ("running", False), ("completed", True), ("failed", True)):
        answers = [said("t1", "a", ""), said("t1", "b", "") | {"status": status}]
        assert [one["finished"] for one in settled([turn("c", "t1")], answers)] == [finished]

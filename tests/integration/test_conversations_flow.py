"""A comparison that goes on: the real runner, agent and projector, a simulated gateway, and two API processes."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.support.api_server import POST
from tests.support.media_samples import attached, plain
from tests.support.processes import Simulator
from tests.support.sse_client import frames
from tests.support.whole_system import PAINTER, TEXT, System

PICTURE_TOKENS = 258  # what the simulator bills for each picture in a question

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


def messages(turn: dict[str, Any]) -> list[tuple[str, str | None, bool]]:
    return [(one["role"], one["model_id"], one["inherited"]) for one in turn["messages"]]


async def test_a_comparison_goes_on_in_follow_ups_rounds_breakouts_and_branches(
    system: System,
) -> None:
    first = await system.asked(
        input_data="Draw a red circle", models=[TEXT, PAINTER], attached_images=[attached(plain())]
    )
    conversation_id, turn_id = first[-1]["conversation_id"], first[-1]["turn_id"]
    url = f"/api/conversations/{conversation_id}"
    assert [frame["type"] for frame in first].count("media") == 1
    (made,) = [frame for frame in first if frame["type"] == "media"]

    # One model more, and another answer of one: rounds of the same turn, with what was asked before them.
    added = await system.asked(f"{url}/turns/{turn_id}/models", models=["sim/reasoning:pace=0s"])
    assert [one["response_id"] for one in added if one["type"] == "start"] == [f"{turn_id}-3"]
    assert {one["turn_id"] for one in added if one["type"] != "conversation"} == {turn_id}
    assert added[-1]["metadata"]["models_requested"] == 1
    again = await system.asked(f"{url}/turns/{turn_id}/retry", response_id=f"{turn_id}-1")
    assert [(one["response_id"], one["model"]) for one in again if one["type"] == "start"] == [
        (f"{turn_id}-4", TEXT)
    ]
    (turn,) = (await system.read(conversation_id))["turns"]
    assert [one["message_id"] for one in turn["messages"]] == [
        f"{turn_id}-user",
        *(f"{turn_id}-{number}" for number in range(1, 5)),
    ]
    assert {one["status"] for one in turn["messages"]} == {"completed"}
    (kept,) = turn["messages"][0]["attachments"]
    async with httpx.AsyncClient(trust_env=False) as reader:
        sent = await reader.get(kept["url"])
    assert sent.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(sent.content)).size == (64, 48)

    # A follow-up: the painter is shown its own picture. The simulator bills each.
    second = await system.asked(
        conversation_id=conversation_id, input_data="And in blue?", models=[TEXT, PAINTER]
    )
    assert {
        one["status"] for one in ((await system.read(conversation_id, turns=2))["turns"])[1]["messages"]
    } == {"completed"}
    counted = {
        one["model"]: one["usage"]["prompt_tokens"] // PICTURE_TOKENS
        for one in second
        if one["type"] == "done"
    }
    assert counted == {TEXT: 1, PAINTER: 2}

    # A breakout with the painter: its past is shared, its picture is the same object.
    told = await system.one.post(
        f"{url}/breakout", json={"model": PAINTER}, headers={"Idempotency-Key": "out"}
    )
    assert told.status_code == 201, told.text
    child = told.json()["conversation_id"]
    repeated = await system.other.post(
        f"{url}/breakout", json={"model": PAINTER}, headers={"Idempotency-Key": "out"}
    )
    assert (repeated.status_code, repeated.json()) == (201, told.json())
    inherited = (await system.read(child, turns=2))["turns"]
    assert messages(inherited[0]) == [("user", None, True), ("assistant", PAINTER, True)]
    assert [one["media_id"] for one in inherited[0]["messages"][1]["media_urls"]] == [made["media_id"]]
    third = await system.asked(conversation_id=child, input_data="Now smaller", models=[PAINTER])
    seen = (await system.read(child, turns=3))["turns"]
    assert [turn["inherited"] for turn in seen] == [True, True, False]
    (done,) = [one for one in third if one["type"] == "done"]
    assert done["usage"]["prompt_tokens"] // PICTURE_TOKENS == 3, "the attached one, and two of its own"
    assert len((await system.read(conversation_id, turns=2))["turns"]) == 2, "the parent stays as it was"

    # A branch of the second turn: what came before it is shared, what it said is not.
    second_turn = second[-1]["turn_id"]
    branched = await system.asked(f"{url}/turns/{second_turn}/branch", input_data="And in green?")
    assert branched[-1]["conversation_id"] not in {conversation_id, child}
    assert [one["model"] for one in branched if one["type"] == "start"] == [TEXT, PAINTER]
    shared = (await system.read(branched[-1]["conversation_id"], turns=2))["turns"]
    assert [(one["prompt"], one["inherited"]) for one in shared] == [
        ("Draw a red circle", True),
        ("And in green?", False),
    ]
    listed = (await system.other.get("/api/conversations")).json()["conversations"]
    parents = {
        one["conversation_id"]: (one["parent_conversation_id"], one["parent_model_id"]) for one in listed
    }
    assert parents[child] == (conversation_id, PAINTER)
    assert parents[branched[-1]["conversation_id"]] == (conversation_id, None)


async def test_one_model_is_stopped_from_another_process_after_a_reload_and_the_other_goes_on(
    system: System, gateway: Simulator
) -> None:
    slow = "sim/slow:pace=50ms:tokens=5000"
    async with frames(
        system.one, "POST", POST, json={"input_data": "Tell", "models": [slow, slow]}
    ) as stream:
        begun = await stream.until("chunk")
    conversation_id, turn_id = begun[-1]["conversation_id"], begun[-1]["turn_id"]
    cancel = f"/api/conversations/{conversation_id}/cancel"
    aborted = gateway.stats()["aborted"]
    resumed = f"{POST}/{conversation_id}"
    async with frames(system.other, "GET", resumed, params={"turn": turn_id}) as stream:
        reading = stream.frames()
        stopped = await system.other.post(cancel, json={"response_ids": [f"{turn_id}-1"]})
        assert (stopped.status_code, stopped.json()["stopping"]) == (202, True)
        async with asyncio.timeout(60):
            async for frame in reading:
                if frame["type"] == "done":
                    break
        assert (frame["response_id"], frame["finish_reason"]) == (f"{turn_id}-1", "cancelled")
        assert frame["usage"]["estimated"]
        again = await system.other.post(cancel, json={"response_ids": [f"{turn_id}-1"]})
        assert (again.status_code, again.json()["stopping"]) == (202, False)
        assert gateway.stats()["aborted"] == aborted + 1
        assert (await system.one.post(cancel)).json()["stopping"]
        rest = [frame async for frame in reading]
    assert rest[-1]["type"] == "complete"
    assert rest[-1]["metadata"]["models_cancelled"] == 2
    assert gateway.stats()["aborted"] == aborted + 2
    ended = await system.other.post(cancel)
    assert (ended.status_code, ended.json()["stopping"]) == (202, False)


async def test_a_cost_cap_ends_a_round_and_says_so(system: System) -> None:
    seen = await system.asked(
        input_data="Tell", models=["sim/slow:pace=5ms:tokens=4000"], max_cost_usd=0.00006
    )
    (done,) = [frame for frame in seen if frame["type"] == "done"]
    assert (done["error"], done["finish_reason"]) == (False, "cancelled")
    assert "cap" in done["message"]
    assert done["cost_usd"] >= 0.00006

"""A comparison that goes on: the real runner, agent and projector, a simulated gateway, and two API processes."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from PIL import Image
from pydantic import AnyHttpUrl

from polylogue.infra.settings import Settings
from tests.support.api_server import api_server
from tests.support.processes import Simulator, process, simulator
from tests.support.sse_client import frames

STREAM = "/api/compare-stream"
QUICK = "sim/text:pace=0s"
PAINTER = "sim/painter:pace=0s"

PICTURE_TOKENS = 258  # what the simulator bills for each picture in a question

pytestmark = [pytest.mark.stack]


@pytest.fixture(scope="module")
def gateway() -> Iterator[Simulator]:
    with simulator() as running:
        yield running


@dataclass
class System:
    """Two API processes over one of everything else."""

    one: httpx.AsyncClient
    other: httpx.AsyncClient

    async def asked(
        self, url: str = STREAM, *, headers: dict[str, str] | None = None, **body: Any
    ) -> list[dict[str, Any]]:
        """The frames of a stream to its end, which is `complete`."""
        async with frames(self.one, "POST", url, json=body, headers=headers or {}) as stream:
            assert stream.response.status_code == 200, stream.response.text
            seen = await stream.rest()
        assert seen[-1]["type"] == "complete"
        return seen

    async def stored(self, conversation_id: str, turns: int) -> list[dict[str, Any]]:
        """Its turns, once the tables hold them and the last of them has ended."""
        async with asyncio.timeout(20):
            while True:
                found = (await self.other.get(f"/api/conversations/{conversation_id}")).json()
                if (
                    len(found["turns"]) == turns
                    and not found["turn_running"]
                    and found["turns"][-1]["finished"]
                ):
                    return found["turns"]
                await asyncio.sleep(0.05)


@asynccontextmanager
async def running(settings: Settings, gateway: Simulator) -> AsyncIterator[System]:
    mine = settings.model_copy(update={"openrouter_base_url": AnyHttpUrl(gateway.base_url)})
    with ExitStack() as stack:
        for name in ("runner", "media-agent", "projector"):
            stack.enter_context(process(name, mine))
        async with api_server(mine) as one, api_server(mine) as other:
            yield System(one, other)


def picture(kind: str = "PNG") -> dict[str, str]:
    output = io.BytesIO()
    Image.new("RGB", (64, 48), "navy").save(output, kind)
    return {"mime_type": "image/png", "base64_data": base64.b64encode(output.getvalue()).decode()}


def messages(turn: dict[str, Any]) -> list[tuple[str, str | None, bool]]:
    return [(one["role"], one["model_id"], one["inherited"]) for one in turn["messages"]]


async def test_a_comparison_goes_on_in_follow_ups_rounds_breakouts_and_branches(
    prepared: Settings, gateway: Simulator
) -> None:
    async with running(prepared, gateway) as system:
        first = await system.asked(
            input_data="Draw a red circle", models=[QUICK, PAINTER], attached_images=[picture()]
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
            (f"{turn_id}-4", QUICK)
        ]
        (turn,) = await system.stored(conversation_id, 1)
        assert [one["message_id"] for one in turn["messages"]] == [
            f"{turn_id}-user",
            *(f"{turn_id}-{number}" for number in range(1, 5)),
        ]
        assert {one["status"] for one in turn["messages"]} == {"completed"}
        (attached,) = turn["messages"][0]["attachments"]
        async with httpx.AsyncClient(trust_env=False) as reader:
            sent = await reader.get(attached["url"])
        assert sent.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(sent.content)).size == (64, 48)

        # A follow-up: the painter is shown its own picture. The simulator bills each.
        second = await system.asked(
            conversation_id=conversation_id, input_data="And in blue?", models=[QUICK, PAINTER]
        )
        assert {one["status"] for one in (await system.stored(conversation_id, 2))[1]["messages"]} == {
            "completed"
        }
        counted = {
            one["model"]: one["usage"]["prompt_tokens"] // PICTURE_TOKENS
            for one in second
            if one["type"] == "done"
        }
        assert counted == {QUICK: 1, PAINTER: 2}

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
        inherited = await system.stored(child, 2)
        assert messages(inherited[0]) == [("user", None, True), ("assistant", PAINTER, True)]
        assert [one["media_id"] for one in inherited[0]["messages"][1]["media_urls"]] == [made["media_id"]]
        third = await system.asked(conversation_id=child, input_data="Now smaller", models=[PAINTER])
        seen = await system.stored(child, 3)
        assert [turn["inherited"] for turn in seen] == [True, True, False]
        (done,) = [one for one in third if one["type"] == "done"]
        assert done["usage"]["prompt_tokens"] // PICTURE_TOKENS == 3, "the attached one, and two of its own"
        assert len(await system.stored(conversation_id, 2)) == 2, "the parent stays as it was"

        # A branch of the second turn: what came before it is shared, what it said is not.
        second_turn = second[-1]["turn_id"]
        branched = await system.asked(f"{url}/turns/{second_turn}/branch", input_data="And in green?")
        assert branched[-1]["conversation_id"] not in {conversation_id, child}
        assert [one["model"] for one in branched if one["type"] == "start"] == [QUICK, PAINTER]
        shared = await system.stored(branched[-1]["conversation_id"], 2)
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
    prepared: Settings, gateway: Simulator
) -> None:
    slow = "sim/slow:pace=50ms:tokens=5000"
    async with running(prepared, gateway) as system:
        async with frames(
            system.one, "POST", STREAM, json={"input_data": "Tell", "models": [slow, slow]}
        ) as stream:
            begun = await stream.until("chunk")
        conversation_id, turn_id = begun[-1]["conversation_id"], begun[-1]["turn_id"]
        cancel = f"/api/conversations/{conversation_id}/cancel"
        aborted = gateway.stats()["aborted"]
        resumed = f"{STREAM}/{conversation_id}"
        async with frames(system.other, "GET", resumed, params={"turn": turn_id}) as stream:
            reading = stream.frames()
            stopped = await system.other.post(cancel, json={"response_ids": [f"{turn_id}-1"]})
            assert (stopped.status_code, stopped.json()["stopping"]) == (202, True)
            async with asyncio.timeout(5):
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


async def test_a_cost_cap_ends_a_round_and_says_so(prepared: Settings, gateway: Simulator) -> None:
    async with running(prepared, gateway) as system:
        seen = await system.asked(
            input_data="Tell", models=["sim/slow:pace=5ms:tokens=4000"], max_cost_usd=0.00006
        )
    (done,) = [frame for frame in seen if frame["type"] == "done"]
    assert (done["error"], done["finish_reason"]) == (False, "cancelled")
    assert "cap" in done["message"]
    assert done["cost_usd"] >= 0.00006

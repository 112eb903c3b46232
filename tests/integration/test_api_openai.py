"""OpenAI's own Python client against the live API, the real runner, agent and projector, and a simulated gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from polylogue.infra.settings import Settings
from tests.support.accounts import key_of, keyed
from tests.support.api_server import api_server
from tests.support.media_samples import data_url, plain
from tests.support.processes import Simulator
from tests.support.whole_system import PAINTER, TEXT, behind, led_to

ENDLESS = "sim/text:pace=100ms:tokens=2000"
HELLO: list[Any] = [{"role": "user", "content": "Say something"}]
PICTURE_TOKENS = 258  # what the simulator bills for each picture in a question
PATIENCE_S = 60.0

pytestmark = [pytest.mark.stack]


def shown(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


@dataclass
class System:
    """Three API servers over one of everything else."""

    http: httpx.AsyncClient
    inline: httpx.AsyncClient  # OPENAI_MEDIA=data
    locked: httpx.AsyncClient  # with a sign-in
    settings: Settings

    @asynccontextmanager
    async def client(
        self, http: httpx.AsyncClient | None = None, key: str = "none"
    ) -> AsyncIterator[openai.AsyncOpenAI]:
        base = str((http or self.http).base_url).rstrip("/")
        async with openai.AsyncOpenAI(
            base_url=f"{base}/v1", api_key=key, max_retries=0, timeout=PATIENCE_S
        ) as client:
            yield client

    async def answers(self, conversation_id: str, status: str) -> list[dict[str, Any]]:
        """The answers of a conversation once the last of them stands so in the tables."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = await self.http.get(f"/api/conversations/{conversation_id}")
                messages = [
                    message
                    for turn in (found.json()["turns"] if found.status_code == 200 else [])
                    for message in turn["messages"]
                    if message["role"] == "assistant"
                ]
                if messages and messages[-1]["status"] == status:
                    return messages
                await asyncio.sleep(0.05)


@asynccontextmanager
async def running(settings: Settings, gateway: Simulator) -> AsyncIterator[System]:
    mine = led_to(gateway, settings)
    inline = mine.model_copy(update={"openai_media": "data"})
    async with (
        behind(mine),
        api_server(mine) as http,
        api_server(inline) as other,
        api_server(keyed(mine)) as locked,
    ):
        yield System(http, other, locked, mine)


async def test_the_official_client_works(prepared: Settings, gateway: Simulator) -> None:
    """One system for all of it: to start one takes longer than any of these."""
    async with running(prepared, gateway) as system:
        await an_answer_at_once_and_as_it_comes_are_the_same(system)
        await usage_comes_only_where_it_is_asked_for(system)
        await the_history_and_its_pictures_reach_the_model(system)
        await media_come_as_links_or_as_data(system)
        await a_key_says_the_same_again(system)
        await leaving_cancels_the_turn(system)
        await errors_are_of_the_classes_that_users_catch(system)
        await models_are_listed(system)
        await keys_open_and_strangers_are_told_so(system)


async def an_answer_at_once_and_as_it_comes_are_the_same(system: System) -> None:
    async with system.client() as client:
        whole = await client.chat.completions.create(model=TEXT, messages=HELLO)
        stream = await client.chat.completions.create(model=TEXT, messages=HELLO, stream=True)
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "You asked: “Say something”" in text
    assert whole.choices[0].message.content == text
    assert whole.choices[0].finish_reason == "stop"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


async def usage_comes_only_where_it_is_asked_for(system: System) -> None:
    async with system.client() as client:
        asked = await client.chat.completions.create(
            model=TEXT, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        *chunks, last = [chunk async for chunk in asked]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks)


async def the_history_and_its_pictures_reach_the_model(system: System) -> None:
    def told(*pictures: str) -> list[Any]:
        return [
            {"role": "developer", "content": "Be brief"},
            {"role": "user", "content": [{"type": "text", "text": "This?"}, *map(shown, pictures[:1])]},
            {"role": "assistant", "content": "A colour."},
            {"role": "user", "content": [{"type": "text", "text": "And this?"}, *map(shown, pictures[1:])]},
        ]

    async with system.client() as client:
        without, having = [
            await client.chat.completions.create(model=PAINTER, messages=told(*pictures))
            for pictures in ((), (data_url(plain()), data_url(plain("red"))))
        ]
    assert without.usage is not None
    assert having.usage is not None
    assert having.usage.prompt_tokens - without.usage.prompt_tokens == 2 * PICTURE_TOKENS


async def media_come_as_links_or_as_data(system: System) -> None:
    async with system.client() as client:
        linked = _images(await client.chat.completions.create(model=PAINTER, messages=HELLO))
    async with httpx.AsyncClient(trust_env=False) as browser:
        fetched = (await browser.get(linked[0])).content
    assert fetched.startswith(b"\x89PNG")
    async with system.client(system.inline) as client:
        whole = _images(await client.chat.completions.create(model=PAINTER, messages=HELLO))
        streamed = [
            image["image_url"]["url"]
            async for chunk in await client.chat.completions.create(
                model=PAINTER, messages=HELLO, stream=True
            )
            for image in getattr(chunk.choices[0].delta, "images", None) or []
        ]
    assert whole == streamed == [data_url(fetched)]


def _images(answer: ChatCompletion) -> list[str]:
    return [image["image_url"]["url"] for image in answer.choices[0].message.model_dump()["images"]]


async def a_key_says_the_same_again(system: System) -> None:
    async with system.client() as client:
        first, again = [
            await client.chat.completions.create(
                model=TEXT, messages=HELLO, extra_headers={"Idempotency-Key": "the same"}
            )
            for _ in range(2)
        ]
        other = await client.chat.completions.create(model=TEXT, messages=HELLO)
    assert first.id == again.id != other.id
    assert first.choices == again.choices


async def leaving_cancels_the_turn(system: System) -> None:
    async with system.client() as client:
        stream = await client.chat.completions.create(model=ENDLESS, messages=HELLO, stream=True)
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        conversation_id = stream.response.headers["x-conversation-id"]
        await stream.close()
        assert await system.answers(conversation_id, "cancelled")

        told = {"Idempotency-Key": "left"}
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(model=ENDLESS, messages=HELLO, timeout=2, extra_headers=told)
    # What the client never learnt the name of is the newest conversation.
    newest = (await system.http.get("/api/conversations", params={"limit": 1})).json()["conversations"][0]
    assert newest["conversation_id"] != conversation_id
    assert await system.answers(newest["conversation_id"], "cancelled")


async def errors_are_of_the_classes_that_users_catch(system: System) -> None:
    async with system.client() as client:
        create: Any = client.chat.completions.create
        with pytest.raises(openai.NotFoundError) as unknown:
            await create(model="sim/unheard-of", messages=HELLO)
        assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")

        function = {"type": "function", "function": {"name": "f", "parameters": {}}}
        for more, param in (
            ({"tools": [function]}, "tools"),
            ({"functions": [function["function"]]}, "functions"),
            ({"n": 2}, "n"),
            ({"response_format": {"type": "json_object"}}, "response_format"),
        ):
            with pytest.raises(openai.BadRequestError) as refused:
                await create(model=TEXT, messages=HELLO, **more)
            assert refused.value.type == "invalid_request_error"
            assert refused.value.param == param
            assert str(refused.value.body["message"]).endswith(".")  # type: ignore[index] (the body is any JSON)

        linked = [{"role": "user", "content": [shown("https://example.invalid/picture.png")]}]
        with pytest.raises(openai.BadRequestError):
            await create(model=TEXT, messages=linked)
        with pytest.raises(openai.UnprocessableEntityError):
            await create(model=TEXT, messages=HELLO, temperature=7)
        with pytest.raises(openai.NotFoundError):
            await client.embeddings.create(model=TEXT, input="no such route")

        # A model that refuses is a status, in both forms, as nothing was written before it.
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError) as failed:
                await create(model="sim/refused", messages=HELLO, stream=stream)
            assert failed.value.code == "model_failed"
            assert failed.value.response.headers["x-should-retry"] == "false"
        # One that fails after some words ends its stream with an error.
        words: list[str] = []
        with pytest.raises(openai.APIError):
            await _read_into(words, await create(model="sim/failing:pace=0s", messages=HELLO, stream=True))
        assert any(words)


async def _read_into(words: list[str], stream: openai.AsyncStream[ChatCompletionChunk]) -> None:
    async for chunk in stream:
        words.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 (kept where the stream then fails)


async def models_are_listed(system: System) -> None:
    async with system.client() as client:
        names = [model.id async for model in client.models.list()]
        assert "sim/painter" in names
        assert (await client.models.retrieve("sim/painter")).id == "sim/painter"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("sim/unheard-of")


async def keys_open_and_strangers_are_told_so(system: System) -> None:
    key = await key_of(system.settings, "ada")
    async with system.client(system.locked, key) as client:
        assert (await client.chat.completions.create(model=TEXT, messages=HELLO)).choices
    async with system.client(system.locked, "pl_wrong") as client:
        with pytest.raises(openai.AuthenticationError) as stranger:
            await client.chat.completions.create(model=TEXT, messages=HELLO)
        assert stranger.value.code == "invalid_api_key"

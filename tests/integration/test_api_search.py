"""The search over HTTP: what is found, in which order, what is marked, and that it is text and the owner's own."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
import pytest

from polylogue.api import search
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from tests.support.api_server import api_server
from tests.support.events import Story, interleave, produce_events
from tests.support.tables import caught_up, projector

pytestmark = [pytest.mark.stack]


def _story(prompt: str, answers: dict[str, str], *, owner: str = "local", title: str = "A talk") -> Story:
    story = Story(owner_id=owner)
    for answer, text in zip(story.ask(prompt, *answers, start=title), answers.values(), strict=True):
        pieces = [text[start : start + 100_000] for start in range(0, len(text), 100_000)]
        answer.begin().text(*pieces).complete()
    return story


async def _built(settings: Settings, *stories: Story) -> None:
    await produce_events(settings, interleave(*stories))
    async with projector(settings):
        await caught_up(settings)


async def _found(client: httpx.AsyncClient, q: str, **asked: Any) -> list[dict[str, Any]]:
    answer = await client.get("/api/v1/search", params={"q": q} | asked)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["results"])


def _texts(results: list[dict[str, Any]]) -> list[str]:
    return ["".join(segment["text"] for segment in one["segments"]) for one in results]


def _hits(result: dict[str, Any]) -> list[str]:
    return [segment["text"] for segment in result["segments"] if segment["hit"]]


async def test_prompts_and_answers_are_found_by_their_words(prepared: Settings) -> None:
    talk = _story(
        "Tell me of the Otter",
        {"sim/a": "An otter swims. The otter eats fish.", "sim/b": "A heron flies."},
        title="Otters",
    )
    await _built(prepared, talk, _story("The otter of Bob", {"sim/a": "otter"}, owner="bob"))
    async with api_server(prepared) as client:
        otters = await _found(client, "otter")
        phrase = await _found(client, '"otter eats"')
        either = await _found(client, "heron or fish")
        without = await _found(client, "otter -fish")
        prompts = await _found(client, "otter", role="user")
        models = await _found(client, "otter", model="sim/a")
        elsewhere = await _found(client, "otter", conversation="c" * 32)
        later = await _found(client, "otter", **{"from": "2026-03-02"})
        nothing = await _found(client, "!!!")

    # Twice in a short answer counts more than once in the prompt.
    assert [one["role"] for one in otters] == ["assistant", "user"]
    assert otters[0]["rank"] > otters[1]["rank"] > 0
    assert {one["conversation_id"] for one in otters} == {talk.conversation_id}
    assert (otters[0]["title"], otters[0]["model_id"]) == ("Otters", "sim/a")
    assert _hits(otters[0]) == ["otter", "otter"]
    assert _hits(otters[1]) == ["Otter"]
    assert _texts(otters) == ["An otter swims. The otter eats fish.", "Tell me of the Otter"]
    assert len(phrase) == 1
    assert {one["model_id"] for one in either} == {"sim/a", "sim/b"}
    assert [one["role"] for one in without] == ["user"]
    assert [one["role"] for one in prompts] == ["user"]
    assert [one["model_id"] for one in models] == ["sim/a"]
    assert elsewhere == later == nothing == []


async def test_what_is_found_is_text_whatever_it_holds(prepared: Settings) -> None:
    hostile = "<script>alert(1)</script> otter <b>&amp;</b> \x02forged\x03 end"
    await _built(prepared, _story(hostile, {"sim/a": "No."}))
    async with api_server(prepared) as client:
        (found,) = await _found(client, "otter")
        markup = await _found(client, "script")

    assert _hits(found) == ["otter"]
    assert _texts([found]) == [hostile.replace("\x02", " ").replace("\x03", " ")]
    assert _hits(markup[0]) == ["script"]


async def test_an_answer_is_found_when_it_has_ended(prepared: Settings) -> None:
    story = Story()
    (answer,) = story.ask("Hello", "sim/a", start="Hello")
    answer.begin().text("A walrus ").text("waves")
    told = len(story.events)
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)
        async with api_server(prepared) as client:
            before = await _found(client, "walrus")
            answer.complete()
            await produce_events(prepared, story.events[told:])
            await caught_up(prepared)
            after = await _found(client, "walrus")
            story.delete()
            await produce_events(prepared, story.events[told + 1 :])
            await caught_up(prepared)
            deleted = await _found(client, "walrus")

    assert (before, _texts(after), deleted) == ([], ["A walrus waves"], [])


async def test_a_long_answer_is_found_by_its_beginning(prepared: Settings) -> None:
    # More words than Postgres can hold of one text.
    words = " ".join(f"w{number:x}" for number in range(300_000))
    await _built(prepared, _story("Count", {"sim/a": f"walrus {words} otter"}))
    async with api_server(prepared) as client:
        beginning = await _found(client, "walrus")
        end = await _found(client, "otter")

    assert (len(beginning), end) == (1, [])
    # Not the whole of it.
    assert _hits(beginning[0]) == ["walrus"]
    assert len(_texts(beginning)[0]) < 400


async def test_pages_are_parted_by_offset(prepared: Settings) -> None:
    await _built(prepared, *(_story(f"otter number {number}", {"sim/a": "No."}) for number in range(5)))
    async with api_server(prepared) as client:
        seen, offset = [], 0
        while offset is not None:
            answer = await client.get("/api/search", params={"q": "otter", "limit": 2, "offset": offset})
            page = answer.json()
            seen += [one["message_id"] for one in page["results"]]
            offset = page["next_offset"]
        status = [
            (await client.get("/api/search", params=asked)).status_code
            for asked in ({}, {"q": ""}, {"q": "a\0b"}, {"q": "a" * 501}, {"q": "a", "offset": 1001})
        ]

    assert len(seen) == len(set(seen)) == 5
    assert status == [422] * 5


async def test_a_search_that_takes_too_long_says_so(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_MS", 200)
    await _built(prepared, _story("otter", {"sim/a": "No."}))
    async with api_server(prepared) as client:
        with psycopg.connect(connection_string(prepared)) as other:
            schema = other.execute(
                "SELECT schema_name FROM projection_versions WHERE projection = 'search' AND state = 'promoted'"
            ).fetchone()
            assert schema is not None
            other.execute(f'LOCK TABLE "{schema[0]}".search_messages IN ACCESS EXCLUSIVE MODE')
            answer = await client.get("/api/search", params={"q": "otter"})

    assert (answer.status_code, answer.json()["code"]) == (503, "search_too_slow")
    assert answer.json()["detail"].endswith(".")


def test_marks_become_segments() -> None:
    assert search.segments("an \x02otter\x03 swims\x04an \x02otter\x03") == [
        {"text": "an ", "hit": False},
        {"text": "otter", "hit": True},
        {"text": " swims … an ", "hit": False},
        {"text": "otter", "hit": True},
    ]
    assert search.segments("") == []
    assert search.segments("cut \x02off") == [
        {"text": "cut ", "hit": False},
        {"text": "off", "hit": False},
    ]

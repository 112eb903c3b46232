"""Bodies of chat completions: what they come to, what is refused, and how refusals look to OpenAI's clients."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from polylogue.api.data_urls import picture_of
from polylogue.api.errors import ApiError, add_error_answers
from polylogue.api.openai.errors import in_openai_form
from polylogue.api.openai.requests import Asked, ChatRequest, asked


def request(*messages: dict[str, Any], **more: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "sim/text", "messages": list(messages)} | more)


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if len(content) == 1 else list(content)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def picture(data: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}", "detail": "low"}}


def test_the_last_message_is_the_prompt_and_the_others_are_the_past() -> None:
    made = asked(
        request(
            {"role": "system", "content": "Be brief."},
            user(text("This?"), picture("AAAA")),
            {"role": "assistant", "content": "A.", "images": [picture("BBBB")]},
            {"role": "developer", "content": "And kind."},
            user(text("And"), text("this?"), picture("CCCC")),
        )
    )

    assert (made.prompt, made.system) == ("And\nthis?", "Be brief.\n\nAnd kind.")
    assert [(one.role, one.text, len(one.pictures)) for one in made.history] == [
        ("user", "This?", 1),
        ("assistant", "A.", 1),
    ]
    assert [one.base64_data for one in made.all_pictures] == ["AAAA", "BBBB", "CCCC"]


def test_limits_of_tokens_are_taken_under_both_names() -> None:
    assert request(user("a"), max_tokens=5).options.max_tokens == 5
    assert request(user("a"), max_tokens=5, max_completion_tokens=7).options.max_tokens == 7


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"tools": [{}]}, "tools_unsupported"),
        ({"functions": [{}]}, "tools_unsupported"),
        ({"messages": [user("a"), {"role": "tool", "content": "b"}]}, "tools_unsupported"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}, user("a")]}, "tools_unsupported"),
        ({"n": 2}, "one_choice"),
        ({"response_format": {"type": "json_schema"}}, "unsupported_format"),
        ({"stop": ["\n"]}, "unsupported_stop"),
        ({"logprobs": True}, "unsupported_logprobs"),
        ({"messages": [user("a"), {"role": "assistant", "content": "b"}]}, "last_message"),
        ({"messages": [{"role": "system", "content": "b"}]}, "last_message"),
        ({"messages": [user(text("a"), {"type": "input_audio"})]}, "unsupported_content"),
        ({"messages": [user(" ")]}, "empty_prompt"),
        ({"messages": [user("a\0")]}, "nul_character"),
        (
            {
                "messages": [
                    user(text("a"), {"type": "image_url", "image_url": {"url": "https://a.example/b"}})
                ]
            },
            "picture_by_url",
        ),
    ],
)
def test_what_would_change_the_answer_is_refused_with_a_sentence(body: dict[str, Any], code: str) -> None:
    with pytest.raises(ApiError) as refused:
        asked(ChatRequest.model_validate({"model": "sim/text", "messages": [user("a")]} | body))
    assert (refused.value.status, refused.value.code) == (400, code)
    assert refused.value.detail.endswith(".")


def test_what_says_nothing_is_ignored() -> None:
    made = asked(
        request(
            user("a"),
            tools=[],
            tool_choice="none",
            n=1,
            response_format={"type": "text"},
            stop=None,
            seed=1,
            user="me",
        )
    )
    assert made == Asked("a", (), None, ())


@given(st.text(max_size=40))
def test_no_text_makes_a_picture_url_fail(url: str) -> None:
    assert picture_of(url) is None
    found = picture_of(f"data:image/png;charset=utf-8;base64,{url}")
    assert found is not None
    assert (found.mime_type, found.base64_data) == ("image/png", url)


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (400, "unknown_model", (404, "invalid_request_error", "model_not_found")),
        (401, "not_signed_in", (401, "authentication_error", "invalid_api_key")),
        (402, "quota_exceeded", (429, "insufficient_quota", "insufficient_quota")),
        (403, "scope_missing", (403, "permission_error", "scope_missing")),
        (429, "too_many_requests", (429, "rate_limit_error", "rate_limit_exceeded")),
        (503, "kafka_unavailable", (503, "server_error", "kafka_unavailable")),
    ],
)
def test_refusals_have_their_types_and_codes(status: int, code: str, told: tuple[int, str, str]) -> None:
    ours = JSONResponse({"detail": "A sentence.", "code": code}, status, headers={"Retry-After": "3"})
    response = in_openai_form(ours)
    error = orjson.loads(response.body)["error"]

    assert (response.status_code, error["type"], error["code"]) == told
    assert (error["message"], error["param"] in (None, "model")) == ("A sentence.", True)
    assert response.headers["retry-after"] == "3"
    assert ("x-should-retry" in response.headers) == (status == 402)
    assert int(response.headers["content-length"]) == len(response.body)


@pytest.mark.parametrize(("path", "key"), [("/v1/anything", "error"), ("/api/v1/anything", "detail")])
def test_only_below_v1_do_errors_have_their_form(path: str, key: str) -> None:
    app = FastAPI()
    add_error_answers(app)

    @app.post(path)
    async def take(body: ChatRequest) -> None:
        asked(body)

    client = TestClient(app)
    for method, body in (("POST", {}), ("POST", request(user(" ")).model_dump()), ("GET", None)):
        answer = client.request(method, path, json=body)
        assert answer.status_code in {400, 405, 422}
        assert key in answer.json()
    invalid = client.post("/v1/anything", json={"model": "a", "messages": [], "n": "many"})
    if key == "error":
        assert invalid.json()["error"]["param"] == "messages"

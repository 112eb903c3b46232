"""What `useChat` sends: the last message is the prompt, and the others are the past of a chat that nobody knows."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from polylogue.api.ai_sdk.requests import ChatRequest, asked
from polylogue.api.errors import ApiError


def message(number: int, role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"m{number}", "role": role, "parts": list(parts), "metadata": {"any": 1}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words, "state": "done"}


def file(url: str) -> dict[str, Any]:
    return {"type": "file", "mediaType": "image/png", "url": url}


def request(*messages: dict[str, Any], **more: Any) -> ChatRequest:
    return ChatRequest.model_validate({"id": "chat", "model": "sim/text", "messages": messages} | more)


def test_the_last_message_is_the_prompt_and_text_is_the_past() -> None:
    made = asked(
        request(
            message(1, "system", text("Be brief.")),
            message(2, "user", text("This?"), file("data:image/png;base64,AAAA")),
            message(
                3, "assistant", {"type": "step-start"}, text("A"), file("https://a.example/b"), text("B")
            ),
            message(4, "assistant", {"type": "data-media", "data": {}}),
            message(5, "user", file("data:image/png;base64,BBBB"), text("And this?")),
            system="Be kind.",
        )
    )

    assert (made.message_id, made.prompt, made.system) == ("m5", "And this?", "Be kind.\n\nBe brief.")
    assert [(one.role, one.content) for one in made.history] == [("user", "This?"), ("assistant", "A\nB")]
    assert [one.base64_data for one in made.pictures] == ["BBBB"]


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (message(1, "assistant", text("a")), "last_message"),
        (message(1, "user", text(" ")), "empty_prompt"),
        (message(1, "user", text("a"), file("https://a.example/b")), "picture_by_url"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_sentence(last: dict[str, Any], code: str) -> None:
    with pytest.raises(ApiError) as refused:
        asked(request(last))
    assert (refused.value.status, refused.value.code) == (400, code)
    assert refused.value.detail.endswith(".")


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "a/b", "a" * 256, "\ud800"])
def test_a_chat_has_a_name_that_a_table_and_a_path_can_hold(name: str) -> None:
    with pytest.raises(ValidationError):
        request(message(1, "user", text("a")), id=name)

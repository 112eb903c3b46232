"""The list of models decides the protocol, and each protocol is asked in its own way."""

from __future__ import annotations

from typing import Any

import pytest

from polylogue.schemas.commands import ImageConfig
from polylogue.streams.gateway import questions
from polylogue.streams.gateway.catalogue import read_catalogue
from polylogue.streams.gateway.request import AudioRequest, ChatRequest, Message


@pytest.mark.parametrize(
    ("fields", "protocol"),
    [
        ({}, "chat"),
        ({"supported_endpoints": ["/v1/responses"]}, "responses"),
        ({"supported_endpoints": ["/v1/responses", "/v1/chat/completions"]}, "chat"),
        ({"supported_endpoints": ["/api/v1/images/generations"]}, "images"),
        ({"supported_endpoint_types": ["images"]}, "images"),
        ({"endpoints": ["audio/speech"]}, "speech"),
        ({"endpoints": ["videos"]}, "videos"),
        ({"endpoints": ["embeddings", 5]}, "chat"),
        ({"architecture": {"output_modalities": ["video"]}}, "videos"),
        ({"architecture": {"output_modalities": ["image", "text"]}}, "chat"),
    ],
)
def test_the_entry_says_how_a_model_is_asked(fields: dict[str, Any], protocol: str):
    (model,) = read_catalogue({"data": [{"id": "m", **fields}]})
    assert model.protocol == protocol


PARTS = ({"type": "text", "text": "Draw"}, {"type": "image_url", "image_url": {"url": "data:,"}})
REQUEST = ChatRequest(
    model="m",
    messages=(
        Message("system", "Be brief."),
        Message("user", "First"),
        Message("assistant", "Yes"),
        Message("user", PARTS),
    ),
    modalities=("image", "text"),
    max_tokens=5,
    image_config=ImageConfig(aspect_ratio="16:9"),
    audio=AudioRequest("alloy", "pcm16"),
    extra={"seed": 1},
)


def test_responses_are_asked_with_input_and_the_picture_tool():
    assert questions.body("responses", REQUEST) == {
        "seed": 1,
        "model": "m",
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": "First"},
            {"role": "assistant", "content": "Yes"},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Draw"},
                    {"type": "input_image", "image_url": "data:,"},
                ],
            },
        ],
        "stream": True,
        "store": False,
        "max_output_tokens": 5,
        "tools": [{"type": "image_generation", "partial_images": 2}],
    }


def test_the_others_are_asked_with_the_last_prompt():
    assert questions.body("images", REQUEST) == {
        "seed": 1,
        "model": "m",
        "prompt": "Draw",
        "stream": True,
        "partial_images": 2,
        "aspect_ratio": "16:9",
    }
    assert questions.body("videos", REQUEST) == {"seed": 1, "model": "m", "prompt": "Draw"}
    assert questions.body("speech", REQUEST) == {
        "seed": 1,
        "model": "m",
        "input": "Draw",
        "stream_format": "sse",
        "voice": "alloy",
        "response_format": "pcm",
    }


def test_chat_is_asked_as_ever():
    assert questions.body("chat", REQUEST) == REQUEST.body()

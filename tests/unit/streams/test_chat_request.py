"""What one model is asked: its own past, its own parameters, and the pictures that it takes."""

from __future__ import annotations

import pytest

from polylogue.infra.settings import load_settings
from polylogue.schemas.commands import HistoryMessage, Parameters, StartTurn
from polylogue.schemas.events import Attachment, ResponseSlot
from polylogue.streams.chat_request import chat_request, leaves_pictures_out, pictures_for
from polylogue.streams.gateway.catalogue import ModelInfo
from polylogue.streams.picture_urls import is_public
from polylogue.streams.titles import title_of


def model(*, takes: tuple[str, ...] = ("text",), makes: tuple[str, ...] = ("text",)) -> ModelInfo:
    return ModelInfo("a", "a", takes, makes)


def picture(name: str) -> Attachment:
    return Attachment(key=name, content_type="image/png", size_bytes=1, sha256="0" * 64)


def start(**fields: object) -> StartTurn:
    return StartTurn(prompt="now", responses=(ResponseSlot(response_id="r", model="a"),), **fields)


HISTORY = (
    HistoryMessage(role="user", content="first", attachments=(picture("sent"),)),
    HistoryMessage(role="assistant", content="mine", model="a", attachments=(picture("made"),)),
    HistoryMessage(role="assistant", content="theirs", model="b", attachments=(picture("foreign"),)),
)


def test_a_model_sees_every_prompt_and_only_its_own_replies() -> None:
    question = chat_request(start(history=HISTORY, system="be brief"), "a", model(), media_enabled=True)
    assert [(message.role, message.content) for message in question.messages] == [
        ("system", "be brief"),
        ("user", "first"),
        ("assistant", "mine"),
        ("user", "now"),
    ]


def test_pictures_go_with_the_users_messages_and_a_replys_with_the_next_one() -> None:
    turn, info = start(history=HISTORY, attachments=(picture("new"),)), model(takes=("text", "image"))
    assert [found.key for found in pictures_for(turn, "a", info)] == ["sent", "made", "new"]
    urls = {"sent": "data:1", "made": "data:2", "new": "data:3"}
    question = chat_request(turn, "a", info, media_enabled=True, pictures=urls)
    shown = [
        [part["image_url"]["url"] for part in message.content if part["type"] == "image_url"]
        for message in question.messages
        if message.role == "user"
    ]
    assert shown == [["data:1"], ["data:2", "data:3"]]
    assert question.messages[1].content == "mine"


def test_an_answer_of_pictures_alone_leaves_no_empty_message() -> None:
    reply = HistoryMessage(role="assistant", content="", model="a", attachments=(picture("made"),))
    info = model(takes=("text", "image"))
    question = chat_request(
        start(history=(reply,)), "a", info, media_enabled=True, pictures={"made": "data:2"}
    )
    assert [message.role for message in question.messages] == ["user"]
    assert question.messages[0].content[1]["image_url"]["url"] == "data:2"


def test_a_model_that_takes_no_pictures_is_asked_without_them() -> None:
    turn = start(attachments=(picture("new"),))
    assert pictures_for(turn, "a", model()) == ()
    assert leaves_pictures_out(turn, "a", model())
    assert not leaves_pictures_out(turn, "a", model(takes=("text", "image")))
    assert not leaves_pictures_out(start(), "a", model())


def test_a_models_own_parameters_replace_the_common_ones() -> None:
    turn = start(parameters=Parameters(temperature=0.9), model_parameters={"a": Parameters(top_p=0.5)})
    question = chat_request(turn, "a", model(), media_enabled=True)
    assert (question.temperature, question.top_p) == (None, 0.5)
    assert chat_request(turn, "b", model(), media_enabled=True).temperature == 0.9


def test_media_are_asked_for_only_where_the_model_makes_them_and_they_are_switched_on() -> None:
    painter = model(makes=("text", "image", "audio"))
    assert set(chat_request(start(), "a", painter, media_enabled=True).modalities) == {
        "text",
        "image",
        "audio",
    }
    assert chat_request(start(), "a", painter, media_enabled=True).audio is not None
    assert chat_request(start(), "a", painter, media_enabled=False).modalities == ()
    assert chat_request(start(), "a", None, media_enabled=True).modalities == ()


@pytest.mark.parametrize(
    ("fields", "public"),
    [
        ({"media_url_mode": "presigned"}, False),
        ({"media_url_mode": "public", "s3_endpoint_url": None}, True),
        ({"media_url_mode": "public", "cloudfront_domain": "media.example.org"}, True),
        ({"media_url_mode": "public", "s3_endpoint_url": "http://127.0.0.1:9000"}, False),
        ({"media_url_mode": "public", "s3_endpoint_url": "http://10.0.0.7:9000"}, False),
        ({"media_url_mode": "public", "s3_endpoint_url": "http://minio:9000"}, False),
        ({"media_url_mode": "public", "s3_endpoint_url": "https://s3.example.org"}, True),
    ],
)
def test_a_gateway_is_given_a_link_only_where_it_can_follow_it(fields: dict[str, str], public: bool) -> None:
    assert is_public(load_settings(_env_file=None, **fields)) is public


@pytest.mark.parametrize(
    ("prompt", "title"),
    [("\n\n  Draw a circle \nand more", "Draw a circle"), ("word " * 40, "word " * 15 + "word…"), ("", "")],
)
def test_a_title_is_the_prompts_first_line_cut_at_a_word(prompt: str, title: str) -> None:
    assert title_of(prompt) == title

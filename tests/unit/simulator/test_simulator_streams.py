"""What every model sends, read from the bytes of the stream."""

from __future__ import annotations

import hashlib
import io
import itertools
import re
import time

import av
import pytest
from PIL import Image

from polylogue.simulator import catalogue, chunks, media, requests, scripts
from tests.unit.simulator.gateway import Gateway

STREAMING = (
    "sim/text",
    "sim/reasoning",
    "sim/painter",
    "sim/gallery",
    "sim/speaker",
    "sim/mixed",
    "sim/slow",
)


@pytest.mark.parametrize("model", STREAMING)
async def test_every_stream_has_the_shape_of_openrouter(gateway: Gateway, model: str) -> None:
    reply = await gateway.ask(f"{model}:pace=0")
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/event-stream")
    generation = reply.headers["X-Generation-Id"]
    assert generation.startswith("gen-")
    assert reply.lines[0] == ": OPENROUTER PROCESSING"
    assert reply.lines[-1] == "[DONE]"
    *parts, usage = reply.chunks
    for chunk in reply.chunks:
        assert chunk["id"] == generation
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["model"] == f"{model}:pace=0"
        assert isinstance(chunk["created"], int)
    assert all(len(chunk["choices"]) == 1 and chunk["choices"][0]["index"] == 0 for chunk in parts)
    assert reply.finish_reasons == ["stop"]
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    counts = usage["usage"]
    assert counts["total_tokens"] == counts["prompt_tokens"] + counts["completion_tokens"]
    assert counts["prompt_tokens"] > 0
    assert counts["cost"] > 0


async def test_text_comes_word_by_word_and_quotes_the_prompt(gateway: Gateway) -> None:
    reply = await gateway.ask("sim/text:pace=0", "Why is the sky blue?")
    assert "Why is the sky blue?" in reply.text
    assert len([delta for delta in reply.deltas if delta["content"]]) == len(reply.text.split())


async def test_tokens_sets_the_number_of_pieces_exactly(gateway: Gateway) -> None:
    reply = await gateway.ask("sim/text:pace=0:tokens=500")
    assert len([delta for delta in reply.deltas if delta["content"]]) == 500
    assert reply.chunks[-1]["usage"]["completion_tokens"] == 500


async def test_max_tokens_ends_with_length(gateway: Gateway) -> None:
    reply = await gateway.ask("sim/text:pace=0", max_tokens=3)
    assert len(reply.text.split()) == 3
    assert reply.finish_reasons == ["length"]


async def test_reasoning_comes_before_the_text_and_under_both_names(gateway: Gateway) -> None:
    deltas = (await gateway.ask("sim/reasoning:pace=0")).deltas
    kinds = [
        kind for kind, _ in itertools.groupby("think" if "reasoning" in delta else "say" for delta in deltas)
    ]
    assert kinds == ["think", "say"]
    thoughts = [delta for delta in deltas if "reasoning" in delta]
    assert all(thought["content"] == "" for thought in thoughts)
    assert all(thought["reasoning_details"][0]["text"] == thought["reasoning"] for thought in thoughts)
    assert "Draw a red circle" in "".join(thought["reasoning"] for thought in thoughts)


async def test_the_painter_says_what_it_draws(gateway: Gateway) -> None:
    reply = await gateway.ask("sim/painter:pace=0")
    assert "a red circle" in reply.text
    (picture,) = reply.pictures
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    assert image.getpixel((512, 512)) == (220, 38, 38)


async def test_the_gallery_sends_three_different_pictures_each_in_one_delta(gateway: Gateway) -> None:
    reply = await gateway.ask("sim/gallery:pace=0")
    assert len(set(reply.pictures)) == 3
    images = [delta["images"] for delta in reply.deltas if "images" in delta]
    assert [[image["index"] for image in one] for one in images] == [[0], [1], [2]]
    assert all(image["type"] == "image_url" for one in images for image in one)


async def test_images_and_size_can_be_set(gateway: Gateway) -> None:
    reply = await gateway.ask("sim/painter:pace=0:images=2:size=300kb")
    assert len(reply.pictures) == 2
    assert all(len(picture) >= 300 * 1024 for picture in reply.pictures)


async def test_image_config_sets_the_dimensions(gateway: Gateway) -> None:
    reply = await gateway.ask("sim/painter:pace=0", image_config={"aspect_ratio": "16:9", "image_size": "1K"})
    assert Image.open(io.BytesIO(reply.pictures[0])).size == (1024, 576)


async def test_media_that_was_not_asked_for_is_left_out(gateway: Gateway) -> None:
    reply = await gateway.ask("sim/mixed:pace=0", modalities=["text", "audio"])
    assert reply.pictures == []
    assert reply.sound
    reply = await gateway.ask("sim/speaker:pace=0", modalities=["text"])
    assert reply.audio == []
    assert "Draw a red circle" in reply.text


@pytest.mark.parametrize("audio_format", ["mp3", "wav"])
async def test_speech_streams_sound_and_transcript_in_pieces(gateway: Gateway, audio_format: str) -> None:
    reply = await gateway.ask("sim/speaker:pace=0", audio={"voice": "alloy", "format": audio_format})
    audio = reply.audio
    assert audio[0]["id"]
    assert all("id" not in piece for piece in audio[1:])
    assert list(audio[-1]) == ["expires_at"]
    assert len([piece for piece in audio if "data" in piece]) > 5
    transcript = "".join(piece.get("transcript", "") for piece in audio)
    assert "Draw a red circle" in transcript
    with av.open(io.BytesIO(reply.sound)) as container:
        assert container.format.name == audio_format
        assert sum(frame.samples for frame in container.decode(audio=0)) > 24_000


async def test_pcm16_is_sent_when_asked_for(gateway: Gateway) -> None:
    pcm = (await gateway.ask("sim/speaker:pace=0", audio={"voice": "alloy", "format": "pcm16"})).sound
    wav = (await gateway.ask("sim/speaker:pace=0", audio={"voice": "alloy", "format": "wav"})).sound
    assert len(pcm) % 2 == 0
    assert wav.endswith(pcm)
    assert not pcm.startswith(b"RIFF")


async def test_large_sounds_come_in_pieces_of_19200_bytes(gateway: Gateway) -> None:
    reply = await gateway.ask("sim/speaker:pace=0:size=1mb", audio={"format": "wav"})
    assert len(reply.sound) >= 1024 * 1024
    assert len([piece for piece in reply.audio if len(piece.get("data", "")) == 19_200 // 3 * 4]) >= 54


async def test_mixed_is_text_picture_sound_text(gateway: Gateway) -> None:
    deltas = (await gateway.ask("sim/mixed:pace=0")).deltas
    kinds = [
        "picture" if "images" in delta else "sound" if "audio" in delta else "text"
        for delta in deltas
        if delta.get("content") or "images" in delta or "audio" in delta
    ]
    assert [kind for kind, _ in itertools.groupby(kinds)] == ["text", "picture", "sound", "text"]


async def test_failing_ends_with_an_error_object_after_some_text(gateway: Gateway) -> None:
    reply = await gateway.ask("sim/failing:pace=0")
    assert reply.status == 200
    assert len(reply.text.split()) > 3
    assert reply.finish_reasons == ["error"]
    last = reply.chunks[-1]
    assert last["error"]["code"] == 502
    assert last["error"]["message"]
    assert all("error" not in chunk for chunk in reply.chunks[:-1])
    assert "[DONE]" not in reply.lines
    assert (await gateway.get("/sim/stats"))["failed"] == 1


async def test_the_delay_comes_first_and_comments_keep_the_connection_open(gateway: Gateway) -> None:
    began = time.monotonic()
    reply = await gateway.ask("sim/text:delay=1200ms:tokens=2:pace=100ms")
    assert time.monotonic() - began >= 1.3
    assert reply.lines[:2] == [": OPENROUTER PROCESSING"] * 2


async def test_the_header_sets_options_too(gateway: Gateway) -> None:
    reply = await gateway.ask("sim/text", headers={"X-Sim": "pace=0,tokens=7"})
    assert len(reply.text.split()) == 7


@pytest.mark.parametrize("model", [*STREAMING, "sim/failing"])
async def test_the_same_request_gives_the_same_answer(gateway: Gateway, model: str) -> None:
    def without_names(body: bytes) -> bytes:
        return re.sub(rb"(gen-|audio_)\d+-\w+|\"(created|expires_at)\":\d+", b"", body)

    one, two = [await gateway.ask(f"{model}:pace=0", seed=5) for _ in range(2)]
    assert without_names(one.body) == without_names(two.body)


@pytest.mark.parametrize("model", STREAMING)
async def test_the_answer_can_be_recomputed_without_a_server(gateway: Gateway, model: str) -> None:
    body = gateway.body(f"{model}:pace=0:seed=3")
    reply = await gateway.post(body)
    request = requests.read(body)
    first = reply.chunks[0]
    envelope = chunks.Envelope(id=first["id"], model=first["model"], created=first["created"])
    expected = list(chunks.answer(request, envelope))
    assert [timed.chunk for timed in expected] == reply.chunks
    contents = [media.make(recipe) for recipe in scripts.write(request).recipes]
    assert contents == [*reply.pictures, *([reply.sound] if reply.sound else [])]
    (generation,) = (await gateway.get("/sim/generations"))["data"]
    assert generation["id"] == first["id"]
    assert generation["state"] == "finished"
    assert generation["prompt_sha256"] == hashlib.sha256(b"Draw a red circle").hexdigest()
    assert [medium["sha256"] for medium in generation["media"]] == [
        hashlib.sha256(content).hexdigest() for content in contents
    ]
    assert [medium["size_bytes"] for medium in generation["media"]] == [len(content) for content in contents]


@pytest.mark.parametrize("model", STREAMING)
async def test_without_stream_the_same_comes_as_one_message(gateway: Gateway, model: str) -> None:
    streamed = await gateway.ask(f"{model}:pace=0")
    whole = await gateway.ask(f"{model}:pace=0", stream=False)
    assert whole.headers["Content-Type"].startswith("application/json")
    assert whole.json["object"] == "chat.completion"
    (choice,) = whole.json["choices"]
    message = choice["message"]
    assert choice["finish_reason"] == "stop"
    assert message["content"] == streamed.text
    assert message.get("reasoning", "") == "".join(delta.get("reasoning", "") for delta in streamed.deltas)
    assert message.get("images", []) == [
        image for delta in streamed.deltas for image in delta.get("images", [])
    ]
    assert ("audio" in message) == bool(streamed.audio)
    if streamed.audio:
        assert message["audio"]["transcript"] == "".join(
            piece.get("transcript", "") for piece in streamed.audio
        )
    assert whole.json["usage"] == streamed.chunks[-1]["usage"]
    one, two = (await gateway.get("/sim/generations"))["data"]
    assert one["media"] == two["media"]


async def test_without_stream_a_failure_is_an_http_error(gateway: Gateway) -> None:
    reply = await gateway.ask("sim/failing:pace=0", stream=False)
    assert reply.status == 502
    assert reply.json["error"]["code"] == 502


async def test_the_whole_conversation_is_seen(gateway: Gateway) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "First question"},
        {"role": "assistant", "content": "First answer"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Second question"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ],
        },
    ]
    reply = await gateway.post({"model": "sim/text:pace=0", "stream": True, "messages": messages})
    assert "Second question" in reply.text
    assert "1 picture" in reply.text
    assert "question 2" in reply.text


async def test_the_catalogue_lists_every_model_with_modalities_and_prices(gateway: Gateway) -> None:
    entries = (await gateway.get("/api/v1/models"))["data"]
    assert [entry["id"] for entry in entries] == list(catalogue.MODELS)
    by_id = {entry["id"]: entry for entry in entries}
    assert by_id["sim/painter"]["architecture"]["output_modalities"] == ["image", "text"]
    assert by_id["sim/speaker"]["architecture"]["output_modalities"] == ["text", "audio"]
    for entry in entries:
        assert entry["name"]
        assert entry["context_length"] > 0
        assert "text" in entry["architecture"]["input_modalities"]
        assert all(re.fullmatch(r"\d+(\.\d+)?", price) for price in entry["pricing"].values())
        assert float(entry["pricing"]["completion"]) > float(entry["pricing"]["prompt"]) > 0

"""The answers of the models that draw over other endpoints: previews, results, the whole as one document."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson
import pybase64

from polylogue.simulator import catalogue, scenes
from polylogue.simulator.chunks import Json
from polylogue.simulator.media import Picture, Recipe, seed_of
from polylogue.simulator.requests import ChatRequest
from polylogue.simulator.scripts import IMAGE_TOKENS, pieces

PREVIEWS = 2
PREVIEW_SIDE = 128  # pixels
FILM_PRICE = 0.04  # US dollars


@dataclass(frozen=True, kw_only=True)
class Drawn:
    text: str
    recipes: tuple[Picture, ...]
    pictures: tuple[bytes, ...]
    previews: tuple[bytes, ...]  # of each picture in turn


@dataclass(frozen=True, kw_only=True)
class Answers:
    events: Callable[[ChatRequest, Drawn], Iterator[bytes]]
    whole: Callable[[ChatRequest, Drawn], Json]


def draw(asked: ChatRequest, make: Callable[[Recipe], bytes]) -> Drawn:
    count = asked.model.images if asked.options.images is None else asked.options.images
    recipes = tuple(
        Picture(
            prompt=asked.prompt,
            seed=seed_of(asked.model.id, asked.prompt, asked.seed, number),
            size=asked.options.size,
            width=asked.width,
            height=asked.height,
        )
        for number in range(count)
    )
    previews = tuple(
        make(Picture(prompt=asked.prompt, seed=recipe.seed + step, width=PREVIEW_SIDE, height=PREVIEW_SIDE))
        for recipe in recipes
        for step in range(PREVIEWS)
    )
    scene = scenes.describe(scenes.read(asked.prompt, seed_of(asked.model.id, asked.prompt, asked.seed)))
    return Drawn(
        text=f"Here is your picture: {scene}.",
        recipes=recipes,
        pictures=tuple(make(recipe) for recipe in recipes),
        previews=previews,
    )


def _usage(asked: ChatRequest, made: Drawn) -> Json:
    words, image_tokens = len(pieces(made.text)), IMAGE_TOKENS * len(made.pictures)
    cost = asked.prompt_tokens * catalogue.PROMPT_PRICE + image_tokens * catalogue.IMAGE_PRICE
    return {
        "input_tokens": asked.prompt_tokens,
        "output_tokens": words + image_tokens,
        "total_tokens": asked.prompt_tokens + words + image_tokens,
        "output_tokens_details": {"image_tokens": image_tokens},
        "cost": round(cost, 9),
    }


def _event(document: Json) -> bytes:
    return f"event: {document['type']}\n".encode() + b"data: " + orjson.dumps(document) + b"\n\n"


def _b64(data: bytes) -> str:
    return pybase64.b64encode_as_string(data)


def _image_events(asked: ChatRequest, made: Drawn) -> Iterator[bytes]:
    for number, picture in enumerate(made.pictures):
        for step in range(PREVIEWS):
            preview = _b64(made.previews[number * PREVIEWS + step])
            yield _event(
                {
                    "type": "image_generation.partial_image",
                    "partial_image_index": step,
                    "b64_json": preview,
                    "output_format": "png",
                }
            )
        last = number == len(made.pictures) - 1
        yield _event(
            {
                "type": "image_generation.completed",
                "b64_json": _b64(picture),
                "output_format": "png",
                **({"usage": _usage(asked, made)} if last else {}),
            }
        )


def _image_whole(asked: ChatRequest, made: Drawn) -> Json:
    data = [{"b64_json": _b64(picture)} for picture in made.pictures]
    return {"created": 0, "data": data, "output_format": "png", "usage": _usage(asked, made)}


def _call(number: int, picture: bytes) -> Json:
    return {
        "type": "image_generation_call",
        "id": f"ig_{number}",
        "status": "completed",
        "result": _b64(picture),
        "output_format": "png",
    }


def _response_events(asked: ChatRequest, made: Drawn) -> Iterator[bytes]:
    yield _event({"type": "response.created", "response": {"id": "resp_0", "status": "in_progress"}})
    for piece in pieces(made.text):
        yield _event({"type": "response.output_text.delta", "item_id": "msg_0", "delta": piece})
    yield _event({"type": "response.output_text.done", "item_id": "msg_0", "text": made.text})
    for number, picture in enumerate(made.pictures):
        item_id = f"ig_{number}"
        yield _event({"type": "response.image_generation_call.in_progress", "item_id": item_id})
        for step in range(PREVIEWS):
            yield _event(
                {
                    "type": "response.image_generation_call.partial_image",
                    "item_id": item_id,
                    "partial_image_index": step,
                    "partial_image_b64": _b64(made.previews[number * PREVIEWS + step]),
                }
            )
        yield _event({"type": "response.image_generation_call.completed", "item_id": item_id})
        yield _event({"type": "response.output_item.done", "item": _call(number, picture)})
    yield _event({"type": "response.completed", "response": _response_whole(asked, made)})


def _response_whole(asked: ChatRequest, made: Drawn) -> Json:
    said = {
        "type": "message",
        "id": "msg_0",
        "role": "assistant",
        "content": [{"type": "output_text", "text": made.text}],
    }
    return {
        "id": "resp_0",
        "object": "response",
        "status": "completed",
        "model": asked.asked_model,
        "output": [said, *(_call(number, picture) for number, picture in enumerate(made.pictures))],
        "usage": _usage(asked, made),
    }


RESPONSES = Answers(events=_response_events, whole=_response_whole)
IMAGES = Answers(events=_image_events, whole=_image_whole)

"""The simulated models: what each takes, gives and costs, and its OpenRouter-like entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from polylogue.simulator.cases import MODELS as CASE_MODELS
from polylogue.simulator.cases import Endpoint

CREATED = 1_767_225_600  # 2026-01-01T00:00:00Z: entries must not differ between two calls

PROMPT_PRICE = 0.000_000_5  # US dollars a token
COMPLETION_PRICE = 0.000_002
IMAGE_PRICE = 0.000_03
AUDIO_PRICE = 0.000_02


@dataclass(frozen=True, kw_only=True)
class Model:
    id: str
    name: str
    description: str
    outputs: tuple[str, ...] = ("text",)
    inputs: tuple[str, ...] = ("text", "image")
    context_length: int = 128_000
    pace: float = 0.015  # seconds between two pieces: about what a quick model does
    images: int = 0
    endpoint: str = "chat/completions"


_CASE_PATHS: dict[Endpoint, str] = {
    "chat": "chat/completions",
    "responses": "responses",
    "images": "images/generations",
    "speech": "audio/speech",
    "videos": "videos",
}
_CASE_OUTPUTS: dict[Endpoint, tuple[str, ...]] = {
    "chat": ("text", "image", "audio"),
    "responses": ("text", "image"),
    "images": ("image",),
    "speech": ("audio", "text"),
    "videos": ("video",),
}

MODELS: dict[str, Model] = {
    model.id: model
    for model in (
        Model(id="sim/text", name="Simulated: Text", description="Answers with text."),
        Model(id="sim/reasoning", name="Simulated: Reasoning", description="Thinks first, then answers."),
        Model(
            id="sim/painter",
            name="Simulated: Painter",
            description="Draws the shapes and colours that the prompt names.",
            outputs=("image", "text"),
            images=1,
        ),
        Model(
            id="sim/gallery",
            name="Simulated: Gallery",
            description="Draws three variations.",
            outputs=("image", "text"),
            images=3,
        ),
        Model(
            id="sim/speaker",
            name="Simulated: Speaker",
            description="Speaks: streamed sound with its transcript.",
            outputs=("text", "audio"),
        ),
        Model(
            id="sim/mixed",
            name="Simulated: Mixed",
            description="Text, a picture, a sound and text again in one answer.",
            outputs=("text", "image", "audio"),
            images=1,
        ),
        Model(
            id="sim/failing",
            name="Simulated: Failing",
            description="Breaks off with an error after some text.",
        ),
        Model(id="sim/slow", name="Simulated: Slow", description="Answers slowly.", pace=0.4),
        Model(id="sim/refused", name="Simulated: Refused", description="Refuses the key: HTTP 401."),
        Model(id="sim/busy", name="Simulated: Busy", description="Always over its limit: HTTP 429."),
        Model(
            id="sim/director",
            name="Simulated: Director",
            description="Shoots a short film with sound: a job that is ordered and polled.",
            outputs=("video",),
            inputs=("text",),
            endpoint="videos",
        ),
        Model(
            id="sim/sketcher",
            name="Simulated: Sketcher",
            description="Draws on the image endpoint, with previews.",
            outputs=("image",),
            inputs=("text",),
            images=1,
            endpoint="images/generations",
        ),
        Model(
            id="sim/illustrator",
            name="Simulated: Illustrator",
            description="Writes and draws over the Responses API.",
            outputs=("text", "image"),
            images=1,
            endpoint="responses",
        ),
        *(
            Model(
                id=model_id,
                name=f"Simulated: Wire cases ({endpoint})",
                description="Sends the wire case that its suffix names, such as :case=framing-bom.",
                outputs=_CASE_OUTPUTS[endpoint],
                endpoint=_CASE_PATHS[endpoint],
            )
            for endpoint, model_id in CASE_MODELS.items()
        ),
    )
}


def _price(dollars: float) -> str:
    return f"{dollars:.8f}".rstrip("0")


def entry(model: Model) -> dict[str, Any]:
    pricing = {"prompt": _price(PROMPT_PRICE), "completion": _price(COMPLETION_PRICE), "request": "0"}
    if "image" in model.outputs:
        pricing["image_output"] = _price(IMAGE_PRICE)
    if "audio" in model.outputs:
        pricing["audio_output"] = _price(AUDIO_PRICE)
    return {
        "id": model.id,
        "canonical_slug": model.id,
        "name": model.name,
        "description": model.description,
        "created": CREATED,
        "context_length": model.context_length,
        "architecture": {
            "modality": f"{'+'.join(model.inputs)}->{'+'.join(model.outputs)}",
            "input_modalities": list(model.inputs),
            "output_modalities": list(model.outputs),
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": pricing,
        "top_provider": {
            "context_length": model.context_length,
            "max_completion_tokens": None,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_endpoints": [f"/v1/{model.endpoint}"],
        "supported_parameters": ["max_tokens", "modalities", "seed", "stream"],
    }


def entries() -> list[dict[str, Any]]:
    return [entry(model) for model in MODELS.values()]

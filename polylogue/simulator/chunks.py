"""The wire shapes of OpenRouter: chunks of a stream, the whole completion, and errors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pybase64

from polylogue.simulator.media import Cache, Sent, make, sent
from polylogue.simulator.requests import ChatRequest
from polylogue.simulator.scripts import Break, Say, Script, Show, Speak, Step, Think, Usage, write

PROVIDER = "Simulator"
COMMENT = b": OPENROUTER PROCESSING\n\n"
DONE = b"data: [DONE]\n\n"
LARGEST_AUDIO_PIECE = 19_200  # bytes before base64: what recordings of real gateways show
AUDIO_PIECES = 12  # a short sound comes in about so many
AUDIO_LIFE_S = 3600

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """What every chunk of one generation repeats."""

    id: str
    model: str
    created: int

    def chunk(self, delta: Json, finish_reason: str | None = None) -> Json:
        choice = {
            "index": 0,
            "delta": {"role": "assistant", **delta},
            "finish_reason": finish_reason,
            "native_finish_reason": finish_reason,
            "logprobs": None,
        }
        return self._object("chat.completion.chunk", [choice])

    def usage(self, usage: Usage) -> Json:
        return {**self._object("chat.completion.chunk", []), "usage": usage_fields(usage)}

    def broken(self, step: Break) -> Json:
        """An error after the stream has begun: the status was 200, so it comes as a chunk."""
        chunk = self.chunk({"content": ""}, "error")
        chunk["error"] = error_fields(step.code, step.message, {"provider_name": PROVIDER})
        return chunk

    def completion(self, message: Json, finish_reason: str, usage: Usage) -> Json:
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": finish_reason,
            "native_finish_reason": finish_reason,
            "logprobs": None,
        }
        return {**self._object("chat.completion", [choice]), "usage": usage_fields(usage)}

    def _object(self, kind: str, choices: list[Json]) -> Json:
        return {
            "id": self.id,
            "provider": PROVIDER,
            "model": self.model,
            "object": kind,
            "created": self.created,
            "choices": choices,
        }


def error_fields(code: int, message: str, metadata: Json | None = None) -> Json:
    fields: Json = {"code": code, "message": message}
    if metadata:
        fields["metadata"] = metadata
    return fields


def error_body(code: int, message: str, metadata: Json | None = None) -> Json:
    return {"error": error_fields(code, message, metadata)}


def usage_fields(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "cost": usage.cost,
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "cost_details": {"upstream_inference_cost": None},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "image_tokens": usage.image_tokens,
            "audio_tokens": usage.audio_tokens,
        },
    }


def _image(content: bytes, index: int) -> Json:
    url = f"data:image/png;base64,{pybase64.b64encode_as_string(content)}"
    return {"type": "image_url", "image_url": {"url": url}, "index": index}


def _thought(text: str) -> Json:
    # OpenRouter sends the same words under both names.
    detail = {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}
    return {"reasoning": text, "reasoning_details": [detail]}


def _audio_id(envelope: Envelope) -> str:
    return f"audio_{envelope.id.removeprefix('gen-')}"


def _spoken(envelope: Envelope, step: Speak, content: bytes) -> Iterator[Json]:
    """Transcript and sound side by side, the transcript ahead; id first, `expires_at` last."""
    yield {"audio": {"id": _audio_id(envelope), "transcript": ""}}
    # A multiple of three, so that only the last piece is padded; of two, so that no PCM sample is cut.
    length = max(1200, min(LARGEST_AUDIO_PIECE, len(content) // AUDIO_PIECES // 6 * 6))
    view = memoryview(content)
    sound = (
        pybase64.b64encode_as_string(view[start : start + length]) for start in range(0, len(content), length)
    )
    for word, piece in itertools.zip_longest(step.transcript, sound):
        if word is not None:
            yield {"audio": {"transcript": word}}
        if piece is not None:
            yield {"audio": {"data": piece}}
    yield {"audio": {"expires_at": envelope.created + AUDIO_LIFE_S}}


def step_chunks(envelope: Envelope, step: Step, content: bytes = b"") -> Iterator[Json]:
    """The chunks of one step; `content` is its medium, made beforehand."""
    match step:
        case Say():
            yield from (envelope.chunk({"content": piece}) for piece in step.pieces)
        case Think():
            yield from (envelope.chunk({"content": "", **_thought(piece)}) for piece in step.pieces)
        case Show():
            yield envelope.chunk({"content": "", "images": [_image(content, step.index)]})
        case Speak():
            yield from (envelope.chunk(delta) for delta in _spoken(envelope, step, content))
        case Break():
            yield envelope.broken(step)


def closing_chunks(envelope: Envelope, script: Script) -> list[Json]:
    """After the last step, unless that was a break."""
    return [envelope.chunk({"content": ""}, script.finish_reason), envelope.usage(script.usage)]


def event(chunk: Json) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def message(envelope: Envelope, script: Script, contents: list[bytes]) -> Json:
    """The message of a completion that is not streamed; `contents` are the media in the order of the steps."""
    media = iter(contents)
    text: list[str] = []
    thoughts: list[str] = []
    fields: Json = {"images": []}
    for step in script.steps:
        match step:
            case Say():
                text += step.pieces
            case Think():
                thoughts += step.pieces
            case Show():
                fields["images"].append(_image(next(media), step.index))
            case Speak():
                fields["audio"] = {
                    "id": _audio_id(envelope),
                    "data": pybase64.b64encode_as_string(next(media)),
                    "transcript": "".join(step.transcript),
                    "expires_at": envelope.created + AUDIO_LIFE_S,
                }
            case Break():
                pass
    if not fields["images"]:
        del fields["images"]
    if thoughts:
        fields |= _thought("".join(thoughts))
    return {"role": "assistant", "content": "".join(text), "refusal": None, **fields}


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A chunk, the seconds to wait before it, and the medium that is complete with it."""

    delay: float
    chunk: Json
    medium: Sent | None = None


def answer(
    request: ChatRequest, envelope: Envelope | None = None, cache: Cache | None = None
) -> Iterator[Timed]:
    """The whole streamed answer to a request, without a server: what tests compare with."""
    envelope = envelope or Envelope(id="gen-0", model=request.asked_model, created=0)
    script = write(request)
    wait = script.delay
    for step in script.steps:
        recipe = step.recipe if isinstance(step, Show | Speak) else None
        content = b"" if recipe is None else (cache.make if cache else make)(recipe)
        chunks = list(step_chunks(envelope, step, content))
        for number, chunk in enumerate(chunks, start=1):
            last = recipe is not None and number == len(chunks)
            yield Timed(delay=wait, chunk=chunk, medium=sent(recipe, content) if last and recipe else None)
            wait = script.pace
    if script.breaks is None:
        yield from (Timed(delay=0.0, chunk=chunk) for chunk in closing_chunks(envelope, script))

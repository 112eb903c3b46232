"""What each model answers: a list of steps, decided by the request alone."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from polylogue.simulator import catalogue, scenes
from polylogue.simulator.media import Picture, Recipe, Sound, seed_of
from polylogue.simulator.requests import ChatRequest

IMAGE_TOKENS = 1290
AUDIO_TOKENS_PER_WORD = 20

_PIECE = re.compile(r"\s*\S+\s*$|\s*\S+")
_SUBJECTS = ("The question", "A first reading", "The wording", "One example", "A simple case", "The answer")
_VERBS = ("points to", "depends on", "makes room for", "is close to", "begins with", "leads back to")
_OBJECTS = (
    "a handful of plain facts",
    "what one means by it",
    "the order of the steps",
    "something easy to check",
    "a smaller question",
    "the cases at the edge",
)


@dataclass(frozen=True, kw_only=True)
class Say:
    pieces: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Think:
    pieces: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Show:
    recipe: Picture
    index: int


@dataclass(frozen=True, kw_only=True)
class Speak:
    recipe: Sound
    transcript: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Break:
    """An error in mid-stream, after which nothing comes."""

    code: int
    message: str


Step = Say | Think | Show | Speak | Break


@dataclass(frozen=True, kw_only=True)
class Usage:
    prompt_tokens: int
    text_tokens: int = 0
    reasoning_tokens: int = 0
    image_tokens: int = 0
    audio_tokens: int = 0

    @property
    def completion_tokens(self) -> int:
        return self.text_tokens + self.reasoning_tokens + self.image_tokens + self.audio_tokens

    @property
    def cost(self) -> float:
        return round(
            self.prompt_tokens * catalogue.PROMPT_PRICE
            + (self.text_tokens + self.reasoning_tokens) * catalogue.COMPLETION_PRICE
            + self.image_tokens * catalogue.IMAGE_PRICE
            + self.audio_tokens * catalogue.AUDIO_PRICE,
            9,
        )


@dataclass(frozen=True, kw_only=True)
class Script:
    steps: tuple[Step, ...]
    finish_reason: str
    usage: Usage
    pace: float
    delay: float

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        return tuple(step.recipe for step in self.steps if isinstance(step, Show | Speak))

    @property
    def breaks(self) -> Break | None:
        return next((step for step in self.steps if isinstance(step, Break)), None)


def pieces(text: str) -> tuple[str, ...]:
    """Text cut as models cut it: a word with the space before it; joined again it is the same text."""
    return tuple(_PIECE.findall(text))


def _sentences(seed: int) -> Iterator[str]:
    chance = random.Random(seed)  # noqa: S311 - prose, not a secret
    while True:
        yield f"{chance.choice(_SUBJECTS)} {chance.choice(_VERBS)} {chance.choice(_OBJECTS)}."


def _prose(opening: str, tokens: int | None, seed: int, *, sentences: int = 4) -> tuple[str, ...]:
    """The opening and some sentences; with `tokens`, exactly so many pieces."""
    if tokens is None:
        return pieces(" ".join([opening, *itertools.islice(_sentences(seed), sentences)]))
    words = itertools.chain(
        pieces(opening), (piece for sentence in _sentences(seed) for piece in pieces(f" {sentence}"))
    )
    return tuple(itertools.islice(words, tokens))


def _quoted(prompt: str) -> str:
    words = " ".join(prompt.split())
    return f"“{words[:77]}…”" if len(words) > 80 else f"“{words}”"


def _opening(request: ChatRequest) -> str:
    parts = [f"You asked: {_quoted(request.prompt)}."]
    if request.pictures:
        parts.append(f"You attached {request.pictures} picture{'s' if request.pictures > 1 else ''}.")
    if request.turns > 1:
        parts.append(f"This is question {request.turns} of our conversation.")
    return " ".join(parts)


def _scene(request: ChatRequest, seed: int) -> str:
    return scenes.describe(scenes.read(request.prompt, seed))


def _pictures(request: ChatRequest) -> list[Show]:
    if not request.gives("image"):
        return []
    count = request.model.images if request.options.images is None else request.options.images
    return [
        Show(
            recipe=Picture(
                prompt=request.prompt,
                seed=seed_of(request.model.id, request.prompt, request.seed, number),
                size=request.options.size,
                width=request.width,
                height=request.height,
            ),
            index=number,
        )
        for number in range(count)
    ]


def _speech(request: ChatRequest, text: str) -> list[Step]:
    if not request.gives("audio"):
        return [Say(pieces=pieces(text))]
    recipe = Sound(
        text=text,
        seed=seed_of(request.model.id, request.prompt, request.seed),
        format=request.audio_format,
        size=request.options.size,
    )
    return [Speak(recipe=recipe, transcript=pieces(text))]


def _steps(request: ChatRequest) -> list[Step]:
    seed = seed_of(request.model.id, request.prompt, request.seed)
    tokens = request.options.tokens
    match request.model.id:
        case "sim/reasoning":
            thought = f"The user writes {_quoted(request.prompt)}. I should look at it from two sides."
            return [
                Think(pieces=_prose(thought, None, seed + 1, sentences=3)),
                Say(pieces=_prose(_opening(request), tokens, seed)),
            ]
        case "sim/painter":
            text = pieces(f"Here is your picture: {_scene(request, seed)}.")
            return [
                Say(pieces=text if tokens is None else _prose("".join(text), tokens, seed)),
                *_pictures(request),
            ]
        case "sim/gallery":
            shows = _pictures(request)
            intro = f"Here are {len(shows)} variations on {_quoted(request.prompt)}."
            steps: list[Step] = [Say(pieces=pieces(intro) if tokens is None else _prose(intro, tokens, seed))]
            for show in shows:
                text = pieces(f"\n\nVariation {show.index + 1}: {_scene(request, show.recipe.seed)}.\n\n")
                steps += [Say(pieces=text), show]
            return steps
        case "sim/speaker":
            words = "".join(_prose(_opening(request), tokens, seed, sentences=1))
            return _speech(request, words)
        case "sim/mixed":
            shows = _pictures(request)
            drawn = f"First a picture: {_scene(request, seed)}."
            return [
                Say(pieces=pieces(drawn) if tokens is None else _prose(drawn, tokens, seed)),
                *shows,
                *_speech(request, f"This is what I drew for {_quoted(request.prompt)}."),
                Say(pieces=pieces("And that was a picture, a sound and some text in one answer.")),
            ]
        case "sim/failing":
            return [
                Say(pieces=_prose(_opening(request), tokens, seed, sentences=1)),
                Break(code=502, message="The simulated provider broke off."),
            ]
        case _:
            return [Say(pieces=_prose(_opening(request), tokens, seed))]


def _limited(steps: list[Step], limit: int | None) -> tuple[list[Step], bool]:
    """Steps cut after `limit` pieces of text and reasoning, and whether anything was cut."""
    if limit is None:
        return steps, False
    kept: list[Step] = []
    for step in steps:
        if isinstance(step, Say | Think):
            if len(step.pieces) > limit:
                kept.append(type(step)(pieces=step.pieces[:limit]))
                return kept, True
            limit -= len(step.pieces)
        kept.append(step)
    return kept, False


def write(request: ChatRequest) -> Script:
    steps, cut = _limited(_steps(request), request.max_tokens)
    usage = Usage(
        prompt_tokens=request.prompt_tokens,
        text_tokens=sum(len(step.pieces) for step in steps if isinstance(step, Say)),
        reasoning_tokens=sum(len(step.pieces) for step in steps if isinstance(step, Think)),
        image_tokens=sum(IMAGE_TOKENS for step in steps if isinstance(step, Show)),
        audio_tokens=sum(
            AUDIO_TOKENS_PER_WORD * len(step.transcript) for step in steps if isinstance(step, Speak)
        ),
    )
    pace = request.options.pace
    return Script(
        steps=tuple(steps),
        finish_reason="length" if cut else "stop",
        usage=usage,
        pace=request.model.pace if pace is None else pace,
        delay=request.options.delay,
    )

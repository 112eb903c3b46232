"""What a prompt asks to be drawn: a small reading of its colours, shapes and counts."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (220, 38, 38),
    "orange": (249, 115, 22),
    "yellow": (250, 204, 21),
    "gold": (212, 160, 23),
    "green": (22, 163, 74),
    "lime": (132, 204, 22),
    "teal": (13, 148, 136),
    "turquoise": (64, 224, 208),
    "cyan": (6, 182, 212),
    "blue": (37, 99, 235),
    "navy": (23, 37, 84),
    "indigo": (79, 70, 229),
    "purple": (147, 51, 234),
    "violet": (139, 92, 246),
    "magenta": (217, 70, 239),
    "pink": (244, 114, 182),
    "brown": (120, 72, 40),
    "beige": (232, 220, 196),
    "black": (17, 17, 17),
    "white": (255, 255, 255),
    "gray": (128, 128, 128),
    "grey": (128, 128, 128),
    "silver": (192, 192, 192),
}
SHAPES: dict[str, str] = {
    **dict.fromkeys(("circle", "ball", "disc", "disk", "dot", "sphere"), "circle"),
    **dict.fromkeys(("square", "box", "cube"), "square"),
    **dict.fromkeys(("rectangle", "bar"), "rectangle"),
    **dict.fromkeys(("ellipse", "oval", "egg"), "ellipse"),
    **dict.fromkeys(("triangle", "pyramid"), "triangle"),
    **dict.fromkeys(("diamond", "rhombus"), "diamond"),
    **dict.fromkeys(("pentagon",), "pentagon"),
    **dict.fromkeys(("hexagon",), "hexagon"),
    **dict.fromkeys(("star",), "star"),
    **dict.fromkeys(("heart",), "heart"),
    **dict.fromkeys(("ring", "donut"), "ring"),
    **dict.fromkeys(("cross", "plus"), "cross"),
    **dict.fromkeys(("moon", "crescent"), "moon"),
    **dict.fromkeys(("sun",), "sun"),
    **dict.fromkeys(("tree",), "tree"),
    **dict.fromkeys(("house", "home"), "house"),
    **dict.fromkeys(("flower",), "flower"),
}
NATURAL: dict[str, str] = {
    "sun": "yellow",
    "moon": "silver",
    "tree": "green",
    "house": "brown",
    "heart": "red",
}
COUNTS = {
    word: number
    for number, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"), start=2
    )
}
MOST_THINGS = 36
_PALETTE = ("red", "orange", "green", "teal", "blue", "indigo", "purple", "pink")
_BACKGROUNDS = frozenset(("background", "sky", "canvas", "backdrop", "paper"))
_WORD = re.compile(r"[a-z]+|\d+")


@dataclass(frozen=True, kw_only=True)
class Thing:
    shape: str
    colour: str


@dataclass(frozen=True, kw_only=True)
class Scene:
    background: str
    things: tuple[Thing, ...]
    asked_for: bool  # False: the prompt names no shape and the scene is invented


def _singular(word: str) -> str:
    if word in SHAPES:
        return word
    for ending in ("es", "s"):
        if word.endswith(ending) and word[: -len(ending)] in SHAPES:
            return word[: -len(ending)]
    return word


def read(prompt: str, seed: int) -> Scene:
    """The scene that the prompt describes; what it leaves open is chosen by the seed."""
    # Not for secrets: the same seed has to give the same picture.
    chance = random.Random(seed)  # noqa: S311
    background: str | None = None
    colours: list[str] = []
    named: list[str] = []
    count = 1
    things: list[Thing] = []
    for word in _WORD.findall(prompt.lower()[:10_000]):
        shape = SHAPES.get(_singular(word))
        if word in COLOURS:
            colours.append(word)
            named.append(word)
        elif word in COUNTS:
            count = COUNTS[word]
        elif word.isdigit() and len(word) <= 2 and int(word) > 0:
            count = int(word)
        elif word in _BACKGROUNDS and colours:
            background = colours.pop()
        elif shape is not None:
            colours = colours or [NATURAL.get(shape) or chance.choice(_PALETTE)]
            count = max(count, len(colours))
            things += [Thing(shape=shape, colour=colours[at % len(colours)]) for at in range(count)]
            colours, count = [], 1
    asked_for = bool(things)
    if not things:
        shapes = sorted(set(SHAPES.values()))
        palette = tuple(named) or _PALETTE
        things = [
            Thing(shape=chance.choice(shapes), colour=chance.choice(palette))
            for _ in range(chance.randint(4, 9))
        ]
    things = things[:MOST_THINGS]
    if background is None:
        background = "navy" if any(thing.colour in ("white", "beige") for thing in things) else "white"
    return Scene(background=background, things=tuple(things), asked_for=asked_for)


def describe(scene: Scene) -> str:
    """`a red circle and two blue squares on a white background`."""
    counted: dict[Thing, int] = {}
    for thing in scene.things:
        counted[thing] = counted.get(thing, 0) + 1
    words = [
        f"{'an' if thing.colour[0] in 'aeiou' else 'a'} {thing.colour} {thing.shape}"
        if number == 1
        else f"{number} {thing.colour} {thing.shape}{'es' if thing.shape.endswith('s') else 's'}"
        for thing, number in counted.items()
    ]
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"{listed} on a {scene.background} background"

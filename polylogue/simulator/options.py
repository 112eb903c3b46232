"""What a request may set by model-name suffix (`sim/painter:size=2mb`) or by header (`X-Sim: size=2mb,pace=5ms`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from polylogue.simulator.cases import CASES

MEGABYTE = 1024 * 1024
LARGEST_MEDIUM = 100 * MEGABYTE
MOST_IMAGES = 32
MOST_TOKENS = 200_000
LONGEST_PACE_S = 60.0
LONGEST_DELAY_S = 600.0
LARGEST_SEED = 2**63 - 1

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s)?")
_DURATION_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(b|kb|mb)?")
_SIZE_UNITS = {"b": 1, "kb": 1024, "mb": MEGABYTE}


class OptionError(ValueError):
    """The option is unknown or its value cannot be used; the message is a sentence for the caller."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """None means that the model's own habit applies."""

    pace: float | None = None  # seconds between two pieces
    delay: float = 0.0  # seconds before the first piece
    size: int = 0  # every medium has at least so many bytes
    images: int | None = None
    tokens: int | None = None  # pieces of text in the main part of the answer
    seed: int | None = None
    case: str | None = None  # of `cases.CASES`; only the models for cases have them


def _duration(longest: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        match = _DURATION.fullmatch(value)
        if match is None or (match[2] is None and float(match[1]) != 0):
            raise OptionError("is a time with its unit, such as 5ms or 1.5s")
        seconds = float(match[1]) * _DURATION_UNITS[match[2] or "s"]
        if seconds > longest:
            raise OptionError(f"is at most {longest:g}s")
        return seconds

    return parse


def _size(value: str) -> int:
    match = _SIZE.fullmatch(value)
    if match is None:
        raise OptionError("is a number of bytes, such as 500kb or 2mb")
    size = round(float(match[1]) * _SIZE_UNITS[match[2] or "b"])
    if size > LARGEST_MEDIUM:
        raise OptionError("is at most 100mb")
    return size


def _count(largest: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not (value.isascii() and value.isdigit() and len(value) <= 20) or int(value) > largest:
            raise OptionError(f"is a whole number from 0 to {largest}")
        return int(value)

    return parse


def _case(value: str) -> str:
    if value not in CASES:
        raise OptionError("is one of the ids in docs/simulator.md")
    return value


_PARSERS: dict[str, Callable[[str], float | int | str]] = {
    "pace": _duration(LONGEST_PACE_S),
    "delay": _duration(LONGEST_DELAY_S),
    "size": _size,
    "images": _count(MOST_IMAGES),
    "tokens": _count(MOST_TOKENS),
    "seed": _count(LARGEST_SEED),
    "case": _case,
}


def _parse(settings: Iterable[str], base: Options) -> Options:
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = (part.strip() for part in setting.partition("="))
        parser = _PARSERS.get(name)
        if parser is None or not equals:
            known = ", ".join(_PARSERS)
            raise OptionError(f"The simulator has no option {setting.strip()[:60]!r}; it knows {known}.")
        try:
            values[name] = parser(value.lower())
        except OptionError as error:
            raise OptionError(f"The simulator cannot use {setting.strip()[:60]!r}: {name} {error}.") from None
    return replace(base, **values)


def parse_header(header: str) -> Options:
    """`size=2mb,pace=5ms`; an empty header sets nothing."""
    return _parse((part for part in header.split(",") if part.strip()), Options())


def split_model(model: str, base: Options) -> tuple[str, Options]:
    """`sim/painter:size=2mb` → (`sim/painter`, options). The suffix wins over `base`, which comes from the header."""
    name, *settings = model.split(":")
    return name, _parse(settings, base)

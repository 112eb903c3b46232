"""The outline of a sound: its loudest sample in each of 200 pieces, for a player to draw before it plays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import BinaryIO

import av
import orjson

from polylogue.media.streams_of import opened, sound_and_film
from polylogue.media.verdicts import Accepted

POINTS = 200
_LOUDEST = 32768
_BLOCK_SAMPLES = 240  # all channels together: a few milliseconds


def waveform(file: BinaryIO, facts: Accepted) -> bytes:
    """JSON: `duration_ms`, and `peaks`, 200 numbers from 0 to 1. Raises whatever the library raises."""
    blocks: list[int] = []
    with opened(file, facts.format) as container:
        sound, _ = sound_and_film(container)
        if sound is None:
            raise ValueError("there is no sound")
        resampler = av.AudioResampler(format="s16")
        for frame in container.decode(sound):
            for piece in resampler.resample(frame):
                channels = piece.layout.nb_channels
                samples = memoryview(piece.planes[0]).cast("B")[: piece.samples * channels * 2].cast("h")
                blocks.extend(
                    max(map(abs, (max(block), min(block))))
                    for block in (
                        samples[at : at + _BLOCK_SAMPLES] for at in range(0, len(samples), _BLOCK_SAMPLES)
                    )
                )
    return orjson.dumps({"duration_ms": facts.duration_ms, "peaks": peaks(blocks)})


def peaks(blocks: Sequence[int]) -> list[float]:
    """The loudest of each of POINTS equal pieces; a short sound's blocks are stretched."""
    if not blocks:
        return [0.0] * POINTS
    found = []
    for point in range(POINTS):
        begin = point * len(blocks) // POINTS
        end = max(begin + 1, math.ceil((point + 1) * len(blocks) / POINTS))
        found.append(round(min(1.0, max(blocks[begin:end]) / _LOUDEST), 3))
    return found

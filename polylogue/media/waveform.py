"""The outline of a sound: its loudest sample in each of 200 pieces, for a player to draw before it plays."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import av
import orjson
from PIL import Image

from polylogue.media.streams_of import opened, sound_and_film
from polylogue.media.verdicts import Accepted

POINTS = 200
_LOUDEST = 32768
_FEWEST_SAMPLES = 240  # of a block, all channels together: a few milliseconds
_BLOCKS_A_POINT = 8  # of a long sound: its blocks may be longer, and cost less


def waveform(file: BinaryIO, facts: Accepted) -> bytes:
    """JSON: `duration_ms`, and `peaks`, 200 numbers from 0 to 1. Raises whatever the library raises."""
    blocks: list[int] = []
    with opened(file, facts.format) as container:
        sound, _ = sound_and_film(container)
        if sound is None:
            raise ValueError("there is no sound")
        resampler = av.AudioResampler(format="s16")
        length_s = (facts.duration_ms or 0) / 1000
        most = length_s * sound.rate * sound.channels / (POINTS * _BLOCKS_A_POINT)
        block = max(_FEWEST_SAMPLES, int(most))
        for packet in container.demux(sound):
            with contextlib.suppress(av.InvalidDataError):  # players pass over a damaged packet, too
                for frame in packet.decode():
                    for piece in resampler.resample(frame):
                        size = piece.samples * piece.layout.nb_channels * 2
                        blocks.extend(_loudest(bytes(memoryview(piece.planes[0])[:size]), block))
    return orjson.dumps({"duration_ms": facts.duration_ms, "peaks": peaks(blocks)})


def _loudest(samples: bytes, block: int) -> Iterator[int]:
    """Of each block of samples of 16 bits; a row of pixels is looked through much faster than a list."""
    count = len(samples) // 2
    row = Image.frombuffer("I", (count, 1), samples, "raw", "I;16NS", 0, 1)
    for begin in range(0, count, block):
        low, high = row.crop((begin, 0, min(begin + block, count), 1)).getextrema()
        assert isinstance(low, int)
        assert isinstance(high, int)
        yield max(-low, high)


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

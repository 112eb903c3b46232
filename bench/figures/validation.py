"""What the check of a file costs, and its smaller versions, by type and size."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

from bench.figure import RUNS, Figure, Series, Table
from bench.processes import BenchError
from polylogue.infra.settings import Settings
from polylogue.media.validation import ValidationPool
from polylogue.media.verdicts import Accepted
from tests.support.media_samples import encoded, film, moving, sound, wav

MIB = 1024 * 1024
SECONDS = 60  # of a sound: half a minute is much for a model, a song is three
FILM_SECONDS = 5
FILM_SIZE = (1280, 720)


def photo(side: int) -> Image.Image:
    """Something between a flat picture and noise: it takes encoders and decoders about as long as a photo does."""
    noise = Image.effect_noise((side, side), 40)
    smooth = Image.radial_gradient("L").resize((side, side))
    return Image.merge("RGB", (Image.blend(smooth, noise, 0.3), smooth, Image.blend(smooth, noise, 0.2)))


FILES: Mapping[str, Callable[[], bytes]] = {
    "PNG 32²": lambda: encoded("PNG", photo(32)),
    "PNG 1024²": lambda: encoded("PNG", photo(1024)),
    "PNG 4096²": lambda: encoded("PNG", photo(4096)),
    "JPEG 1024²": lambda: encoded("JPEG", photo(1024), quality=90),
    "JPEG 4096²": lambda: encoded("JPEG", photo(4096), quality=90),
    "WebP 1024²": lambda: encoded("WEBP", photo(1024), quality=90),
    "AVIF 1024²": lambda: encoded("AVIF", photo(1024)),
    "GIF 50 × 500²": lambda: moving("GIF", 50, side=500),
    f"WAV {SECONDS} s": lambda: wav(SECONDS),
    f"MP3 {SECONDS} s": lambda: sound("mp3", "libmp3lame", SECONDS),
    f"Ogg Opus {SECONDS} s": lambda: sound("ogg", "libopus", SECONDS),
    f"FLAC {SECONDS} s": lambda: sound("flac", "flac", SECONDS),
    f"M4A {SECONDS} s": lambda: sound("ipod", "aac", SECONDS),
    f"MP4 720p {FILM_SECONDS} s": lambda: film("mp4", "libx264", seconds=FILM_SECONDS, size=FILM_SIZE),
    f"WebM 720p {FILM_SECONDS} s": lambda: film("webm", "libvpx", seconds=FILM_SECONDS, size=FILM_SIZE),
}


async def run(quick: bool) -> list[Series]:
    table = Table()
    settings = Settings(_env_file=None, media_validation_timeout_s=120)
    with tempfile.TemporaryDirectory() as directory:
        async with ValidationPool.from_settings(settings, processes=1) as pool:
            for name, make in FILES.items():
                path = Path(directory, "file")
                size = await asyncio.to_thread(lambda to, made: to.write_bytes(made()), path, make)
                label = f"{name}, {size / MIB:.1f} MiB"
                await _measure(table, pool, label, path, runs=1 if quick else RUNS)
        for _ in range(1 if quick else RUNS):
            began = time.perf_counter()
            async with ValidationPool.from_settings(settings, processes=1):
                table.add("start of a process", "ms", (time.perf_counter() - began) * 1000)
    return table.series()


async def _measure(table: Table, pool: ValidationPool, name: str, path: Path, *, runs: int) -> None:
    facts = await pool.inspect(path)  # warms up
    if not isinstance(facts, Accepted):
        raise BenchError(f"{name} was refused: {facts.reason}")
    for _ in range(runs):
        gc.collect()
        began = time.perf_counter()
        await pool.inspect(path)
        checked = time.perf_counter()
        made = await pool.renditions(path, facts)
        done = time.perf_counter()
        if not made:
            raise BenchError(f"no smaller version of {name} could be made")
        table.add(f"{name}: check", "ms", (checked - began) * 1000)
        table.add(f"{name}: smaller versions", "ms", (done - checked) * 1000)


FIGURE = Figure(
    "validation",
    "From the question to the pool (one process, warm) to its answer: first the check (type, structure, provenance, full "
    "decode of pictures, probe of sound and film), then the smaller versions. No upload is in it.",
    run,
)

"""How long a picture takes from the gateway to its `media` frame, beside a bare upload of the same bytes."""

from __future__ import annotations

import asyncio
import io
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp

from bench.figure import RUNS, Figure, Series, Table, Target
from bench.gateway import PICTURE
from bench.media_requests import counted
from bench.pictures import MB
from bench.processes import KAFKA_AS_IN_PRODUCTION, BenchError, data_directory, gateway, system
from bench.questions import Line, ask
from polylogue.infra.s3 import create_s3_client
from polylogue.schemas.usage import Steps

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SIZES_MB = (1, 10, 100)
WARM_MB, WARM_TIMES = (
    10,
    10,
)  # until the Java of both servers has compiled what it does for a picture and a bare upload
BUCKET = "bench-bare"
MOST_AT_ONCE = 10 * MB  # the local server keeps a signed request in memory until it is whole
RATIO = Target(2.5)  # from 10 MB on, without the check of the file
SECONDS_AT_10 = Target(2000)
MADE_WITHIN_S, ASK_EVERY_S = 30.0, 0.1


class Took(NamedTuple):
    since_taken_ms: float  # by the kernel of the gateway
    since_gone_ms: float  # to the runner's


async def run(quick: bool) -> list[Series]:
    table = Table()
    with gateway() as models:
        named = {"OPENROUTER_BASE_URL": models, "OPENROUTER_API_KEY": "bench"} | KAFKA_AS_IN_PRODUCTION
        with data_directory() as directory, system(directory, named) as running:
            s3 = create_s3_client(running.settings())
            s3.create_bucket(Bucket=BUCKET)
            async with aiohttp.ClientSession() as session, counted(running.settings()) as usage:
                for number in range(0 if quick else WARM_TIMES):
                    await _beside(session, running.url, s3, WARM_MB, f"warm-{number}")
                for size in SIZES_MB:
                    for number in range(2 if quick else RUNS + 1):
                        media_id, took, bare_ms = await _beside(
                            session, running.url, s3, size, f"{size}-{number}"
                        )
                        (outcome,) = await usage.of([media_id])
                        if number == 0:
                            continue  # connections, threads and code are cold
                        steps = outcome.steps or Steps()
                        within = SECONDS_AT_10 if size == 10 else None
                        table.add(f"{size} MB: gateway to media frame", "ms", took.since_gone_ms, within)
                        for step in ("queued", "read", "validate", "upload"):
                            table.add(f"{size} MB: of it {step}", "ms", getattr(steps, step) or 0)
                        table.add(f"{size} MB: bare upload of the same bytes", "ms", bare_ms)
                        table.add(f"{size} MB: media frame over upload", "×", took.since_gone_ms / bare_ms)
                        checked_ms = steps.validate or 0
                        table.add(
                            f"{size} MB: without the check over upload",
                            "×",
                            (took.since_gone_ms - checked_ms) / bare_ms,
                            RATIO if size >= 10 else None,
                        )
                        since = f"{size} MB, since the gateway's kernel took the last byte"
                        table.add(since, "ms", took.since_taken_ms)
                        table.add(
                            f"{since}: without the check over upload",
                            "×",
                            (took.since_taken_ms - checked_ms) / bare_ms,
                        )
            s3.close()
    return table.series()


async def _beside(
    session: aiohttp.ClientSession, url: str, s3: S3Client, size_mb: int, name: str
) -> tuple[str, Took, float]:
    """The id of one picture, how long it took, and how long the bare upload of the same bytes then took, in ms."""
    took, media_id, data = await _picture(session, url, size_mb * MB)
    await _smaller_versions(session, url, media_id)
    return media_id, took, await asyncio.to_thread(_put, s3, f"{name}.png", data)


async def _picture(session: aiohttp.ClientSession, url: str, size: int) -> tuple[Took, str, bytes]:
    """The time from the last byte of the picture to its frame, its id, and the stored bytes."""
    lines = await ask(session, url, f"size={size}", [PICTURE])
    media = [(line, frame) for line in lines if (frame := _frame(line))["type"] == "media"]
    stamps = [stamp for line in lines for stamp in line.stamps]
    if len(media) != 1 or len(stamps) != 2:
        frames = [_frame(line) for line in lines]
        said = [f"{frame['type']} {frame.get('message', '')}".strip() for frame in frames]
        raise BenchError(f"{size} not one picture and two stamps behind it, but: {', '.join(said)}")
    ((line, frame),) = media
    taken, gone = stamps
    async with session.get(frame["url"]) as response:
        response.raise_for_status()
        data = await response.read()
    assert len(data) == size
    return Took((line.at_ns - taken) / 1e6, (line.at_ns - gone) / 1e6), frame["media_id"], data


async def _smaller_versions(session: aiohttp.ClientSession, url: str, media_id: str) -> None:
    """Returns when they are made, so that neither the bare upload nor the next picture has to share with them."""
    with suppress(TimeoutError):  # a busy machine may take too long for the pool; then there are none
        async with asyncio.timeout(MADE_WITHIN_S):
            while True:
                async with session.get(f"{url}/api/media/{media_id}") as response:
                    if response.ok and (await response.json()).get("renditions"):
                        return
                await asyncio.sleep(ASK_EVERY_S)


def _frame(line: Line) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(line.data.removeprefix(b"data:"))
    return frame


def _put(s3: S3Client, key: str, data: bytes) -> float:
    begun = time.perf_counter()
    if len(data) <= MOST_AT_ONCE:
        s3.put_object(Bucket=BUCKET, Key=key, Body=data, ContentType="image/png")
    else:
        s3.upload_fileobj(io.BytesIO(data), BUCKET, key, ExtraArgs={"ContentType": "image/png"})
    return (time.perf_counter() - begun) * 1000


FIGURE = Figure(
    "media_latency",
    "From the moment at which the last byte of the picture's chunk (base64 in one line) has left the gateway (the other end's "
    "kernel has acknowledged it) to the arrival of the end of the `media` frame at the client; and from the moment at which "
    "the gateway's own kernel had taken it, while of 10 MB some 3 still waited there. Beside it, in the same run, boto3's "
    "`put_object` of the same bytes to the same server (at 100 MB its `upload_fileobj`, which sends parts in parallel), "
    "from the call to its return. "
    "It hashes the bytes for its signature, as boto3 does without TLS, which the product leaves out because it sends their "
    "SHA-256. Before the first that count, ten pictures of 10 MB and as many bare uploads warm up both servers' Java; "
    "Kafka's runs with the options of its own start script. Between two pictures the smaller versions of the last one are waited for. "
    "How long the agent took for each of its steps stands below; the check of the file (`validate`) is taken off for "
    "the last ratio.",
    run,
)

"""`polylogue usage tail`: every event of `media-usage` as it comes, for people or as JSON lines."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated

import typer

from polylogue.cli.media_retry import seconds
from polylogue.cli.problems import Problem
from polylogue.cli.servers_here import settings_here

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

    from polylogue.infra.settings import Settings
    from polylogue.schemas.envelope import UsageEvent
    from polylogue.schemas.usage import Steps

POLL_MS = 500


def tail(
    *,
    since: Annotated[
        str | None, typer.Option(metavar="AGE", help="Begin so long ago, such as 10m or 2d; else now.")
    ] = None,
    follow: Annotated[bool, typer.Option(help="Go on until Ctrl-C; --no-follow ends at the end.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as it is on the topic.")] = False,
) -> None:
    """Show what media were stored, rejected, failed, deleted and expired; an event may be shown twice."""

    begin_s = seconds(since) if since is not None else 0.0
    # Ctrl-C is how one leaves a tail, and whoever reads the pipe may have enough.
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        asyncio.run(_show(settings_here(), begin_s, follow=follow, as_json=as_json))


async def _show(settings: Settings, since_s: float, *, follow: bool, as_json: bool) -> None:
    from polylogue.schemas.codec import usage_codec
    from polylogue.schemas.envelope import UsageEvent

    async with contextlib.aclosing(records(settings, since_s, follow=follow)) as found:
        async for record in found:
            event = usage_codec.decode(record.value)
            if as_json and record.value is not None:
                print(record.value.decode(errors="replace"), flush=True)
            elif isinstance(event, UsageEvent):
                print(line(event), flush=True)


async def records(
    settings: Settings, since_s: float, *, follow: bool
) -> AsyncGenerator[ConsumerRecord[bytes, bytes]]:
    """Those from so many seconds ago on, in the order of each partition. Raises Problem, KafkaError."""
    from polylogue.infra.kafka import manual_consumer, started
    from polylogue.streams.usage_log import UsageTopicMissingError, usage_partitions

    try:
        places = await usage_partitions(settings)
    except UsageTopicMissingError as error:
        raise Problem(str(error)) from None
    async with started(manual_consumer(settings)) as consumer:
        ends = await _begin(consumer, places, since_s)
        while follow or any([await consumer.position(place) < end for place, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                for record in batch:
                    yield record


async def _begin(
    consumer: AIOKafkaConsumer, places: list[TopicPartition], since_s: float
) -> dict[TopicPartition, int]:
    """Sets every partition to its place; returns the ends as they are now."""
    from polylogue.schemas.clock import now_ms

    consumer.assign(places)
    ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
    since_ms = now_ms() - int(since_s * 1000)
    starts = await consumer.offsets_for_times(dict.fromkeys(places, since_ms)) if since_s else {}
    for place in places:
        start = starts.get(place)
        consumer.seek(place, start.offset if start is not None else ends[place])
    return ends


def line(event: UsageEvent) -> str:
    """When, what became of it, whose, which model, what it is."""
    from polylogue.cli.wording import clean
    from polylogue.schemas.usage import MediaUsageRecorded

    data = event.data
    if not isinstance(data, MediaUsageRecorded):
        return f"{event.occurred_at}  {type(data).__name__}"
    size = f"{data.width}×{data.height}" if data.width and data.height else None
    length = f"{data.duration_ms / 1000:.1f} s" if data.duration_ms else None
    cost = f"${data.cost_usd_micros / 1_000_000:.4f}" if data.cost_usd_micros is not None else None
    took = f"in {data.latency_ms} ms{_steps(data.steps)}" if data.latency_ms is not None else None
    told = [
        data.format or data.media_type,
        f"{data.size_bytes:,} bytes",
        size,
        length,
        cost,
        took,
        data.reason,
    ]
    return (
        f"{event.occurred_at}  {data.outcome:<8}  {clean(event.owner_id)}  {clean(data.model)}  "
        + ", ".join(clean(one) for one in told if one)
        + f"  {data.media_id}"
    )


def _steps(steps: Steps | None) -> str:
    """What took how long of it, in the order in which it was done."""
    if steps is None:
        return ""
    named = [(name, getattr(steps, name)) for name in steps.__struct_fields__]
    told = ", ".join(f"{name} {took}" for name, took in named if took is not None)
    return f" ({told})" if told else ""

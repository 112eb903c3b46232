"""`GET /streams/me`: what happens in all conversations of the one who asks, on one stream."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Response

from polylogue.api.compare_stream import Working
from polylogue.api.cursor import CursorError
from polylogue.api.errors import ApiError
from polylogue.api.hub import LogTruncatedError
from polylogue.api.live_stream import retry_hint
from polylogue.api.owner_feed import OwnerFeed, unfinished_start
from polylogue.api.owner_reading import OwnerReading, TooFarError
from polylogue.api.places import locate
from polylogue.api.principal import Asking
from polylogue.api.services import Services
from polylogue.api.sse import HEADERS, EventStream
from polylogue.api.streams import counting_refusals
from polylogue.api.vector import OtherLogError, Stand, Vector, logs_digest, parse, written
from polylogue.api.window_reader import gap

router = APIRouter(prefix="/streams", tags=["conversations"])

_UNFINISHED = """
    SELECT conversation_id FROM conversation_turns WHERE owner_id = %(owner)s AND NOT finished
    UNION
    SELECT conversation_id FROM submissions
    WHERE owner_id = %(owner)s AND first_sent_at > now() - interval '1 minute'
"""


@router.get("/me", response_class=EventStream)
async def mine(
    services: Working,
    asking: Asking,
    *,
    content: Annotated[bool, Query(description="texts, too, and not only what a list changes with")] = False,
    after: Annotated[str | None, Query()] = None,
    errors: Annotated[Literal["frame"] | None, Query()] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Standard SSE from `Last-Event-ID` (which wins), `after`, or now. Its ids are of this stream only; the `id` in a
    frame is that of its conversation's stream. Stays open; new conversations appear by themselves."""
    metrics = services.metrics
    with counting_refusals(metrics):
        vector = await _vector(services, last_event_id or after)
        feed = await _feed(services, asking.owner)
        reading = OwnerReading(
            services.hub,
            feed,
            content=content,
            keepalive_s=services.settings.sse_keepalive_s,
            sent=metrics.frames.inc,
        )
        with reading:
            try:
                await reading.prepare(vector)
            except (LogTruncatedError, TooFarError) as error:
                return _behind(services, feed, error, as_frame=errors == "frame")
    metrics.resumes.labels("cursor" if vector else "start").inc()
    # An id without data is kept by readers, who then know where they began.
    preamble = retry_hint() + b"id: " + reading.last_id.encode() + b"\n\n"
    return EventStream(reading, metrics, preamble=preamble)


async def _feed(services: Services, owner: str) -> OwnerFeed:
    """With what is under way now, so that a reader who leaves in the middle of it can come back."""
    hub = services.hub
    values = {"owner": owner}
    # Before and after: what is unfinished where the feed begins is so in one of the two.
    async with services.pool.connection() as connection:
        rows = await (await connection.execute(_UNFINISHED, values)).fetchall()
    feed = hub.feed_for(owner)
    async with services.pool.connection() as connection:
        rows += await (await connection.execute(_UNFINISHED, values)).fetchall()
    places = {one: await locate(services.pool, owner, one) for one in {row[0] for row in rows}}
    found = {one: (services.partition_of(one), place.safe_start) for one, place in places.items() if place}
    for conversation_id, (partition, start) in found.items():
        feed.is_unfinished(partition, conversation_id, start)
    for conversation_id, (partition, start) in found.items():
        try:
            channel = await hub.channel(conversation_id, partition, start)
        except LogTruncatedError:
            feed.settle(partition, conversation_id, None)  # what is no longer kept cannot go on
        else:
            feed.settle(partition, conversation_id, unfinished_start(channel.state))
    return feed


async def _vector(services: Services, text: str | None) -> dict[int, Stand] | None:
    """Raises ApiError, NotReadyError."""
    hub = services.hub
    hub.position(0)
    if not text:
        return None
    try:
        vector = parse(text, logs_digest(hub.log_ids), len(hub.log_ids))
    except OtherLogError as error:
        raise ApiError(409, "other_log", str(error)) from None
    except CursorError as error:
        raise ApiError(400, "bad_cursor", str(error)) from None
    for partition, stand in vector.items():
        if stand.offset >= hub.position(partition):
            _, end = await services.readers.ends(partition)
            if stand.offset >= end:
                raise ApiError(409, "future_cursor", "The cursor lies beyond the end of the event log.")
    return vector


def _behind(
    services: Services, feed: OwnerFeed, error: LogTruncatedError | TooFarError, *, as_frame: bool
) -> Response:
    now: Vector = feed.vector()
    resume = written(now, logs_digest(services.hub.log_ids))
    code, what = (
        ("retention", "The log no longer holds what the cursor asks for")
        if isinstance(error, LogTruncatedError)
        else ("too_far_behind", "Too much has happened since the cursor")
    )
    if not as_frame:
        raise ApiError(
            410, code, f"{what}; read the list again and go on from resume_from.", resume_from=resume
        )
    services.metrics.resumes.labels(code).inc()
    return Response(gap("", "retention", resume, "events"), media_type="text/event-stream", headers=HEADERS)

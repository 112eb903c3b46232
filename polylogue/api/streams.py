"""From a request for a conversation's events to a prepared subscription: cursor, owner, place in the log, end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi.responses import Response

from polylogue.api import cursor as cursors
from polylogue.api.channel import Channel
from polylogue.api.cursor import Cursor, CursorError
from polylogue.api.errors import ApiError, not_found
from polylogue.api.hub import LogTruncatedError, NotReadyError
from polylogue.api.live_stream import retry_hint
from polylogue.api.metrics import Metrics
from polylogue.api.places import ConversationPlace, locate
from polylogue.api.projected import until_projected
from polylogue.api.services import Services
from polylogue.api.snapshot import begins_again, snapshot_frames
from polylogue.api.snapshot_rows import ended
from polylogue.api.sse import HEADERS, EventStream
from polylogue.api.subscription import Subscription
from polylogue.api.window import Form
from polylogue.api.window_reader import gap

TABLES_S = 5.0  # the projector is a moment behind the log; more means that it stands still
SNAPSHOT_TABLES = ("conversations", "conversation_messages")
_GONE = (
    "What is asked for is no longer kept in the log; read the conversation again and go on from resume_from."
)
CURSOR_REFUSALS = frozenset({"bad_cursor", "other_log", "future_cursor", "retention", "too_far_behind"})
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


async def placed(services: Services, owner: str, conversation_id: str) -> ConversationPlace:
    """Raises ApiError 404."""
    place = await locate(services.pool, owner, conversation_id) if _ID.fullmatch(conversation_id) else None
    if place is None:
        raise not_found()
    return place


def _held_place(
    services: Services, owner: str, conversation_id: str, after: Cursor
) -> ConversationPlace | None:
    """For whoever comes back to what is held here of a conversation: its own records say whose it is.

    Of its turns the tables may know more, and of its beginning; with such a cursor and no turn nobody asks.
    """
    channel = services.hub.find(conversation_id)
    if channel is None or channel.owner != owner or channel.state.deleted:
        return None
    if after.place < channel.window.floor:
        return None
    return ConversationPlace(first_offset=channel.start, safe_start=channel.start, turns={})


async def _shared_place(
    services: Services, owner: str, conversation_id: str, turn_id: str | None
) -> ConversationPlace:
    """As `placed`, with one look-up for all who ask at once: a thousand come back at the same moment.

    Raises ApiError 404.
    """
    if not _ID.fullmatch(conversation_id):
        raise not_found()
    place = await services.places.shared(owner, conversation_id)
    if place is None or (turn_id is not None and turn_id not in place.turns):
        # The look-up may have begun before what is asked for was there.
        return await placed(services, owner, conversation_id)
    return place


async def subscribe(
    services: Services,
    conversation_id: str,
    place: ConversationPlace,
    *,
    form: Form,
    after: Cursor | None = None,
    turn_id: str | None = None,
    start: int | None = None,
    snapshot_for: str | None = None,
) -> Subscription:
    """A prepared subscription; without a cursor it begins at `start`, else with the turn, else with the conversation.

    `snapshot_for`: the owner, who is given the state so far instead of what lies before.

    Raises ApiError, NotReadyError, LogTruncatedError, KafkaError.
    """
    if turn_id is not None and turn_id not in place.turns:
        raise not_found("turn")
    partition = services.partition_of(conversation_id)
    if after is not None:
        await _check(services, after, partition)
        after = _bounded(after, place)
    try:
        channel = await services.hub.channel(conversation_id, partition, place.safe_start)
    except LogTruncatedError as error:
        # Whoever was told of the gap goes on with what is left.
        if after is None or after.start < error.earliest:
            raise
        channel = await services.hub.channel(conversation_id, partition, after.start)
    turn = place.turns.get(turn_id or "")
    if start is None:
        start = turn.floor if turn else place.first_offset
    subscription = Subscription(
        services.hub,
        channel,
        form=form,
        after=after,
        start=start,
        turn_id=turn_id,
        turn_floor=turn.round_floor if turn else None,
        turn_round=turn.round if turn else 1,
        keepalive_s=services.settings.sse_keepalive_s,
        sent=services.metrics.frames.inc,
    )
    with subscription:  # so that the channel is not evicted meanwhile
        if snapshot_for is not None and begins_again(after, start):
            await _begin_with_snapshot(
                services, subscription, channel, owner=snapshot_for, turn_id=turn_id, begin=start
            )
        else:
            await subscription.prepare()
    return subscription


async def stream(
    services: Services,
    owner: str,
    conversation_id: str,
    *,
    form: Form,
    after: str | None,
    turn_id: str | None,
    gap_as_frame: bool = False,
    snapshot: bool = False,
) -> Response:
    """The answer to a request for events, from the cursor on."""
    with counting_refusals(services.metrics):
        cursor = read_cursor(after)
        place = None
        if cursor is not None and turn_id is None and not snapshot:
            place = _held_place(services, owner, conversation_id, cursor)
        if place is None:
            place = await _shared_place(services, owner, conversation_id, turn_id)
        try:
            subscription = await subscribe(
                services,
                conversation_id,
                place,
                form=form,
                after=cursor,
                turn_id=turn_id,
                snapshot_for=owner if snapshot else None,
            )
        except LogTruncatedError as error:
            log_id = services.hub.log_ids[error.partition]
            place = await _shared_place(services, owner, conversation_id, turn_id)
            resume = str(cursors.before(log_id, error.partition, max(error.earliest, place.safe_start)))
            if not gap_as_frame:
                raise ApiError(410, "retention", _GONE, resume_from=resume) from None
            services.metrics.resumes.labels("retention").inc()
            body = gap(conversation_id, "retention", resume, form, turn_id=turn_id)
            return Response(body, media_type="text/event-stream", headers=HEADERS)
    headers = {"X-Conversation-Id": conversation_id} | ({"X-Turn-Id": turn_id} if turn_id else {})
    if not subscription.read_log:
        services.metrics.window_hits.inc()
    how = "over" if subscription.over else "snapshot" if snapshot else "cursor" if cursor else "start"
    services.metrics.resumes.labels(how).inc()
    if how == "over":
        return Response(status_code=204, headers=HEADERS | headers)
    preamble = retry_hint() if form == "events" else b""
    return EventStream(subscription, services.metrics, headers=headers, preamble=preamble)


async def _begin_with_snapshot(
    services: Services,
    subscription: Subscription,
    channel: Channel,
    *,
    owner: str,
    turn_id: str | None,
    begin: int,
) -> None:
    """Raises NotReadyError, LogTruncatedError, KafkaError."""
    at, told, sequence = await services.hub.so_far(channel)
    running = [one.response_id for one in told]
    try:
        async with asyncio.timeout(TABLES_S):
            await until_projected(services, channel.partition, at.offset, SNAPSHOT_TABLES)
    except TimeoutError:
        raise NotReadyError("The tables are behind the event log; try again in a moment.") from None
    finished = await ended(
        services.pool,
        owner,
        channel.conversation_id,
        at.offset,
        running=running,
        turn_id=turn_id,
        url_for=services.url_for,
    )
    told = finished + [one for one in told if turn_id in (None, one.turn_id)]
    subscription.begin_with(snapshot_frames(channel.conversation_id, told, at, begin), at, sequence)


@contextmanager
def counting_refusals(metrics: Metrics) -> Iterator[None]:
    """Counts streams that do not begin because of their cursor."""
    try:
        yield
    except ApiError as error:
        if error.code in CURSOR_REFUSALS:
            metrics.resumes.labels(error.code).inc()
        raise


def read_cursor(text: str | None) -> Cursor | None:
    """Raises ApiError 400."""
    try:
        return cursors.parse(text) if text else None
    except CursorError as error:
        raise ApiError(400, "bad_cursor", str(error)) from None


def _bounded(after: Cursor, place: ConversationPlace) -> Cursor:
    """Nothing of the conversation lies before its first event: a cursor that was made up has nobody read all that does."""
    first = cursors.before(after.log_id, after.partition, place.first_offset)
    return max(after, first)._replace(start=max(after.start, first.start))


async def _check(services: Services, after: Cursor, partition: int) -> None:
    if after.partition != partition or after.log_id != services.hub.log_ids.get(partition):
        raise ApiError(409, "other_log", "The cursor belongs to another event log or another conversation.")
    if after.offset >= services.hub.position(partition):
        _, end = await services.readers.ends(partition)
        if after.offset >= end:
            raise ApiError(409, "future_cursor", "The cursor lies beyond the end of the event log.")

"""From a request to a written command: the key is claimed, the hub watches, the command is written, and only then frames flow."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec
import psycopg
import psycopg_pool

from polylogue.api import submissions, trace
from polylogue.api.command_log import KafkaAwayError, OutcomeUnknownError
from polylogue.api.errors import ApiError, turn_running
from polylogue.api.history import fitted
from polylogue.api.places import ConversationPlace
from polylogue.api.quotas import allowed
from polylogue.api.services import Services
from polylogue.api.streams import placed, subscribe
from polylogue.api.submissions import RoundTakenError, Submission
from polylogue.api.subscription import Subscription
from polylogue.infra.logs import get_logger
from polylogue.schemas.clock import now_ms, rfc3339
from polylogue.schemas.codec import command_codec
from polylogue.schemas.commands import StartConversation, StartTurn
from polylogue.schemas.envelope import Command

RESEND_AFTER_S = 5.0
ASK_EVERY_S = 0.1  # while the first request of a key is still sending

log = get_logger("polylogue.api.begin")


@dataclass(frozen=True)
class Draft:
    """What a request comes to, before anything of it is accepted."""

    conversation_id: str
    turn_id: str
    data: StartTurn | StartConversation
    place: ConversationPlace | None = None  # of an existing conversation
    last_response: int = 0
    objects: tuple[str, ...] = ()  # keys of what was stored for it


@dataclass(frozen=True)
class Begun:
    submission: Submission
    subscription: Subscription | None


async def begin(
    services: Services,
    owner: str,
    *,
    key: str | None,
    digest: str,
    draft: Callable[[], Awaitable[Draft]],
    watch: bool = True,
) -> Begun:
    """What this request, or an earlier one with the same key, has begun. Raises ApiError and what means that a server
    is away."""
    while True:
        if key is not None:
            earlier = await submissions.find(services.pool, owner, key)
            if earlier is not None:
                repeated = await _repeat(services, earlier, digest, watch=watch)
                if repeated is not None:
                    return repeated
        try:
            begun = await _begin(services, owner, key or uuid.uuid4().hex, digest, await draft(), watch=watch)
        except ApiError as error:
            # What runs may be what another request with the same key has begun meanwhile.
            if error.status == 409 and key and await submissions.find(services.pool, owner, key):
                continue
            raise
        if begun is not None:
            return begun


async def _begin(
    services: Services, owner: str, key: str, digest: str, draft: Draft, *, watch: bool
) -> Begun | None:
    """None where another request with the same key was faster."""
    stored = draft.objects
    claimed = False
    try:
        if isinstance(draft.data, StartTurn):
            draft = replace(draft, data=await allowed(services, owner, draft.data))
        submission, command, more = await _prepared(services, owner, key, digest, draft)
        stored += more
        await services.commands.probe()
        claimed = await _claim(services, submission)
        if not claimed:
            await services.attachments.drop(stored)
            return None
        # From here on nothing of the round can pass unseen: its first event comes after its command.
        subscription = await _watch(services, submission, draft.place) if watch else None
    except BaseException:  # a client that goes away, too: nothing was sent, so nothing is left of it
        if claimed:
            await submissions.withdraw(services.pool, submission)
        await services.attachments.drop(stored)
        raise
    try:
        await _send(services, submission, command)
    except KafkaAwayError:
        await submissions.withdraw(services.pool, submission)
        await services.attachments.drop(stored)
        raise
    return Begun(submission, subscription)


async def _prepared(
    services: Services, owner: str, key: str, digest: str, draft: Draft
) -> tuple[Submission, Command, tuple[str, ...]]:
    """The submission and its command, and the keys of what was stored for it."""
    partition = services.partition_of(draft.conversation_id)
    first_sent_at_ms = now_ms()
    command, stored = await fitted(_command(owner, draft, first_sent_at_ms), services.attachments)
    submission = Submission(
        owner_id=owner,
        idempotency_key=key,
        body_hash=digest,
        conversation_id=draft.conversation_id,
        turn_id=draft.turn_id,
        round=draft.data.round if isinstance(draft.data, StartTurn) else 0,
        last_response=draft.last_response,
        first_sent_at=datetime.fromtimestamp(first_sent_at_ms / 1000, UTC),
        events_offset=services.hub.position(partition),
        command=command_codec.encode(command),
        command_partition=partition,
    )
    return submission, command, stored


async def _claim(services: Services, submission: Submission) -> bool:
    try:
        return await submissions.claim(services.pool, submission)
    except RoundTakenError:
        raise turn_running() from None


async def _watch(services: Services, submission: Submission, place: ConversationPlace | None) -> Subscription:
    floor = submission.events_offset
    if place is None:
        services.hub.fresh(submission.conversation_id, submission.command_partition)
        place = ConversationPlace(floor, floor, {})
    return await _subscription(
        services, submission, place.with_round(submission.turn_id, submission.round, floor)
    )


async def _subscription(services: Services, submission: Submission, place: ConversationPlace) -> Subscription:
    return await subscribe(
        services,
        submission.conversation_id,
        place,
        form="data",
        turn_id=submission.turn_id,
        # A turn's first round begins with the turn, which the tables may know exactly.
        start=submission.events_offset if submission.round > 1 else None,
    )


async def _repeat(services: Services, earlier: Submission, digest: str, *, watch: bool) -> Begun | None:
    """What an earlier request has begun, streamed from its start; None where that one was withdrawn meanwhile."""
    if earlier.body_hash != digest:
        raise ApiError(
            422,
            "idempotency_mismatch",
            "This Idempotency-Key was used for another request; use a new key for a new request.",
            errors=[],
        )
    found: Submission | None = earlier
    while found is not None and found.command_offset is None:
        if (datetime.now(UTC) - found.first_sent_at).total_seconds() > RESEND_AFTER_S:
            await _resend(services, found)
            break
        await asyncio.sleep(ASK_EVERY_S)
        found = await submissions.find(services.pool, found.owner_id, found.idempotency_key)
    if found is None:
        return None
    if not watch:
        return Begun(found, None)
    place = await placed(services, found.owner_id, found.conversation_id)
    return Begun(found, await _subscription(services, found, place))


async def _resend(services: Services, submission: Submission) -> None:
    command = command_codec.decode(submission.command or b"")
    if not isinstance(command, Command):
        raise _unknown(submission)
    await services.commands.probe()
    await _send(services, submission, msgspec.structs.replace(command, resend=True))


def _command(owner: str, draft: Draft, first_sent_at_ms: int) -> Command:
    has_turn = isinstance(draft.data, StartTurn)
    number = draft.data.round if isinstance(draft.data, StartTurn) else 0
    return Command(
        # The same when it is sent again, and another one for each round.
        command_id=f"{draft.turn_id}-start" + (f"-{number}" if number > 1 else ""),
        conversation_id=draft.conversation_id,
        turn_id=draft.turn_id if has_turn else "",
        owner_id=owner,
        issued_at=rfc3339(first_sent_at_ms),
        first_sent_at_ms=first_sent_at_ms,
        traceparent=trace.current(),
        data=draft.data,
    )


async def _send(services: Services, submission: Submission, command: Command) -> None:
    """Raises KafkaAwayError where nothing was sent, ApiError where nobody knows."""
    try:
        offset = await services.commands.send(command, submission.command_partition)
    except KafkaAwayError:
        services.metrics.commands.labels("refused").inc()
        raise
    except OutcomeUnknownError:
        services.metrics.commands.labels("unknown").inc()
        raise _unknown(submission) from None
    services.metrics.commands.labels("written").inc()
    try:
        await submissions.written(services.pool, submission, offset)
    except (psycopg.OperationalError, psycopg_pool.PoolTimeout) as error:
        # It runs. Without this a repetition is sent again, and the runner knows it for one.
        log.warning("a command's offset was not stored", error=type(error).__name__)


def _unknown(submission: Submission) -> ApiError:
    return ApiError(
        503,
        "outcome_unknown",
        "Kafka did not confirm the request in time; repeating it with the same Idempotency-Key is safe.",
        conversation_id=submission.conversation_id,
        **({"turn_id": submission.turn_id} if submission.has_turn else {}),
    )

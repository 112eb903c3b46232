"""From a request to a turn: the key is claimed, the hub watches, the command is written, and only then frames flow."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import psycopg_pool

from polylogue.api import submissions
from polylogue.api.command_log import KafkaAwayError, OutcomeUnknownError
from polylogue.api.errors import ApiError
from polylogue.api.follow_up import Standing, standing
from polylogue.api.places import ConversationPlace
from polylogue.api.requests import MOST_COMMAND_BYTES, CompareRequest
from polylogue.api.services import Services
from polylogue.api.streams import placed, subscribe
from polylogue.api.submissions import Submission
from polylogue.api.subscription import Subscription
from polylogue.infra.logs import get_logger
from polylogue.schemas.clock import now_ms, rfc3339
from polylogue.schemas.codec import command_codec
from polylogue.schemas.commands import StartTurn
from polylogue.schemas.envelope import Command
from polylogue.schemas.events import ResponseSlot

RESEND_AFTER_S = 5.0
ASK_EVERY_S = 0.1  # while the first request of a key is still sending

log = get_logger("polylogue.api.submit")


@dataclass(frozen=True)
class Submitted:
    conversation_id: str
    turn_id: str
    subscription: Subscription


async def submit(
    services: Services, owner: str, request: CompareRequest, idempotency_key: str | None
) -> Submitted:
    """The turn of this request, begun by it or by an earlier one with the same key. Raises ApiError and what means
    that a server is away."""
    digest = request.digest()
    while True:
        if idempotency_key is not None:
            earlier = await submissions.find(services.pool, owner, idempotency_key)
            if earlier is not None:
                repeated = await _repeat(services, request, digest, earlier)
                if repeated is not None:
                    return repeated
        begun = await _begin(services, owner, request, digest, idempotency_key or uuid.uuid4().hex)
        if begun is not None:
            return begun


async def _begin(
    services: Services, owner: str, request: CompareRequest, digest: str, key: str
) -> Submitted | None:
    """None where another request with the same key was faster."""
    if unknown := await services.models.unknown(request.models):
        raise ApiError(400, "unknown_model", f"The gateway offers no model named {unknown[0]}.")
    continued = await standing(services, owner, request.conversation_id) if request.conversation_id else None
    conversation_id = request.conversation_id or uuid.uuid4().hex
    partition = services.partition_of(conversation_id)
    submission = Submission(
        owner_id=owner,
        idempotency_key=key,
        body_hash=digest,
        conversation_id=conversation_id,
        turn_id=uuid.uuid4().hex,
        first_sent_at=datetime.fromtimestamp(now_ms() / 1000, UTC),
        events_offset=services.hub.position(partition),
        command_partition=partition,
    )
    command = _command(submission, request, continued)
    if len(command_codec.encode(command)) > MOST_COMMAND_BYTES:
        raise ApiError(
            413, "history_too_large", f"Prompt and history are larger than {MOST_COMMAND_BYTES // 1024} KiB."
        )
    await services.commands.probe()
    if (await submissions.claim(services.pool, submission)).turn_id != submission.turn_id:
        return None
    try:
        # From here on nothing of the turn can pass unseen: its first event comes after its command.
        subscription = await _watch(services, submission, continued)
    except BaseException:
        await submissions.withdraw(services.pool, submission)
        raise
    await _send(services, submission, command)
    return Submitted(conversation_id, submission.turn_id, subscription)


async def _watch(services: Services, submission: Submission, continued: Standing | None) -> Subscription:
    floor = submission.events_offset
    if continued is None:
        services.hub.fresh(submission.conversation_id, submission.command_partition)
        place = ConversationPlace(floor, floor, frozenset(), {}, {submission.turn_id: floor})
    else:
        place = continued.place.with_turn(submission.turn_id, floor)
    return await subscribe(
        services, submission.conversation_id, place, form="data", turn_id=submission.turn_id
    )


async def _repeat(
    services: Services, request: CompareRequest, digest: str, earlier: Submission
) -> Submitted | None:
    """The running stream of an earlier request from its start; None where that one was withdrawn meanwhile."""
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
            continued = (
                await standing(services, found.owner_id, found.conversation_id, submitted=found)
                if request.conversation_id
                else None
            )
            await services.commands.probe()
            await _send(services, found, _command(found, request, continued, resend=True))
            break
        await asyncio.sleep(ASK_EVERY_S)
        found = await submissions.find(services.pool, found.owner_id, found.idempotency_key)
    if found is None:
        return None
    place = await placed(services, found.owner_id, found.conversation_id)
    subscription = await subscribe(services, found.conversation_id, place, form="data", turn_id=found.turn_id)
    return Submitted(found.conversation_id, found.turn_id, subscription)


def _command(
    submission: Submission, request: CompareRequest, continued: Standing | None, *, resend: bool = False
) -> Command:
    return Command(
        command_id=f"{submission.turn_id}-start",  # the same when it is sent again
        conversation_id=submission.conversation_id,
        turn_id=submission.turn_id,
        owner_id=submission.owner_id,
        issued_at=rfc3339(submission.first_sent_at_ms),
        first_sent_at_ms=submission.first_sent_at_ms,
        resend=resend,
        data=StartTurn(
            prompt=request.input_data,
            responses=tuple(
                ResponseSlot(response_id=f"{submission.turn_id}-{number}", model=model)
                for number, model in enumerate(request.models, start=1)
            ),
            new_conversation=continued is None,
            title=request.title if continued is None else None,
            system=request.system,
            history=request.history if continued is None else continued.history,
            parameters=request.parameters,
            max_cost_usd_micros=request.max_cost_usd_micros,
        ),
    )


async def _send(services: Services, submission: Submission, command: Command) -> None:
    try:
        offset = await services.commands.send(command, submission.command_partition)
    except KafkaAwayError:
        services.metrics.commands.labels("refused").inc()
        if not command.resend:
            await submissions.withdraw(services.pool, submission)
        raise
    except OutcomeUnknownError:
        services.metrics.commands.labels("unknown").inc()
        raise ApiError(
            503,
            "outcome_unknown",
            "Kafka did not confirm the prompt in time; repeating it with the same Idempotency-Key is safe.",
            conversation_id=submission.conversation_id,
            turn_id=submission.turn_id,
        ) from None
    services.metrics.commands.labels("written").inc()
    try:
        await submissions.written(services.pool, submission.turn_id, submission.command_partition, offset)
    except (psycopg.OperationalError, psycopg_pool.PoolTimeout) as error:
        # The turn runs. Without this a repetition is sent again, and the runner knows it for one.
        log.warning("a command's offset was not stored", error=type(error).__name__)

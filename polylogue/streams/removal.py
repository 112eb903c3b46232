"""What a deletion comes to: requests to the media agent, and for a whole conversation the event that ends it first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from polylogue.infra.crash_points import crash_point, crash_point_after
from polylogue.schemas.claims import DeleteConversationMedia, DeleteMedia
from polylogue.schemas.commands import DeleteConversation, RemoveMedia
from polylogue.schemas.envelope import Command, Request
from polylogue.schemas.events import ConversationDeleted
from polylogue.streams.command_events import command_event
from polylogue.streams.partition_writer import PartitionWriter
from polylogue.streams.segments import MediaOutbox
from polylogue.streams.turn_run import TurnRun


def requests_of(command: Command, answer_partition: int) -> dict[str, Request]:
    """By the key of their records. The same command gives the same requests; the agent takes them twice."""
    match command.data:
        case RemoveMedia(media=media):
            return {
                medium.media_id: Request(
                    request_id=f"{command.command_id}.{medium.media_id}",
                    data=DeleteMedia(medium=medium, traceparent=command.traceparent),
                )
                for medium in media
            }
        case DeleteConversation(media=media, turn_ids=turn_ids):
            request = Request(
                request_id=f"{command.command_id}.DeleteConversationMedia",
                data=DeleteConversationMedia(
                    conversation_id=command.conversation_id,
                    owner_id=command.owner_id,
                    answer_partition=answer_partition,
                    media=media,
                    turn_ids=turn_ids,
                    traceparent=command.traceparent,
                ),
            )
            return {command.conversation_id: request}
    return {}


async def send_requests(outbox: MediaOutbox, command: Command, answer_partition: int) -> None:
    """Returns when Kafka has them all. Waits as long as it takes."""
    requests = requests_of(command, answer_partition)
    await asyncio.gather(*(outbox.send_request(key, request) for key, request in requests.items()))
    crash_point("deletion.requested")


async def end_conversation(
    writer: PartitionWriter, command: Command, offset: int, turns: Iterable[TurnRun]
) -> None:
    """Ends the turns, then the conversation: after that event readers see nothing more of it.

    Raises PartitionLostError.
    """
    turns = list(turns)
    for turn in turns:
        turn.stop("deleted")
    await asyncio.gather(*(turn.task for turn in turns if turn.task is not None), return_exceptions=True)
    await crash_point_after("deletion.turns_ended", writer.flush)
    await writer.append(command_event(command, offset, ConversationDeleted()))
    crash_point("deletion.event_written")

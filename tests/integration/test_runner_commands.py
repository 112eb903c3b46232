"""Commands that are no turn: renamed, pinned, shared, rated, removed and deleted, in their order and across deaths."""

from __future__ import annotations

import signal

import pytest

from polylogue.infra.crash_points import VARIABLE
from polylogue.infra.kafka import partition_for
from polylogue.infra.settings import Settings
from polylogue.schemas.claims import DeleteConversationMedia, DeleteMedia, MediumRef
from polylogue.schemas.commands import (
    DeleteConversation,
    PinConversation,
    RateAnswer,
    RemoveMedia,
    RenameConversation,
    ShareConversation,
)
from polylogue.schemas.envelope import Command, Event
from polylogue.schemas.events import (
    AnswerRated,
    ConversationDeleted,
    ConversationPinned,
    ConversationRenamed,
    ConversationShared,
    PromptSubmitted,
    ResponseCancelled,
    ResponseCompleted,
    ResponseStarted,
    TextAppended,
)
from tests.support.log import PARTITIONS, Log, of_type
from tests.support.processes import Simulator, process, wait_until

WAIT_S = 60
CHANGES = (ConversationRenamed, ConversationPinned, ConversationShared, AnswerRated)

pytestmark = [pytest.mark.stack]


def medium(turn: Command, media_id: str = "m1") -> MediumRef:
    return MediumRef(
        media_id=media_id,
        media_type="image",
        conversation_id=turn.conversation_id,
        owner_id=turn.owner_id,
        answer_partition=partition_for(turn.conversation_id, PARTITIONS),
        key=f"media/image/{turn.conversation_id}/m/20260101_{media_id}.png",
    )


async def answered(log: Log, turn: Command) -> list[Event]:
    return await log.one_of(turn.conversation_id, ResponseCompleted, within_s=WAIT_S)


async def ended(log: Log, turn: Command) -> list[Event]:
    return await log.one_of(turn.conversation_id, ConversationDeleted, within_s=WAIT_S)


async def changes(log: Log, turn: Command, rounds: int) -> list[object]:
    turn_id = turn.turn_id
    for number in range(rounds):
        await log.tell(RenameConversation(title=f"Title {number}"), turn.conversation_id)
        await log.tell(PinConversation(pinned=number % 2 == 0), turn.conversation_id)
        await log.tell(ShareConversation(share_id=f"share-{number}"), turn.conversation_id)
        await log.tell(
            RateAnswer(best_response_id=f"{turn_id}-1", thumbs={f"{turn_id}-1": "up"}, note=f"{number}"),
            turn.conversation_id,
            turn_id,
        )
    return [
        data
        for number in range(rounds)
        for data in (
            ConversationRenamed(title=f"Title {number}"),
            ConversationPinned(pinned=number % 2 == 0),
            ConversationShared(share_id=f"share-{number}"),
            AnswerRated(best_response_id=f"{turn_id}-1", thumbs={f"{turn_id}-1": "up"}, note=f"{number}"),
        )
    ]


async def test_every_change_becomes_an_event_in_the_order_of_the_commands_also_on_takeover(
    runner_settings: Settings, log: Log
) -> None:
    with process("runner", runner_settings) as first:
        turn = await log.start_turn("sim/text:pace=1ms")
        await answered(log, turn)
        expected = await changes(log, turn, 1)
        await log.wait_for(
            turn.conversation_id, lambda seen: len(of_type(seen, *CHANGES)) == 4, "the changes"
        )
        first.kill()
    # While nobody lives, and with what the dead one may not have committed before them.
    expected += await changes(log, turn, 2)
    with process("runner", runner_settings):
        seen = await log.wait_for(
            turn.conversation_id, lambda seen: len(of_type(seen, *CHANGES)) == 12, "all", within_s=WAIT_S
        )
    shown = of_type(seen, *CHANGES)
    assert [event.data for event in shown] == expected
    assert [event.turn_id for event in shown] == [None, None, None, turn.turn_id] * 3


async def test_deleting_cancels_what_runs_ends_the_conversation_and_asks_for_its_media_to_be_removed(
    runner_settings: Settings, log: Log, gateway: Simulator
) -> None:
    aborted = gateway.stats()["aborted"]
    with process("runner", runner_settings):
        turn = await log.start_turn("sim/slow:tokens=2000:pace=50ms", "sim/text:delay=60s")
        await log.one_of(turn.conversation_id, TextAppended)
        deletion = DeleteConversation(media=(medium(turn),), turn_ids=(turn.turn_id,))
        command = await log.tell(deletion, turn.conversation_id)
        late = await log.start_turn("sim/text:pace=1ms", conversation=turn.conversation_id)
        await log.tell(RenameConversation(title="too late"), turn.conversation_id)
        seen = await ended(log, turn)
        neighbour = await log.start_turn("sim/text:pace=1ms")
        await answered(log, neighbour)
        wait_until(lambda: gateway.stats()["aborted"] == aborted + 2, "both connections are closed")
    assert isinstance(seen[-1].data, ConversationDeleted)
    assert seen[-1].event_id == f"{command.command_id}.ConversationDeleted"
    cancelled = of_type(seen, ResponseCancelled)
    assert [event.data.reason for event in cancelled] == ["conversation_deleted"] * 2
    # Not even hidden: nothing of what came after the deletion was written, and no model was asked.
    written = await log.events(turn.conversation_id)
    assert all(event.turn_id != late.turn_id for event in of_type(written, PromptSubmitted, ResponseStarted))
    assert not of_type(written, ConversationRenamed)
    (request,) = [one.data for one in await log.requests() if not one.request_id.startswith(turn.turn_id)]
    assert request == DeleteConversationMedia(
        conversation_id=turn.conversation_id,
        owner_id="local",
        answer_partition=partition_for(turn.conversation_id, PARTITIONS),
        media=(medium(turn),),
        turn_ids=(turn.turn_id,),
    )


async def test_a_successor_refuses_a_prompt_that_crossed_the_deletion(
    runner_settings: Settings, log: Log
) -> None:
    with process("runner", runner_settings) as first:
        turn = await log.start_turn("sim/text:pace=1ms")
        await answered(log, turn)
        await log.tell(DeleteConversation(), turn.conversation_id)
        await ended(log, turn)
        assert first.stop() == 0  # everything is committed
    with process("runner", runner_settings):
        late = await log.start_turn("sim/text:pace=1ms", conversation=turn.conversation_id)
        await answered(log, await log.start_turn("sim/text:pace=1ms", conversation=_neighbour(turn)))
    written = await log.events(turn.conversation_id)
    assert all(event.turn_id != late.turn_id for event in written)


async def test_removing_media_is_one_request_for_each(runner_settings: Settings, log: Log) -> None:
    with process("runner", runner_settings):
        turn = await log.start_turn("sim/text:pace=1ms")
        await answered(log, turn)
        media = (medium(turn, "m1"), medium(turn, "m2"))
        await log.tell(RemoveMedia(media=media), turn.conversation_id)
        found: list[object] = []
        while len(found) < 2:
            found = [one.data for one in await log.requests()]
    assert sorted(found, key=str) == [DeleteMedia(medium=one) for one in media]


@pytest.mark.parametrize("point", ["deletion.turns_ended", "deletion.event_written", "deletion.requested"])
async def test_a_death_while_deleting_leaves_one_end_and_at_least_one_request(
    point: str, runner_settings: Settings, log: Log
) -> None:
    with process("runner", runner_settings, **{VARIABLE: point}) as doomed:
        turn = await log.start_turn("sim/slow:tokens=2000:pace=50ms")
        await log.one_of(turn.conversation_id, TextAppended)
        await log.tell(DeleteConversation(media=(medium(turn),)), turn.conversation_id)
        wait_until(lambda: doomed.child.poll() is not None, "it dies", within_s=WAIT_S)
        assert doomed.child.returncode == -signal.SIGKILL
    before = len(await log.requests())
    assert before == (1 if point == "deletion.requested" else 0)
    with process("runner", runner_settings):
        seen = await ended(log, turn)
        requests = await log.requests()
        while len(requests) <= before:  # the test's own time-out ends it
            requests = await log.requests()
        await answered(log, await log.start_turn("sim/text:pace=1ms", conversation=_neighbour(turn)))
    assert [event.data.reason for event in of_type(seen, ResponseCancelled)] == ["conversation_deleted"]
    assert {one.request_id for one in requests} == {requests[0].request_id}
    assert requests[0].data == requests[-1].data
    assert len(of_type(await log.events(turn.conversation_id), PromptSubmitted)) == 1


def _neighbour(turn: Command) -> str:
    """Another conversation of the same partition."""
    place = partition_for(turn.conversation_id, PARTITIONS)
    names = (f"{turn.conversation_id}{number}" for number in range(1000))
    return next(name for name in names if partition_for(name, PARTITIONS) == place)

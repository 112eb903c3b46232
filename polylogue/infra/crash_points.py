"""Named places at which a test may kill the process, as a power cut would. Off unless POLYLOGUE_CRASH_AT names one.

`POLYLOGUE_CRASH_AT=runner.text_appended:3` kills at the third passage; without a number it is the first.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from polylogue.infra.settings import SettingsError

VARIABLE = "POLYLOGUE_CRASH_AT"

RUNNER = frozenset(
    {
        "runner.command_read",  # nothing of it is written
        "runner.turn_opened",  # ConversationStarted and PromptSubmitted are acknowledged
        "runner.response_started",
        "runner.text_received",
        "runner.text_appended",
        "runner.segments_before",
        "runner.segment_written",  # one of a medium's
        "runner.segments_after",
        "runner.produced_acknowledged_before_claim",
        "runner.claim_sent",
        "runner.cancel_read",
        "runner.response_end_before",
        "runner.response_ended",
        "runner.turn_finished_before_commit",
        "runner.commit_before",
        "runner.committed",
        "runner.draining",
        "runner.interrupted",
        "writer.transaction_begun",
        "writer.sent",  # not acknowledged
        "writer.transaction_commit_before",
        "writer.transaction_committed",
    }
)
TAKEOVER = frozenset(
    {
        "takeover.fenced",
        "takeover.planned",
        "takeover.response_ended",
        "takeover.cancel_obeyed",
        "takeover.restarted",  # under the next attempt
        "takeover.claims_before",
        "takeover.claim_resent",
        "takeover.done",
    }
)
STORE = frozenset(
    {
        "store.upload_begun",  # multipart: S3 has given it an id
        "store.part_stored",
        "store.complete_before",
        "store.completed",
    }
)
AGENT = frozenset(
    {
        "agent.preparing",  # of a medium that is not claimed yet
        "agent.segments_read",
        "agent.validated",
        "agent.before_put",
        "agent.after_put",
        "agent.after_outcome_before_usage",
        "agent.rendition_stored",
        "agent.renditions_before_emit",
        "agent.renditions_after_emit",
        "agent.retried_emitted",
        "agent.removal_before",
        "agent.object_removed",  # one of a medium's
        "agent.removed_before_emit",
        "agent.after_emit_before_ack",  # all that the record asks for is done
        "agent.acknowledged_before_commit",
    }
)
# Of a conversation that is deleted while a turn runs.
DELETION = frozenset({"deletion.turns_ended", "deletion.event_written", "deletion.requested"})
SWEEPER = frozenset(
    {
        "sweeper.claim_before",
        "sweeper.claim_sent",
        "sweeper.remove_before",
        "sweeper.removed",
        "sweeper.expire_before",
        "sweeper.expire_sent",
    }
)
PROJECTION = frozenset(
    {
        "projection.rows_written",  # in the transaction, live or in a rebuild
        "rebuild.chunk_read",
        "rebuild.chunk_committed",
    }
)
CRASH_POINTS = PROJECTION | RUNNER | TAKEOVER | STORE | AGENT | DELETION | SWEEPER


@dataclass
class _Armed:
    name: str = ""
    passages: int = 0  # left before the end


_armed = _Armed()


def arm() -> None:
    """Reads the environment. Raises SettingsError for a point that does not exist."""
    wanted = os.environ.get(VARIABLE, "")
    name, _, count = wanted.partition(":")
    if name and (name not in CRASH_POINTS or not (count or "1").isdecimal()):
        raise SettingsError(f"{VARIABLE} names no crash point: {wanted[:80]!r}; unset it outside of tests.")
    _armed.name, _armed.passages = name, int(count or "1")


def crash_point(name: str) -> None:
    """Ends the process with SIGKILL where it is armed for this passage of `name`."""
    if _armed.name != name:
        return
    _armed.passages -= 1
    if _armed.passages <= 0:
        os.kill(os.getpid(), signal.SIGKILL)


async def crash_point_after(name: str, settled: Callable[[], Awaitable[object]]) -> None:
    """As `crash_point`, once `settled` has returned: what must be acknowledged first is. Waits only where armed."""
    if _armed.name == name:
        await settled()
        crash_point(name)

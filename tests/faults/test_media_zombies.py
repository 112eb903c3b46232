"""An agent that was paused in the middle of an upload and goes on when another has long done its work: readers see
nothing of it, also where the medium was deleted meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from polylogue.infra.settings import Settings
from polylogue.media.bucket_contents import BucketContents
from polylogue.media.keys import medium_prefix
from polylogue.schemas.claims import DeleteMedia
from polylogue.schemas.clock import now_ms
from polylogue.schemas.events import MediaDeleted, MediaRenditionsStored
from polylogue.streams.sweeper_objects import ObjectRemoval
from polylogue.streams.sweeper_plan import RemoveObjects
from tests.support.bucket import keys_in_bucket, stored_object
from tests.support.media_agent import AgentProcess, agent, until
from tests.support.media_log import Records, agent_events_of, events, told_of, visible
from tests.support.media_runner import Produced, Runner, png, reference, runner
from tests.support.s3_faults import Asked, Fault, Operation, S3Faults

pytestmark = pytest.mark.stack

PATIENCE_S = 90
# The successor needs the session's time-out and no longer; the long variant pauses for far more.
PAUSE_S = 90.0 if os.environ.get("POLYLOGUE_FAULTS") == "all" else 0.0
SIZE_BYTES = 9_000_000


class HoldOnce:
    """Holds the first request of a kind."""

    def __init__(self, operation: Operation) -> None:
        self.reached = asyncio.Event()
        self._operation = operation

    def __call__(self, asked: Asked) -> Fault | None:
        if asked.operation == self._operation and not self.reached.is_set():
            self.reached.set()
            return "held"
        return None


@pytest.mark.timeout(PAUSE_S + 2 * PATIENCE_S)
@pytest.mark.parametrize("deleted", [False, True], ids=["stored", "deleted-meanwhile"])
@pytest.mark.parametrize("held", ["part", "complete"])
async def test_an_agent_that_wakes_up_in_mid_upload_does_no_visible_harm(
    prepared: Settings, held: Operation, *, deleted: bool
) -> None:
    endpoint = prepared.s3_endpoint_url
    assert endpoint is not None
    hold = HoldOnce(held)
    async with (
        runner(prepared) as play,
        events(prepared) as log,
        S3Faults(str(endpoint.host), endpoint.port or 80, hold) as proxy,
    ):
        medium = await play.produce(png(SIZE_BYTES), requests_partition=0)
        with agent(prepared, s3_endpoint_url=proxy.url) as zombie:
            async with asyncio.timeout(PATIENCE_S):
                await hold.reached.wait()
            zombie.signal(signal.SIGSTOP)
            paused = asyncio.get_running_loop().time()
            with agent(prepared):
                await told(log, medium, MediaRenditionsStored)
                if deleted:
                    await play.ask(DeleteMedia(medium=reference(medium.claim)), medium.claim.media_id, 0)
                    await told(log, medium, MediaDeleted)
                loop = asyncio.get_running_loop()
                await until(lambda: loop.time() - paused >= PAUSE_S, PAUSE_S + PATIENCE_S)
                zombie.signal(signal.SIGCONT)
                proxy.release()
                await works_again(play, log, zombie)
                zombie.signal(signal.SIGTERM)
                await zombie.ended(PATIENCE_S)
    shown, completed = visible(log.records, medium.claim)
    wanted = ["MediaStored", "MediaRenditionsStored", *(["MediaDeleted"] if deleted else [])]
    assert told_of(shown) == wanted
    assert completed == 1
    if deleted:
        # What a late Complete brought back nobody is shown, and the sweeper finds it all.
        await sweep(prepared, medium)
        assert keys_of(prepared, medium) == []
    else:
        assert len(keys_of(prepared, medium)) == 3
        assert stored_object(prepared, medium.claim.key)["data"] == medium.data


async def told(log: Records, medium: Produced, kind: type) -> None:
    await log.until(
        lambda all_: any(isinstance(data, kind) for data in agent_events_of(all_, medium.claim.media_id)),
        timeout_s=PATIENCE_S,
    )


async def works_again(play: Runner, log: Records, zombie: AgentProcess) -> None:
    """It has joined the group anew and carries out what is asked for since."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            media = [await play.produce(png(1000), requests_partition=number) for number in range(12)]
            for medium in media:
                await told(log, medium, MediaRenditionsStored)
            if any(medium.claim.media_id in zombie.text() for medium in media):
                return


def keys_of(settings: Settings, medium: Produced) -> list[str]:
    prefix = medium_prefix(medium.claim.key)
    return [key for key in keys_in_bucket(settings) if key.startswith(prefix)]


async def sweep(settings: Settings, medium: Produced) -> None:
    """As the sweeper does some time after the deletion."""
    contents = BucketContents.from_settings(settings)
    removal = ObjectRemoval(contents)
    claim = medium.claim
    action = RemoveObjects(
        conversation_id=claim.conversation_id, media_id=claim.media_id, since_ms=now_ms(), key=claim.key
    )
    await removal.remove(action, stands=lambda: True, fresh=lambda: True)
    removal.close()
    contents.close()

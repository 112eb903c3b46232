"""`polylogue media` and `polylogue usage tail` as an operator types them, on real servers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from polylogue.infra.settings import Settings
from polylogue.infra.topics import MEDIA_SEGMENTS
from polylogue.schemas.events import ConversationStarted, MediaFailed, MediaOutcome, MediaRetried, MediaStored
from tests.integration.test_sweeper import Bucket, delete_records, say, stored
from tests.support.media_agent import agent
from tests.support.media_log import events, visible_outcomes
from tests.support.media_runner import Produced, Runner, png, runner
from tests.support.processes import environment
from tests.support.tables import caught_up, projector

WITHIN_S = 60


async def polylogue(settings: Settings, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "polylogue.cli.main", *arguments],
        env=environment(settings),
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=WITHIN_S,
    )
    return done.returncode, done.stdout.decode()


async def produced(settings: Settings, play: Runner) -> Produced:
    medium = await play.produce(png(3000), claimed=False)
    await say(settings, medium.claim, ConversationStarted(title="Draw"), command_offset=0)
    return medium


async def failed_medium(settings: Settings, play: Runner) -> Produced:
    medium = await produced(settings, play)
    cause = MediaFailed(
        media_id=medium.claim.media_id, media_type="image", reason="storage_unavailable", message="Away."
    )
    await say(settings, medium.claim, cause)
    return medium


async def outcomes_until(settings: Settings, medium: Produced, count: int) -> list[MediaOutcome]:
    async with events(settings) as log:
        found = await log.until(
            lambda records: len(visible_outcomes(records, medium.claim)[0]) == count, WITHIN_S
        )
    return visible_outcomes(found, medium.claim)[0]


async def test_a_failed_medium_is_tried_again_and_others_are_not(prepared: Settings) -> None:
    async with runner(prepared) as play:
        failed = await failed_medium(prepared, play)
        fine = await produced(prepared, play)
        await say(prepared, fine.claim, stored(fine.claim))
        gone = await failed_medium(prepared, play)
    segments = gone.claim.segments
    assert segments is not None
    async with projector(prepared):
        await caught_up(prepared)
        code, told = await polylogue(prepared, "media", "retry", fine.claim.media_id)
        assert (code, told.count("\n")) == (1, 1)
        assert "it is stored, and only failed media can be tried again" in told
        code, told = await polylogue(prepared, "media", "retry", "nobody-knows-it")
        assert (code, told) == (1, "No medium nobody-knows-it is known.\n")
        with agent(prepared):
            code, told = await polylogue(
                prepared, "media", "retry", "--conversation", failed.claim.conversation_id
            )
            assert (code, told) == (0, f"{failed.claim.media_id}: tried again (try 1).\n")
            outcomes = await outcomes_until(prepared, failed, 2)
        assert isinstance(outcomes[1], MediaStored)
        assert outcomes[1].retry == 1
        await delete_records(prepared, MEDIA_SEGMENTS.name, segments.partition, segments.last_offset + 1)
        await caught_up(prepared)
        code, told = await polylogue(prepared, "media", "retry", "--failed-since", "1h")
        assert code == 1
        assert told == (
            f"{gone.claim.media_id}: its bytes are kept no longer, so it cannot be tried again; ask the model again.\n"
        )


async def test_what_is_being_tried_already_is_not_asked_for_twice(prepared: Settings) -> None:
    async with runner(prepared) as play:
        medium = await failed_medium(prepared, play)
    async with projector(prepared):
        await caught_up(prepared)
    # The tables stand still; the log goes on, and it is the log that counts.
    await say(
        prepared,
        medium.claim,
        MediaRetried(media_id=medium.claim.media_id, media_type="image", retry=1),
    )
    code, told = await polylogue(prepared, "media", "retry", medium.claim.media_id)
    assert (code, told) == (1, f"{medium.claim.media_id}: it is being tried already.\n")


async def test_an_audit_finds_what_nothing_refers_to_and_removes_it_if_asked(prepared: Settings) -> None:
    bucket = Bucket(prepared)
    async with runner(prepared) as play:
        kept, lost, failed = (
            await play.produce(png(3000), claimed=False),
            await play.produce(png(3000), claimed=False),
            await failed_medium(prepared, play),
        )
    await say(prepared, kept.claim, stored(kept.claim))
    eager = prepared.model_copy(update={"media_remove_after_s": 0.0})
    assert await polylogue(eager, "media", "audit") == (0, "Bucket and log agree.\n")
    orphan = "media/image/c/m/20260101_unknown.png"
    bucket.put(kept.claim.key, lost.claim.key, failed.claim.key, orphan, "private/local/t/1.png")
    assert (await polylogue(eager, "media", "audit", "--fix"))[0] == 0  # the day is not over for the orphans
    assert bucket.keys() == {kept.claim.key, lost.claim.key, orphan, "private/local/t/1.png"}

    code, told = await polylogue(eager, "media", "audit", "--older-than-h", "0", "--json")
    assert code == 1
    assert {(one["kind"], one["key"], one["mended"]) for one in json.loads(told)} == {
        ("orphan", orphan, False),
        ("orphan", "private/local/t/1.png", False),
    }
    code, told = await polylogue(eager, "media", "audit", "--older-than-h", "0", "--fix")
    assert code == 0
    assert "2 found, 2 removed, 0 left." in told
    assert bucket.keys() == {kept.claim.key, lost.claim.key}
    assert await polylogue(eager, "media", "audit", "--older-than-h", "0") == (0, "Bucket and log agree.\n")


async def test_usage_is_told_as_it_comes(prepared: Settings) -> None:
    async with runner(prepared) as play:
        with agent(prepared):
            medium = await play.produce(png(3000))
            await outcomes_until(prepared, medium, 1)

            async def shown(*options: str) -> str:
                arguments = ("usage", "tail", "--since", "1h", "--no-follow", *options)
                async with asyncio.timeout(WITHIN_S):
                    # The usage event follows the outcome that was waited for.
                    while medium.claim.media_id not in (told := (await polylogue(prepared, *arguments))[1]):
                        pass
                return told

            [event] = [json.loads(line) for line in (await shown("--json")).splitlines()]
            assert event["data"]["outcome"] == "stored"
            [line] = (await shown()).splitlines()
    assert "stored    local  sim/painter  png, 3,000 bytes" in line


async def test_the_switch_tells_how_it_stands(prepared: Settings) -> None:
    assert await polylogue(prepared, "media", "status") == (0, "Media are not paused.\n")
    code, told = await polylogue(prepared, "media", "pause", "--reason", "Too dear.")
    assert (code, told.count("\n")) == (0, 1)
    assert "refuses new ones" in told
    code, told = await polylogue(prepared, "media", "status")
    assert code == 0
    assert told.startswith("Media are paused since 20")
    assert told.endswith(": Too dear.\n")
    assert await polylogue(prepared, "media", "resume") == (0, "Media are taken again.\n")
    assert await polylogue(prepared, "media", "status") == (0, "Media are not paused.\n")

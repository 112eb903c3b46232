"""One walk past a crash point: runners that die there, what is sent meanwhile, the successor, and what is left."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from polylogue.infra.crash_points import VARIABLE
from polylogue.infra.kafka import partition_for
from polylogue.infra.settings import Settings, load_settings
from polylogue.infra.topic_admin import apply_topics
from polylogue.schemas.envelope import Command
from tests.support.log import PARTITIONS, Log, open_log
from tests.support.observer import Observation, observe
from tests.support.processes import Process, process, wait_until

# Two that answer at once, one of them with a medium of several segments; one with every kind of medium; one that is
# in its text and one of which nothing is visible when the others have long ended.
MODELS = (
    "sim/text:pace=3ms",
    "sim/painter:pace=3ms:size=1mb",
    "sim/mixed:pace=3ms",
    "sim/slow:pace=20ms:tokens=150",
    "sim/text:delay=3s:pace=3ms",
)
SLOW = 4  # the number of the slow one in its turn
PATIENCE_S = 60


@dataclass(frozen=True)
class Death:
    """Where a runner dies, and what makes it come there."""

    at: str
    once_text_is_visible: str = ""  # "cancel" or "stop"


@dataclass(frozen=True)
class Walk:
    turn: Command
    returncodes: Sequence[int]  # of the runners that were to die
    at_deaths: Sequence[Observation]
    at_the_end: Observation
    stopped: int  # the exit code of the last runner
    logs: str


def settings_of(stack: Mapping[str, str], gateway: str, home: Path, **changes: object) -> Settings:
    """With a prefix of its own, so that walks run side by side: each waits out the session of a dead runner."""
    values = {key.lower(): value for key, value in stack.items()} | {
        "kafka_topic_prefix": f"t{secrets.token_hex(4)}-",
        "openrouter_base_url": gateway,
        "polylogue_home": home,
        "kafka_session_timeout_ms": 6000,
        "runner_drain_s": 1,
        "log_level": "info",
    }
    return load_settings(_env_file=None, **(values | changes))


async def walk(
    settings: Settings,
    deaths: Sequence[Death],
    *,
    models: Sequence[str] = MODELS,
    meanwhile: Callable[[Log, Command], object] | None = None,
    between: Sequence[str] = (),
) -> Walk:
    """Sends a turn, lets one runner after the other die, then a last one finish. `between` says what is sent after
    the first death: "cancel" stops the slow response; a turn of another conversation is always sent."""
    await apply_topics(settings, partitions=PARTITIONS)
    servers, prefix = str(settings.kafka_bootstrap_servers), settings.kafka_topic_prefix
    returncodes: list[int] = []
    at_deaths: list[Observation] = []
    logs: list[Path] = []
    async with open_log(settings) as log:
        turn: Command | None = None
        extra: list[Command] = []
        for number, death in enumerate(deaths):
            with process("runner", settings, **{VARIABLE: death.at}) as doomed:
                logs.append(doomed.log)
                if turn is None:  # sent once it is served: what lies there before belongs to the takeover
                    await asyncio.to_thread(
                        wait_until, lambda: _serves(doomed), "it serves every partition", within_s=PATIENCE_S
                    )
                    turn = await log.start_turn(*models)
                if death.once_text_is_visible:
                    await _provoke(death.once_text_is_visible, doomed, log, turn)
                await asyncio.to_thread(doomed.child.wait, PATIENCE_S)
                returncodes.append(doomed.child.returncode)
            at_deaths.append(await observe(servers, prefix))
            if number == 0:
                if "cancel" in between:
                    await log.cancel(turn, f"{turn.turn_id}-{SLOW}")
                extra.append(await log.start_turn("sim/text:pace=1ms", conversation=neighbour(turn)))
        with process("runner", settings) as last:
            logs.append(last.log)
            turn = turn or await log.start_turn(*models)
            await all_ended(log, turn, *extra)
            extra.append(
                await log.start_turn(
                    "sim/text:pace=1ms", conversation=turn.conversation_id, prompt="And now?"
                )
            )
            await all_ended(log, *extra)
            await all_committed(settings)
            stopped = await asyncio.to_thread(lambda: last.stop(within_s=PATIENCE_S))
        end = await observe(servers, prefix)
    return Walk(
        turn=turn,
        returncodes=returncodes,
        at_deaths=at_deaths,
        at_the_end=end,
        stopped=stopped,
        logs="\n".join(path.read_text(errors="replace")[-3000:] for path in logs),
    )


def _serves(runner: Process) -> bool:
    return runner.text().count("partition_taken_over") == PARTITIONS


async def _provoke(what: str, doomed: Process, log: Log, turn: Command) -> None:
    slow = f"{turn.turn_id}-{SLOW}"
    await log.wait_for(
        turn.conversation_id,
        lambda seen: any(e.response_id == slow and type(e.data).__name__ == "TextAppended" for e in seen),
        "text of the slow one",
    )
    if what == "cancel":
        await log.cancel(turn, slow)
    else:
        doomed.signal(signal.SIGTERM)


async def all_ended(log: Log, *turns: Command) -> None:
    for turn in turns:
        wanted = {slot.response_id for slot in turn.data.responses}  # type: ignore[attr-defined]  # StartTurn
        await log.wait_for(
            turn.conversation_id,
            lambda seen, wanted=wanted: (
                wanted  # type: ignore[misc]  # bound at once
                <= {
                    event.response_id
                    for event in seen
                    if type(event.data).__name__
                    in ("ResponseCompleted", "ResponseFailed", "ResponseCancelled")
                }
            ),
            f"the end of every response of {turn.turn_id}",
            within_s=PATIENCE_S,
        )


async def all_committed(settings: Settings) -> None:
    """Waits until the group has committed every command."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        now = await observe(str(settings.kafka_bootstrap_servers), settings.kafka_topic_prefix)
        if all(now.committed.get(partition, 0) == end for partition, end in now.ends.items()):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not every command is committed: {now.committed} of {now.ends}")
        await asyncio.sleep(0.2)


def neighbour(turn: Command) -> str:
    """Another conversation of the same partition."""
    place = partition_for(turn.conversation_id, PARTITIONS)
    return next(name for _ in range(1000) if partition_for(name := uuid4().hex, PARTITIONS) == place)

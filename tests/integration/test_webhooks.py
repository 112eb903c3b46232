"""The webhook process on the real stack: told once all is done, repeated with the same id, killed and started again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from polylogue.infra.settings import Settings
from polylogue.schemas import events
from polylogue.schemas.clock import rfc3339
from polylogue.schemas.envelope import Event
from tests.support.events import produce_events
from tests.support.file_server import FileServer, file_server
from tests.support.processes import Process, environment, process
from tests.support.turns import script

pytestmark = pytest.mark.stack

PATIENCE_S = 60


class Receiver:
    """Answers with one status after the other, the last one stays; 0 is no answer at all."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[bytes] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if not status:
            await asyncio.Event().wait()
        return web.Response(status=status)

    def ids(self) -> list[str]:
        return [json.loads(body)["id"] for body in self.bodies]


def extra(server: FileServer) -> dict[str, str]:
    return {
        "WEBHOOK_URL": f"{server.origin}/hook",
        "WEBHOOK_SECRET": "secret",
        "WEBHOOK_ALLOWED_HOSTS": "127.0.0.1",
        "LOG_LEVEL": "info",
    }


def painted(number: int) -> list[Event]:
    """A turn of one model that paints, as it is written now; the last event completes it."""
    made = script(number, models=1, conversation_id=f"{number:032x}")
    response_id = made.start.responses[0].response_id
    log = [
        *made.opening(),
        made.produced(response_id, f"m{number}"),
        made.said(response_id, events.ResponseCompleted(finish_reason="stop")),
        made.stored(response_id, f"m{number}"),
    ]
    return [msgspec.structs.replace(event, occurred_at=rfc3339()) for event in log]


def id_of(number: int) -> str:
    return f"{number:032x}.1"


async def until(condition: Callable[[], bool], running: Process) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            assert running.child.poll() is None, running.text()
            await asyncio.sleep(0.05)


async def test_a_turn_with_media_is_told_of_until_the_receiver_takes_it(prepared: Settings) -> None:
    receiver = Receiver(503, 500, 200)
    async with file_server(receiver) as server:
        with process("webhooks", prepared, **extra(server)) as running:
            await until(lambda: "webhooks_ready" in running.text(), running)
            silent = script(9, models=1)
            await produce_events(
                prepared, [*silent.opening(), *silent.answer(silent.start.responses[0].response_id, "text")]
            )
            await produce_events(prepared, painted(1))
            await until(lambda: len(receiver.bodies) == 3, running)
            await produce_events(prepared, painted(2))
            await until(lambda: len(receiver.bodies) == 4, running)
            assert running.stop() == 0
            assert "/hook" not in running.text()
            assert running.text().count("webhook_delivered") == 2
    assert receiver.ids() == [id_of(1)] * 3 + [id_of(2)]
    assert len(set(receiver.bodies)) == 2
    assert json.loads(receiver.bodies[0])["media"] == [
        {"media_id": "m1", "type": "image", "status": "stored"}
    ]


async def test_a_killed_process_tells_again_with_the_same_id_and_of_what_came_meanwhile(
    prepared: Settings,
) -> None:
    receiver = Receiver(0, 200)
    done, under_way, later = painted(1), painted(2), painted(3)
    async with file_server(receiver) as server:
        with process("webhooks", prepared, **extra(server)) as first:
            await until(lambda: "webhooks_ready" in first.text(), first)
            await produce_events(prepared, done + under_way[:-1])
            await until(lambda: len(receiver.bodies) == 1, first)  # taken, but not acknowledged
            first.kill()
        await produce_events(prepared, [under_way[-1], *later])
        with process("webhooks", prepared, **extra(server)) as second:
            await until(lambda: len(set(receiver.ids())) == 3, second)
            assert second.stop() == 0
        with process("webhooks", prepared, **extra(server)) as third:
            await until(lambda: "webhooks_ready" in third.text(), third)
            await produce_events(prepared, painted(4))
            await until(lambda: id_of(4) in receiver.ids(), third)
    assert receiver.ids().count(id_of(1)) == 2
    assert receiver.ids()[0] == id_of(1)
    assert sorted(receiver.ids()[1:]) == [
        id_of(number) for number in (1, 2, 3, 4)
    ]  # nothing that was taken again
    assert len(set(receiver.bodies)) == 4


async def test_two_processes_share_the_work_and_one_takes_over_when_the_other_is_killed(
    prepared: Settings,
) -> None:
    receiver = Receiver(200)
    async with file_server(receiver) as server:
        with process("webhooks", prepared, **extra(server)) as stays:
            await until(lambda: "webhooks_ready" in stays.text(), stays)
            with process("webhooks", prepared, **extra(server)) as dies:
                await until(lambda: "webhooks_ready" in dies.text(), dies)
                log = [event for number in range(1, 10) for event in painted(number)]
                await produce_events(prepared, log)
                await until(lambda: len(set(receiver.ids())) == 9, stays)
                half = [painted(number) for number in range(10, 16)]
                await produce_events(prepared, [event for turn in half for event in turn[:-1]])
                dies.kill()
            await produce_events(prepared, [turn[-1] for turn in half])
            await until(lambda: len(set(receiver.ids())) == 15, stays)
            assert stays.stop() == 0
    assert set(receiver.ids()) == {id_of(number) for number in range(1, 16)}
    assert len(set(receiver.bodies)) == 15


def test_a_host_that_is_not_allowed_stops_the_process_at_its_start_with_one_sentence(
    settings: Settings, tmp_path: Path
) -> None:
    given = environment(settings, WEBHOOK_URL="https://elsewhere.test/x", WEBHOOK_SECRET="secret")
    done = subprocess.run(
        [sys.executable, "-m", "polylogue.cli.main", "webhooks"],
        env=given | {"PYTHONPATH": str(Path(__file__).parents[2]), "WEBHOOK_ALLOWED_HOSTS": "hooks.test"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == (
        "WEBHOOK_URL names elsewhere.test, which is not among WEBHOOK_ALLOWED_HOSTS; add it there."
    )

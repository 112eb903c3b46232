"""`polylogue projections` as an operator types it, on real servers; the software carries a second version of one."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections.catalogue import PROJECTIONS
from tests.support.command_line import CommandLine, command_line
from tests.support.events import interleave, produce_events, produce_raw, sample_story
from tests.support.processes import environment
from tests.support.projections import MessagesV2
from tests.support.tables import caught_up, id_on, projector, query, until

NAME = "conversation_messages"
# The software carries one more projection.
BEFORE = """
from polylogue.projections import catalogue
from tests.support.projections import MessagesV2
catalogue.PROJECTIONS += (MessagesV2(),)
"""
WITHIN_S = 60

pytestmark = [pytest.mark.stack]


@pytest.fixture(scope="module")
def shell() -> Iterator[CommandLine]:
    with command_line(BEFORE) as running:
        yield running


def started(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"{BEFORE}\nfrom polylogue.cli.main import main; main()",
            "projections",
            *arguments,
        ],
        env=environment(settings),
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_a_new_version_is_built_shown_taken_back_and_dropped(
    prepared: Settings, shell: CommandLine
) -> None:
    await produce_events(prepared, interleave(sample_story(), sample_story()))
    async with projector(prepared, (*PROJECTIONS, MessagesV2())):
        await caught_up(prepared)

        listed = {
            (one["projection"], one["version"]): one
            for one in await shell.as_json(prepared, "projections", "list")
        }
        assert listed[NAME, 1]["state"] == "promoted"
        assert listed[NAME, 2]["state"] == "unbuilt"

        would = await shell.fine(prepared, "projections", "rebuild", NAME, "--dry-run")
        assert f"Would fill {NAME} v2" in would
        assert (await shell.as_json(prepared, "projections", "list", NAME))[1]["state"] == "unbuilt"

        told = await shell.fine(prepared, "projections", "rebuild", NAME)
        assert f"polylogue projections promote {NAME}" in told
        assert "Nothing to do" in await shell.fine(prepared, "projections", "rebuild", NAME, "--dry-run")

        assert (
            await shell.fine(prepared, "projections", "promote", NAME, "--dry-run")
            == f"Readers would see {NAME} v2.\n"
        )
        assert (await shell.as_json(prepared, "projections", "promote", NAME))["promoted"] == 2
        shown = await shell.fine(prepared, "projections", "list", NAME)
        assert "retained" in shown
        assert "promoted" in shown

        assert await shell.fine(prepared, "projections", "wait", "--lag", "0", "--timeout", "30") == ""
        verified = await shell.as_json(prepared, "projections", "verify", NAME)
        assert (verified["version"], verified["equal"], verified["differing"]) == (2, True, 0)

        assert f"Readers see {NAME} v1." in await shell.fine(prepared, "projections", "rollback", NAME)
        assert "Would drop" in await shell.fine(prepared, "projections", "prune", NAME, "--dry-run")
        assert (await shell.as_json(prepared, "projections", "prune", NAME))["pruned"] == [2]
        assert "nothing to drop" in await shell.fine(prepared, "projections", "prune", NAME)


async def test_the_status_says_lag_speed_and_what_has_stopped(prepared: Settings, shell: CommandLine) -> None:
    await produce_raw(prepared, [(2, b"c", b"no json")])
    async with projector(prepared):
        await until(lambda: query(prepared, "SELECT 1 FROM projection_stops WHERE projection = 'search'"))
        (status,) = await shell.as_json(prepared, "projections", "status", "search", "--seconds", "0")
        told = await shell.fine(prepared, "projections", "status", "search")
        code, _, complained = await shell.run(prepared, "projections", "wait", "search", "--timeout", "30")
        assert (code, complained.count("\n")) == (1, 1)
        assert "has stopped at offset 1 of partition 2: garbage" in complained

        place = ("--partition", "2", "--offset", "1", "--why", "written by a test")
        assert "Would leave" in await shell.fine(
            prepared, "projections", "skip", "search", *place, "--dry-run"
        )
        assert "every version" in await shell.fine(prepared, "projections", "skip", "search", *place)
        assert await shell.fine(prepared, "projections", "wait", "search", "--timeout", "60") == ""
        after = await shell.fine(prepared, "projections", "status", "search")

    assert (status["lag"], status["eta_s"], status["partitions"][2]["stopped_at"]) == (1, None, 1)
    assert "stopped at 2/1" in told
    assert "polylogue projections skip search --partition 2 --offset 1" in told
    assert "1 skipped" in after
    assert "written by a test" in after


async def test_a_paused_projection_keeps_waiters_waiting(prepared: Settings, shell: CommandLine) -> None:
    assert "Would pause" in await shell.fine(prepared, "projections", "pause", "search", "--dry-run")
    assert "resume search" in await shell.fine(prepared, "projections", "pause", "search")
    await produce_events(prepared, sample_story(id_on(1)).events)
    async with projector(prepared):
        code, _, complained = await shell.run(prepared, "projections", "wait", "search", "--timeout", "1")
        assert (code, "still behind: search v1 by" in complained) == (1, True), complained
        assert (await shell.as_json(prepared, "projections", "resume", "search"))["versions"] == [1]
        assert await shell.fine(prepared, "projections", "wait", "search", "--timeout", "60") == ""


async def test_a_difference_is_named_without_its_content(prepared: Settings, shell: CommandLine) -> None:
    story = sample_story(id_on(0))
    await produce_events(prepared, story.events)
    async with projector(prepared):
        await caught_up(prepared)
    schema = f"{prepared.database_schema}__search_v1"
    with psycopg.connect(connection_string(prepared), autocommit=True) as connection:
        connection.execute(f"UPDATE {schema}.search_messages SET content = 'otter' WHERE role = 'user'")  # type: ignore[arg-type]  # ours

    code, told, _ = await shell.run(prepared, "projections", "verify", "search")

    assert code == 1
    assert "differs from a replay in 2 rows" in told
    assert f"{story.events[1].turn_id}-user: different (content)" in told
    assert "otter" not in told


async def test_reset_empties_only_what_it_was_told_to(prepared: Settings, shell: CommandLine) -> None:
    await produce_events(prepared, sample_story(id_on(0)).events)
    async with projector(prepared):
        await caught_up(prepared)
    assert (await shell.run(prepared, "projections", "reset", "search"))[0] == 2
    assert "Would empty" in await shell.fine(prepared, "projections", "reset", "search", "--dry-run")
    assert query(prepared, "SELECT count(*) AS n FROM search_messages") == [{"n": 9}]
    assert (await shell.as_json(prepared, "projections", "reset", "search", "--yes"))["version"] == 1
    assert query(prepared, "SELECT count(*) AS n FROM search_messages") == [{"n": 0}]
    async with projector(prepared):
        await caught_up(prepared)
    assert query(prepared, "SELECT count(*) AS n FROM search_messages") == [{"n": 9}]


async def test_ctrl_c_in_a_rebuild_says_how_to_go_on_and_it_does(
    prepared: Settings, shell: CommandLine
) -> None:
    await produce_events(prepared, sample_story().events)
    with psycopg.connect(connection_string(prepared)) as blocker:
        blocker.execute("SET idle_in_transaction_session_timeout = 0")
        # It may read everything and write no state: it stands in the middle.
        blocker.execute("LOCK TABLE projection_states IN SHARE MODE")
        child = started(prepared, "rebuild", NAME, "--version", "2")
        try:
            await until(
                lambda: query(
                    prepared,
                    "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = %s::regclass",
                    f"{prepared.database_schema}.projection_states",
                ),
                timeout_s=WITHIN_S,
            )
            child.send_signal(signal.SIGINT)
            _, complained = await asyncio.to_thread(child.communicate, timeout=WITHIN_S)
        finally:
            child.kill()

    assert child.returncode == 130
    assert f"Go on with: polylogue projections rebuild {NAME} --version 2" in complained
    assert "Traceback" not in complained
    lines = [
        json.loads(line)
        for line in (await shell.fine(prepared, "projections", "rebuild", NAME, "--json")).splitlines()
    ]
    assert (lines[-1]["version"], lines[-1]["done"], lines[-1]["applied"]) == (2, True, lines[-1]["total"])


async def test_a_rebuild_stops_where_it_is_told_to(prepared: Settings, shell: CommandLine) -> None:
    story = sample_story(id_on(0))
    await produce_events(prepared, story.events)

    told = await shell.fine(prepared, "projections", "rebuild", NAME, "--until", "5")

    assert "stays where it is" in told
    (_, status) = await shell.as_json(prepared, "projections", "status", NAME, "--seconds", "0")
    assert (status["state"], status["partitions"][0]["next_offset"]) == ("building", 5)
    would = await shell.fine(prepared, "projections", "rebuild", NAME, "--dry-run")
    assert "where it stood" in would
    would = await shell.fine(prepared, "projections", "rebuild", NAME, "--dry-run", "--from", "start")
    assert "from the start" in would
    lines = (
        await shell.fine(prepared, "projections", "rebuild", NAME, "--until", "2026-01-01", "--json")
    ).splitlines()
    # Nothing is older than that, and nothing is taken back.
    assert json.loads(lines[-1])["done"]


@pytest.mark.parametrize("servers", ["none", "empty"])
async def test_what_keeps_a_command_from_its_work_is_one_sentence(
    settings: Settings, servers: str, shell: CommandLine
) -> None:
    if servers == "none":
        settings = settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:9"})
    code, told, complained = await shell.run(settings, "projections", "status", "--seconds", "0")

    assert (code, told) == (2, "")
    assert complained.count("\n") == 1
    assert complained.endswith((".\n", "?\n", "upgrade\n", "apply\n")), complained


async def test_what_cannot_be_asked_for_is_one_sentence(prepared: Settings, shell: CommandLine) -> None:
    for arguments in (
        ("rebuild", "moon"),
        ("rebuild", "search"),
        ("rebuild", "search", "--from", "7"),
        ("rebuild", NAME, "--until", "tomorrow"),
        ("promote", "search"),
        ("promote", NAME),
        ("rollback", "search"),
        ("prune", "search", "--version", "1"),
        ("pause", "moon"),
        ("pause", "moon", "--dry-run"),
        ("verify", "search", "--version", "9"),
        ("skip", "search", "--partition", "0", "--offset", "99", "--why", "x"),
        ("skip", "search", "--partition", "77", "--offset", "1", "--why", "x"),
    ):
        code, told, complained = await shell.run(prepared, "projections", *arguments)
        assert (code, told) == (2, ""), arguments
        assert complained.count("\n") == 1, (arguments, complained)

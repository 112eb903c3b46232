"""Every crash point of the runner, its writer and its takeover: it dies there, and nobody can tell from the log."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from polylogue.infra.crash_points import RUNNER, TAKEOVER, VARIABLE
from tests.faults.walk import MODELS, SLOW, Death, Walk, settings_of, walk
from tests.support.observer import (
    ANSWER,
    faults_at_any_time,
    faults_at_the_end,
    faults_between,
)
from tests.support.processes import Simulator, simulator

AT_ONCE = 12  # walks side by side; most of a walk is waiting for a dead runner's session to end

# A passage that finds the turn half done; the first one where nothing is said here.
PASSAGES = {
    "runner.text_received": 5,
    "runner.text_appended": 12,
    "runner.segment_written": 2,
    "runner.response_started": 3,
    "writer.sent": 20,
    "takeover.fenced": 3,  # of three partitions
    "takeover.done": 3,
}
PROVOKED = {
    "runner.cancel_read": "cancel",
    "runner.draining": "stop",
    "runner.interrupted": "stop",
}
# Before a successor dies in its takeover the first runner has died here: text, media without a claim, and a response
# of which nothing is visible.
FIRST_DEATH = Death("runner.produced_acknowledged_before_claim")
UNDISTURBED = "undisturbed"


def deaths_at(point: str) -> list[Death]:
    death = Death(f"{point}:{PASSAGES.get(point, 1)}", PROVOKED.get(point, ""))
    return [FIRST_DEATH, death] if point in TAKEOVER else [death]


def run_walk(point: str, stack: Mapping[str, str], gateway: Simulator, home: Path) -> Walk:
    settings = settings_of(stack, gateway.base_url, home / point)
    deaths = [] if point == UNDISTURBED else deaths_at(point)
    between = ["cancel"] if point == "takeover.cancel_obeyed" else []
    return asyncio.run(walk(settings, deaths, between=between))


@pytest.fixture(scope="module")
def walks(
    stack_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[Walk]]]:
    home = tmp_path_factory.mktemp("walks")
    with simulator() as gateway, ThreadPoolExecutor(AT_ONCE) as pool:
        # Those with two deaths take longest.
        points = [UNDISTURBED, *sorted(TAKEOVER), *sorted(RUNNER)]
        yield {point: pool.submit(run_walk, point, stack_environment, gateway, home) for point in points}
        pool.shutdown(wait=True, cancel_futures=True)


@pytest.fixture(scope="module")
def texts(walks: Mapping[str, Future[Walk]]) -> Mapping[str, str]:
    """What each model of the turn says where nobody dies."""
    quiet = walks[UNDISTURBED].result()
    turn = quiet.turn.turn_id
    ends = [quiet.at_the_end.outcome(f"{turn}-{number}") for number in range(1, len(MODELS) + 1)]
    assert ends == ["completed"] * len(MODELS)
    return {model: quiet.at_the_end.text(f"{turn}-{number}") for number, model in enumerate(MODELS, 1)}


def test_every_promise_is_kept_where_nobody_dies(
    walks: Mapping[str, Future[Walk]], texts: Mapping[str, str]
) -> None:
    quiet = walks[UNDISTURBED].result()
    assert faults_at_the_end(quiet.at_the_end, texts) == []
    assert all(texts.values())


@pytest.mark.parametrize("point", [*sorted(TAKEOVER), *sorted(RUNNER)])
def test_a_death_at(point: str, walks: Mapping[str, Future[Walk]], texts: Mapping[str, str]) -> None:
    done = walks[point].result()
    assert done.returncodes == [-signal.SIGKILL] * len(deaths_at(point)), done.logs
    assert done.stopped == 0, done.logs
    for at_death in done.at_deaths:
        assert faults_at_any_time(at_death) == []
        assert faults_between(at_death, done.at_the_end) == []
    assert faults_at_the_end(done.at_the_end, texts) == [], done.logs
    for response_id in done.at_the_end.responses():
        assert _end_fits(response_id, done, point), (
            response_id,
            done.at_the_end.outcome(response_id),
            done.logs,
        )


def _end_fits(response_id: str, done: Walk, point: str) -> bool:
    """What had shown something when its runner died is ended as interrupted; what had not is begun again, silently."""
    end = done.at_the_end.outcome(response_id)
    first = next((then for then in done.at_deaths if response_id in then.responses()), None)
    if first is None:
        return end == "completed"
    if first.outcome(response_id) != "running":
        return end == first.outcome(response_id)
    if point in ("runner.cancel_read", "takeover.cancel_obeyed") and response_id.endswith(f"-{SLOW}"):
        return end == "cancelled"
    # An answer that was on its way to the broker at the death may show only after `at_deaths` was read.
    answered = any(event["type"] in ANSWER for event in done.at_the_end.of_response(response_id))
    return end == "completed" or (end == "interrupted" and answered)


def test_an_unknown_crash_point_is_one_sentence_and_no_process() -> None:
    code = (
        "from polylogue.infra.settings import load_settings; from polylogue.infra.lifecycle import run_process; "
        "run_process('runner', load_settings(), None)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={VARIABLE: "runner.no_such_place"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith(
        "POLYLOGUE_CRASH_AT names no crash point: 'runner.no_such_place'; unset it outside of tests."
    )

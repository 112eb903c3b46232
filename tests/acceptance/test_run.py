"""`polylogue run` and `polylogue ask` as a newcomer uses them: real processes, the local stack, simulated models."""

from __future__ import annotations

import hashlib
import json
import signal
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from polylogue.schemas.frames import decode_frame
from tests.support.whole_run import STOP_S, Run, eventually, polylogue, processes_of, start

MODELS = "sim/text,sim/painter,sim/mixed"

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data dir whose processes are ended whatever the test does."""
    directory = tmp_path / "data"
    yield directory
    polylogue("stack", "down", "--data-dir", str(directory), cwd=tmp_path)


def ask(run: Run, *options: str) -> list[dict[str, Any]]:
    """The frames of one question, each of them valid."""
    done = polylogue(
        "ask",
        "Draw a red circle and describe it",
        "--models",
        MODELS,
        "--url",
        run.url,
        "--json",
        *options,
        cwd=run.data_dir,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert all(decode_frame(line) is not None for line in lines)
    return [json.loads(line) for line in lines]


def stored_media(run: Run, conversation_id: str) -> list[dict[str, Any]]:
    """`media_urls` of every message, once the projection has all that was shown."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [
            medium
            for turn in run.get(f"/api/conversations/{conversation_id}")["turns"]
            for message in turn["messages"]
            for medium in message["media_urls"] or []
        ]
        return len(found) == 3 and all(medium["status"] == "stored" for medium in found)

    assert eventually(there, 60), found
    return found


def sha256_at(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return hashlib.sha256(answer.read()).hexdigest()


def made_by_the_models(run: Run) -> set[str]:
    address = (run.data_dir / "run" / "simulator.url").read_text().strip()
    with urllib.request.urlopen(f"{address}/sim/generations", timeout=10) as answer:
        return {medium["sha256"] for one in json.load(answer)["data"] for medium in one["media"]}


def test_from_a_prompt_to_a_stored_picture_that_outlives_a_stop(data_dir: Path, tmp_path: Path) -> None:
    run = start(data_dir)
    frames = ask(run, "--save", str(tmp_path / "saved"))
    kinds = [frame["type"] for frame in frames]
    assert kinds[-1] == "complete"
    assert frames[-1]["metadata"]["models_successful"] == 3
    assert [frame["model"] for frame in frames if frame["type"] == "start"] == MODELS.split(",")
    assert kinds.count("media") == 3  # the painter's picture, and a picture and a sound of the mixed one
    assert kinds.count("done") == 3

    conversation_id = frames[-1]["conversation_id"]
    media = stored_media(run, conversation_id)
    made = made_by_the_models(run)
    assert {sha256_at(medium["url"]) for medium in media} == {medium["sha256"] for medium in media}
    pictures = {medium["sha256"] for medium in media if medium["type"] == "image"}
    assert len(pictures) == 2
    assert pictures <= made
    saved = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "saved").iterdir()}
    assert saved == {medium["sha256"] for medium in media}

    assert run.stop(signal.SIGINT) == 0
    assert processes_of(data_dir) == []

    again = start(data_dir)
    listed = again.get("/api/conversations")["conversations"]
    assert conversation_id in [entry["conversation_id"] for entry in listed]
    assert {sha256_at(medium["url"]) for medium in stored_media(again, conversation_id)} == saved
    watched = polylogue("watch", conversation_id, "--url", again.url, cwd=tmp_path)
    assert watched.returncode == 0, watched.stderr
    assert all(f"{model} |" in watched.stdout for model in MODELS.split(","))
    assert again.stop(signal.SIGTERM) == 0
    assert processes_of(data_dir) == []


def test_what_a_killed_run_leaves_is_cleared_by_the_next(data_dir: Path, tmp_path: Path) -> None:
    killed = start(data_dir)
    conversation_id = ask(killed)[-1]["conversation_id"]
    killed.process.kill()
    killed.process.wait()
    run = start(data_dir)
    assert run.get(f"/api/conversations/{conversation_id}")["turns"]
    frames = ask(run, "--conversation", conversation_id)
    assert frames[-1]["type"] == "complete"
    first_lines = [
        json.loads(log.read_text().splitlines()[0]) for log in (data_dir / "logs").glob("runner.log")
    ]
    assert [line["event"] for line in first_lines] == ["starting"]
    doctor = polylogue("doctor", cwd=data_dir.parent)
    assert doctor.returncode == 0, doctor.stdout
    down = polylogue("stack", "down", "--data-dir", str(data_dir), cwd=tmp_path)
    assert down.returncode == 0, down.stderr
    assert run.process.wait(STOP_S) == 0
    assert processes_of(data_dir) == []


def test_two_that_start_at_the_same_moment_share_nothing(tmp_path: Path) -> None:
    data_dirs = [tmp_path / "one", tmp_path / "other"]
    try:
        with ThreadPoolExecutor(2) as pool:
            one, other = pool.map(start, data_dirs)  # no port is named: both want the usual one
            asked = list(pool.map(ask, (one, other)))
        storages = []
        for run, frames in zip((one, other), asked, strict=True):
            conversation_id = frames[-1]["conversation_id"]
            listed = run.get("/api/conversations")["conversations"]
            assert [entry["conversation_id"] for entry in listed] == [conversation_id]
            media = stored_media(run, conversation_id)
            assert {sha256_at(medium["url"]) for medium in media} == {medium["sha256"] for medium in media}
            storages.append({urlsplit(medium["url"]).netloc for medium in media})
        assert storages[0].isdisjoint(storages[1])
        assert one.stop(signal.SIGTERM) == 0
        assert other.get("/readyz")
        assert other.stop(signal.SIGTERM) == 0
    finally:
        for data_dir in data_dirs:
            polylogue("stack", "down", "--data-dir", str(data_dir), cwd=tmp_path)
    assert [processes_of(data_dir) for data_dir in data_dirs] == [[], []]

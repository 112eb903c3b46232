"""Jars are taken whole and verified, or not at all."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.infra.local.errors import LocalStackError
from polylogue.infra.local.jars import (
    KAFKA_VERSION,
    S3PROXY_VERSION,
    Bundle,
    Jar,
    bundle,
    class_path,
    parse_lock,
)
from polylogue.infra.local.stack import quiet

NEVER = threading.Event()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POLYLOGUE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _jar(name: str) -> Jar:
    return Jar(
        group="org.some", artifact=name, version="1.0", sha256=hashlib.sha256(name.encode()).hexdigest()
    )


BUNDLE = Bundle(name="some", jars=tuple(_jar(f"part{number}") for number in range(12)))


class Repository:
    """Serves a jar whose bytes are its name, unless told otherwise, and counts."""

    def __init__(
        self, spoil: Callable[[Jar, int], bytes | OSError | None] = lambda _jar, _call: None
    ) -> None:
        self.fetched: list[str] = []
        self._spoil = spoil
        self._guard = threading.Lock()

    def __call__(self, jar: Jar, scratch: Path) -> Path:
        with self._guard:
            self.fetched.append(jar.artifact)
            call = self.fetched.count(jar.artifact)
        spoilt = self._spoil(jar, call)
        if isinstance(spoilt, OSError):
            raise spoilt
        target = scratch / "download"
        target.write_bytes(jar.artifact.encode() if spoilt is None else spoilt)
        return target


def _class_path(fetch: Repository, cancelled: threading.Event = NEVER) -> list[Path]:
    return class_path(BUNDLE, quiet, title="Some", cancelled=cancelled, fetch=fetch)


def test_class_path_has_every_jar_in_the_order_of_the_lock() -> None:
    assert [path.read_text() for path in _class_path(Repository())] == [jar.artifact for jar in BUNDLE.jars]


def test_warm_start_fetches_nothing() -> None:
    first = _class_path(Repository())
    again = Repository()
    assert _class_path(again) == first
    assert again.fetched == []


def test_wrong_digest_stops_and_is_never_kept(cache: Path) -> None:
    spoilt = Repository(lambda jar, _call: b"evil" if jar.artifact == "part3" else None)
    with pytest.raises(LocalStackError, match=r"part3 1\.0 .* SHA-256"):
        _class_path(spoilt)
    assert not any(path.read_bytes() == b"evil" for path in cache.rglob("*") if path.is_file())


def test_cut_download_and_lost_connection_are_tried_again() -> None:
    def spoil(jar: Jar, call: int) -> bytes | OSError | None:
        if call > 1:
            return None
        return (
            b"par" if jar.artifact == "part1" else ConnectionResetError() if jar.artifact == "part2" else None
        )

    repository = Repository(spoil)
    assert len(_class_path(repository)) == len(BUNDLE.jars)
    assert sorted(repository.fetched) == sorted([jar.artifact for jar in BUNDLE.jars] + ["part1", "part2"])


def test_no_network_is_one_sentence() -> None:
    with pytest.raises(LocalStackError, match="is this machine online"):
        _class_path(Repository(lambda _jar, _call: ConnectionRefusedError()))


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(b"par"), lambda path: path.unlink()])
def test_jar_changed_or_gone_since_is_fetched_again(harm: Callable[[Path], object]) -> None:
    harm(_class_path(Repository())[4])
    again = Repository()
    assert _class_path(again)[4].read_text() == "part4"
    assert again.fetched == ["part4"]


def test_interrupted_fetch_keeps_what_is_whole_and_goes_on_from_there() -> None:
    cancelled = threading.Event()

    def interrupt(jar: Jar, _call: int) -> None:
        if jar.artifact == "part5":
            cancelled.set()

    with pytest.raises(LocalStackError, match="interrupted"):
        _class_path(Repository(interrupt), cancelled)
    again = Repository()
    assert len(_class_path(again)) == len(BUNDLE.jars)
    assert "part5" not in again.fetched


def test_starts_at_once_fetch_each_jar_once() -> None:
    repository = Repository()
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: _class_path(repository), range(4)))
    assert all(path == paths[0] for path in paths)
    assert sorted(repository.fetched) == sorted(jar.artifact for jar in BUNDLE.jars)


def test_lock_file_names_the_pinned_versions() -> None:
    assert f"org/apache/kafka/kafka_2.13/{KAFKA_VERSION}/" in bundle("kafka").jars[0].path
    assert f"org/gaul/s3proxy/{S3PROXY_VERSION}/" in bundle("s3proxy").jars[0].path


@pytest.mark.parametrize(
    "line", ["no digest a:b:c", f"{'0' * 64} a:b", f"{'0' * 63} a:b:c", f"{'z' * 64} a:b:c"]
)
def test_malformed_lock_line_is_named(line: str) -> None:
    with pytest.raises(LocalStackError, match="Line 2 of"):
        parse_lock(f"[some]\n{line}\n")


WORD = st.from_regex(r"[a-z][a-z0-9._-]{0,12}", fullmatch=True)
JARS = st.builds(
    Jar, group=WORD, artifact=WORD, version=WORD, sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
)


@given(st.dictionaries(WORD, st.lists(JARS, max_size=4), max_size=3))
def test_lock_reads_back_as_written(bundles: dict[str, list[Jar]]) -> None:
    text = "# comment\n" + "\n".join(
        "\n".join([f"[{name}]", *(f"{jar.sha256} {jar.group}:{jar.artifact}:{jar.version}" for jar in jars)])
        for name, jars in bundles.items()
    )
    assert parse_lock(text) == {name: Bundle(name=name, jars=tuple(jars)) for name, jars in bundles.items()}

"""The jars of Kafka and S3Proxy: fetched once per user, checked against `jars.lock`, never taken half-written."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from polylogue.infra.local.errors import LocalStackError
from polylogue.infra.local.file_lock import held

KAFKA_VERSION = "4.4.0"
S3PROXY_VERSION = "4.1.0"

LOCK_FILE = Path(__file__).with_name("jars.lock")
DOWNLOADS_AT_ONCE = 8
DOWNLOAD_ATTEMPTS = 3
READ_TIMEOUT_S = 30
PIECE_BYTES = 1 << 18
DIGEST = re.compile("[0-9a-f]{64}")
LOCK_TIMEOUT_S = 600  # another first start may be downloading 100 MB over a slow line
PROGRESS_EVERY_S = 3.0


@dataclass(frozen=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def path(self) -> str:
        """Where the jar lies in any Maven repository, ours included."""
        name = f"{self.artifact}-{self.version}.jar"
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{name}"


@dataclass(frozen=True)
class Bundle:
    """All jars of one server, in class path order."""

    name: str
    jars: tuple[Jar, ...]

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(jar.path + jar.sha256 for jar in self.jars).encode()).hexdigest()[:16]


def parse_lock(text: str) -> dict[str, Bundle]:
    """Read `jars.lock`: a `[name]` line opens a bundle, then one `sha256 group:artifact:version` a line."""
    found: dict[str, list[Jar]] = {}
    jars: list[Jar] | None = None
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            jars = found.setdefault(line[1:-1], [])
            continue
        sha256, _, coordinate = line.partition(" ")
        parts = coordinate.strip().split(":")
        if jars is None or len(parts) != 3 or not DIGEST.fullmatch(sha256):
            raise LocalStackError(
                f"Line {number} of jars.lock is neither a [bundle] nor 'sha256 group:artifact:version'."
            )
        jars.append(Jar(group=parts[0], artifact=parts[1], version=parts[2], sha256=sha256))
    return {name: Bundle(name=name, jars=tuple(jars)) for name, jars in found.items()}


def bundle(name: str) -> Bundle:
    return parse_lock(LOCK_FILE.read_text())[name]


def cache_dir() -> Path:
    """The per-user cache, shared by all data dirs: `POLYLOGUE_CACHE` or the platform's place for caches."""
    if named := os.environ.get("POLYLOGUE_CACHE"):
        return Path(named).expanduser().resolve()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "polylogue"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "polylogue"


Fetch = Callable[[Jar, Path], Path]
_thread = threading.local()


def fetch_from_maven(jar: Jar, scratch: Path) -> Path:
    """Download one jar from the repositories that jgo knows; nothing is resolved, the lock names every jar."""
    import requests
    from jgo.constants import MAVEN_CENTRAL_URL

    # One session per thread keeps its connection open: a handshake per jar would take longer than the bytes.
    session = getattr(_thread, "session", None)
    if session is None:
        session = _thread.session = requests.Session()
    target = scratch / Path(jar.path).name
    with session.get(f"{MAVEN_CENTRAL_URL}/{jar.path}", timeout=READ_TIMEOUT_S, stream=True) as answer:
        answer.raise_for_status()
        with target.open("wb") as file:
            for piece in answer.iter_content(PIECE_BYTES):
                file.write(piece)
    return target


def class_path(
    wanted: Bundle,
    say: Callable[[str], None],
    *,
    title: str,
    cancelled: threading.Event,
    fetch: Fetch = fetch_from_maven,
) -> list[Path]:
    """Every jar of the bundle on disk, its digest as the lock file says; fetched first where missing."""
    root = cache_dir() / "jars"
    stamp = root / f"{wanted.name}-{wanted.digest}.json"
    paths = [root / jar.path for jar in wanted.jars]
    if _vouched(stamp, paths):
        return paths
    with held(
        root / f"{wanted.name}.lock",
        timeout_s=LOCK_TIMEOUT_S,
        waiting=lambda: say(f"Waiting for another process that is fetching {title}"),
    ):
        if not _vouched(stamp, paths):
            _fetch_missing(wanted, root, say, title=title, cancelled=cancelled, fetch=fetch)
            _write_stamp(stamp, paths)
    return paths


def _fetch_missing(
    wanted: Bundle,
    root: Path,
    say: Callable[[str], None],
    *,
    title: str,
    cancelled: threading.Event,
    fetch: Fetch,
) -> None:
    missing = [jar for jar in wanted.jars if not _is_whole(root / jar.path, jar.sha256)]
    if not missing:
        return
    say(f"Fetching {title}: {len(missing)} jars")
    started = told = time.monotonic()
    done = size = 0
    failed = threading.Event()

    def one(jar: Jar) -> int:
        if cancelled.is_set() or failed.is_set():
            raise LocalStackError(f"Fetching {title} was interrupted.")
        return _fetch_one(jar, root, fetch)

    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE, thread_name_prefix="jars") as pool:
        futures: list[Future[int]] = [pool.submit(one, jar) for jar in missing]
        try:
            for future in as_completed(futures):
                size += future.result()
                done += 1
                now = time.monotonic()
                if now - told >= PROGRESS_EVERY_S and done < len(missing):
                    say(f"Fetching {title}: {done} of {len(missing)} jars, {size / 1e6:.0f} MB")
                    told = now
        finally:
            failed.set()  # after an error nothing more is begun
    say(f"Fetched {title}: {len(missing)} jars, {size / 1e6:.0f} MB in {time.monotonic() - started:.1f} s")


def _fetch_one(jar: Jar, root: Path, fetch: Fetch) -> int:
    """Fetch beside the final place and move there whole and verified, so that a kill leaves nothing to mistake."""
    root.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, DOWNLOAD_ATTEMPTS + 1):
        with tempfile.TemporaryDirectory(dir=root, prefix=".fetch-") as scratch:
            try:
                fetched = fetch(jar, Path(scratch))
            except OSError as error:  # requests' errors are OSErrors too
                if attempt == DOWNLOAD_ATTEMPTS:
                    raise LocalStackError(
                        f"{jar.artifact} {jar.version} cannot be downloaded ({type(error).__name__}); "
                        "is this machine online?"
                    ) from error
                continue
            if _sha256(fetched) != jar.sha256:
                if attempt == DOWNLOAD_ATTEMPTS:
                    raise LocalStackError(
                        f"{jar.artifact} {jar.version} as downloaded does not have the SHA-256 that jars.lock names; "
                        "it is not used."
                    )
                continue
            size = fetched.stat().st_size
            target = root / jar.path
            target.parent.mkdir(parents=True, exist_ok=True)
            fetched.replace(target)
            return size
    raise AssertionError("unreachable")  # pragma: no cover


def _is_whole(path: Path, sha256: str) -> bool:
    return path.is_file() and _sha256(path) == sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fingerprint(paths: list[Path]) -> list[list[int | str]]:
    """Name, size and time of change: enough to see that a file is the one whose digest was checked."""
    stats = [(path, path.stat()) for path in paths]
    return [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats]


def _vouched(stamp: Path, paths: list[Path]) -> bool:
    """Whether these very files have been verified before: keeps a warm start from hashing 100 MB."""
    try:
        return bool(json.loads(stamp.read_text()) == _fingerprint(paths))
    except (OSError, ValueError):
        return False


def _write_stamp(stamp: Path, paths: list[Path]) -> None:
    fresh = stamp.with_suffix(f".{os.getpid()}.tmp")
    fresh.write_text(json.dumps(_fingerprint(paths)))
    fresh.replace(stamp)

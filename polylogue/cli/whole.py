"""The whole system on one machine: which servers and processes, in which order they start and stop."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable

from polylogue import __version__
from polylogue.cli import prepare
from polylogue.cli.children import Children, roll
from polylogue.cli.home import Home
from polylogue.cli.problems import Problem
from polylogue.cli.servers_here import not_named
from polylogue.cli.supervisor import Program, Supervisor
from polylogue.infra.local.ports import choose
from polylogue.infra.local.stack import Endpoints, LocalStack, environment
from polylogue.infra.settings import Settings, load_settings
from polylogue.infra.topics import COMMANDS, CONVERSATION_EVENTS, MEDIA_REQUESTS, topic_name

READY_TIMEOUT_S = 60.0
STOP_S = 10.0  # every process promises to end within this time
SIMULATOR_STOP_S = 5.0
STOP_ORDER = ("api", "runner", "sweeper", "media-agent", "webhooks", "projector", "simulator")


class Whole:
    """Starts, watches and stops; says each step in a line."""

    def __init__(
        self, settings: Settings, home: Home, *, port: int, partitions: int | None, say: Callable[[str], None]
    ) -> None:
        self.home = home
        self.url = f"http://{settings.host}:{port}"
        self.simulated = settings.openrouter_api_key is None
        self._settings = self.settings = settings  # in the end with the servers that were started
        self._port = port
        self._partitions = partitions
        self._say = say
        local = not_named(settings)
        self._stack = LocalStack(home.directory, services=local, say=say) if local else None
        self._stack_task: asyncio.Future[Endpoints] | None = None
        self._children = Children(home.mark)
        self._supervisor = Supervisor(self._children.spawn, say)
        self._simulator_port = 0

    async def start(self) -> None:
        """Returns when the first prompt would work. Raises Problem, and the expected errors of the parts."""
        begun = time.monotonic()
        if self._settings.webhook_url is not None:
            self._check_webhook()
        self._say(f"Polylogue {__version__}, data in {self.home.directory}")
        self._log_to_file()
        if cleared := await asyncio.to_thread(self.home.clear_leftovers):
            self._say(f"Cleared {cleared} processes that a killed run had left behind")
        if self._stack is not None:
            self._say("Starting what is not named by a setting (about 10 s; the first time about 90 s)")
            self._stack_task = asyncio.ensure_future(asyncio.to_thread(self._stack.up))
        if self.simulated:
            # Any: two systems that start at the same moment would both find a preferred one free.
            self._simulator_port = choose([])
            self._say("Models are simulated, since OPENROUTER_API_KEY is not set")
        for program in self._programs():
            roll(program.log)
            self._supervisor.keep(program)
        await asyncio.to_thread(prepare.load)
        given = self._environment()
        if self._stack is not None and self._stack_task is not None:
            # Starting cannot be interrupted half-way; `stop` waits for it.
            await asyncio.shield(self._stack_task)
            given |= environment(self._stack.endpoints())
        settings = self.settings = load_settings(**{name.lower(): value for name, value in given.items()})
        at = time.monotonic()
        await prepare.prepare(settings, partitions=self._partitions)
        self._say(f"Topics, tables and bucket are ready ({time.monotonic() - at:.1f} s)")
        await self._processes(settings, given)
        self.home.publish(self.url, self._simulator_url)
        self._say(f"Started in {time.monotonic() - begun:.1f} s; logs in {self.home.directory / 'logs'}")

    async def until_given_up(self) -> None:
        """Raises Problem when a process dies again and again."""
        raise Problem(f"Stopping: {await asyncio.shield(self._supervisor.gave_up)}", exit_code=1)

    async def stop(self) -> None:
        """Stops all in order, so that each can finish what the former has left it."""
        self._say("Stopping")
        self.home.unpublish()
        for name in STOP_ORDER:
            await self._supervisor.stop(name)
        if self._stack is not None:
            if self._stack_task is not None:
                # Its error, if it had one, has been raised by `start`.
                await asyncio.gather(self._stack_task, return_exceptions=True)
            await asyncio.to_thread(self._stack.down)
        self._say("Everything has stopped")

    def hurry(self) -> None:
        """Ends the processes without their leave; the servers still get theirs."""
        self._supervisor.kill_all()

    async def _processes(self, settings: Settings, given: dict[str, str]) -> None:
        from polylogue.cli.readiness import Consumers, api_missing, until_nothing_missing

        at = time.monotonic()
        topics = {"runner": COMMANDS, "media-agent": MEDIA_REQUESTS, "projector": CONVERSATION_EVENTS}
        consumers = Consumers(settings, {name: topic_name(settings, topic) for name, topic in topics.items()})
        try:
            await consumers.start()
            self._children.release(given)
            missing = await until_nothing_missing(
                [consumers.missing, lambda: asyncio.to_thread(api_missing, settings.host, self._port)],
                READY_TIMEOUT_S,
            )
        finally:
            await consumers.close()
        if missing:
            raise Problem(
                f"Not ready after {READY_TIMEOUT_S:.0f} s: {', '.join(missing)}; see the logs in "
                f"{self.home.directory / 'logs'}.",
                exit_code=1,
            )
        self._say(f"Runner, media agent, projector and API are ready ({time.monotonic() - at:.1f} s)")

    def _check_webhook(self) -> None:
        """Now, and not as a process that dies again and again. Raises SettingsError."""
        from polylogue.streams.webhook_delivery import webhook_target

        webhook_target(self._settings)

    def _programs(self) -> list[Program]:
        limits = {"runner": self._settings.runner_drain_s + STOP_S}
        names = ["api", "runner", "media-agent", "projector", "sweeper"]
        if self._settings.webhook_url is not None:
            names.append("webhooks")
        programs = [
            Program(name, (name,), self.home.log(name), limits.get(name, STOP_S), metrics_offset=number)
            for number, name in enumerate(names)
        ]
        if self.simulated:
            arguments = ("simulator", "--port", str(self._simulator_port))
            programs.append(Program("simulator", arguments, self.home.log("simulator"), SIMULATOR_STOP_S))
        return programs

    @property
    def _simulator_url(self) -> str | None:
        return f"http://127.0.0.1:{self._simulator_port}" if self.simulated else None

    def _environment(self) -> dict[str, str]:
        """What every process is told beside where the servers are."""
        given = {
            "POLYLOGUE_HOME": str(self.home.directory),
            "PORT": str(self._port),
            "HOST": self._settings.host,
            "METRICS_PORT": str(self._settings.metrics_port),
        }
        if self.simulated:
            key = secrets.token_urlsafe(24)
            given |= {
                "SIMULATOR_KEY": key,
                "OPENROUTER_API_KEY": key,
                "OPENROUTER_BASE_URL": f"{self._simulator_url}/api/v1",
                # A simulated film takes seconds, and being asked costs nothing.
                "VIDEO_POLL_INTERVAL_S": str(min(1.0, self._settings.video_poll_interval_s)),
                # Its links are plain and on this machine, which no other one's may be.
                "MEDIA_FETCH_ALLOW": ",".join(
                    filter(None, (self._settings.media_fetch_allow, self._simulator_url))
                ),
            }
        return given

    def _log_to_file(self) -> None:
        """What libraries have to say belongs in a log, not between the lines for the person."""
        log = self.home.log("run")
        log.parent.mkdir(parents=True, exist_ok=True)
        roll(log)
        root = logging.getLogger()
        root.addHandler(logging.FileHandler(log))
        root.setLevel(logging.WARNING)

"""Whether a new medium may come in at all: the operator's switch, and room for its bytes."""

from __future__ import annotations

import asyncio

from aiokafka.errors import KafkaError
from prometheus_client import Gauge

from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.schemas.events import RefusalReason
from polylogue.streams.gateway.answer import DISABLED
from polylogue.streams.media_switch import MediaSwitch
from polylogue.streams.segment_backlog import SegmentBacklog

MEASURE_EVERY_S = 5.0
FULL_AT = 0.5  # of the budget: what is under way must still find room
PAUSED = "Media are paused by the operator; the text is complete."
OVERLOADED = "Too many files wait to be stored; this one was left out, and the text is complete."
AGENT_GROUP = "media-agent"  # of the media agent, whose committed offsets say what it has done

BACKLOG = Gauge(
    "polylogue_runner_segment_backlog",
    "Bytes of media that no agent has taken, as a part of the budget of the fullest partition",
)
PAUSED_NOW = Gauge("polylogue_runner_media_paused", "1 while the operator has paused media")

Refusal = tuple[RefusalReason, str]

_log = get_logger(__name__)


class MediaAdmission:
    """Asked for every medium, so it answers from memory; a task of its own keeps that fresh."""

    def __init__(self, settings: Settings, switch: MediaSwitch, backlog: SegmentBacklog) -> None:
        self._enabled = settings.enable_media_responses
        self._switch = switch
        self._backlog = backlog
        self._fraction = 0.0
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> MediaAdmission:
        backlog = SegmentBacklog(settings, group=settings.kafka_topic_prefix + AGENT_GROUP)
        return cls(settings, MediaSwitch(settings), backlog)

    async def start(self) -> None:
        """Returns when it is known whether media are paused, or after some seconds."""
        await self._switch.start()
        self._task = asyncio.create_task(self._measure_regularly(), name="media-admission")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._backlog.stop()
        await self._switch.stop()

    @property
    def off(self) -> str | None:
        """Why no media are asked for at all, as a sentence for the user; None where they are."""
        if not self._enabled:
            return DISABLED
        return PAUSED if self._switch.paused else None

    def refusal(self) -> Refusal | None:
        """Why a new medium has to be refused now; None where it may come."""
        if self._switch.paused:
            return "disabled", PAUSED
        return ("overloaded", OVERLOADED) if self._fraction >= FULL_AT else None

    async def measure(self) -> None:
        """Brings up to date what is known of the backlog; while nobody says, the last figure holds."""
        try:
            measured = await self._backlog.measure()
        except (KafkaError, TimeoutError) as error:
            _log.warning("segment_backlog_unknown", error=type(error).__name__)
            return
        if (measured.fraction >= FULL_AT) != (self._fraction >= FULL_AT):
            full = measured.fraction >= FULL_AT
            _log.warning("media_overloaded" if full else "media_admitted", fraction=measured.fraction)
        self._fraction = measured.fraction
        BACKLOG.set(measured.fraction)

    async def _measure_regularly(self) -> None:
        while True:
            await self.measure()
            PAUSED_NOW.set(int(self._switch.paused))
            await asyncio.sleep(MEASURE_EVERY_S)

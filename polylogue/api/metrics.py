"""What the API counts; one registry per app, so that two of them can live in one process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

REFUSALS = frozenset({401, 402, 403, 429})


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.subscribers = Gauge("polylogue_api_subscribers", "Open event streams.", registry=self.registry)
        self.conversations = Gauge(
            "polylogue_api_conversations", "Conversations held for their readers.", registry=self.registry
        )
        self.frames = Counter(
            "polylogue_api_frames_sent", "Frames written to subscribers.", registry=self.registry
        )
        self.lag = Gauge(
            "polylogue_api_tail_lag_records",
            "Records of the event log that were not read yet.",
            registry=self.registry,
        )
        self.resumes = Counter(
            "polylogue_api_streams_begun",
            "Streams by how they began: `start`, `cursor`, `snapshot`, `over`, or the code of what was wrong with the cursor.",
            ["outcome"],
            registry=self.registry,
        )
        self.window_hits = Counter(
            "polylogue_api_window_hits",
            "Streams that began without a read of the log.",
            registry=self.registry,
        )
        self.refusals = Counter(
            "polylogue_api_refusals",
            "Requests that were not let in or were too many, by status and code.",
            ["status", "code"],
            registry=self.registry,
        )
        self.bytes = Counter(
            "polylogue_api_bytes_sent", "Bytes of frames written to live streams.", registry=self.registry
        )
        self.cuts = Counter(
            "polylogue_api_streams_cut",
            "Streams that were ended with a `gap`, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.skipped = Counter(
            "polylogue_api_records_skipped",
            "Records of the event log that could not be shown.",
            ["reason"],
            registry=self.registry,
        )
        self.catch_ups = Counter(
            "polylogue_api_catch_ups", "Reads of the log outside the tail.", registry=self.registry
        )
        self.commands = Counter(
            "polylogue_api_commands", "Commands by what became of them.", ["outcome"], registry=self.registry
        )

    def refused(self, status: int, code: str) -> None:
        """Counts it where it says something of the caller's key, money or haste."""
        if status in REFUSALS:
            self.refusals.labels(str(status), code).inc()

    def delivered(self, frames: int, size: int) -> None:
        self.frames.inc(frames)
        self.bytes.inc(size)

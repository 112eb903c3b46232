"""What the projector tells of itself while it runs."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

STOPPED = Gauge(
    "polylogue_projector_stopped_partitions",
    "Partitions that this process owns and has stopped at a record it cannot apply, or at a foreign log.",
    ["projection", "version"],
)
APPLIED = Counter(
    "polylogue_projector_records_total",
    "Records of conversation-events carried into tables.",
    ["projection", "version"],
)

LAG = Gauge(
    "polylogue_projector_lag_records",
    "Records that the partitions this process owns have before them, by what Kafka last said.",
    ["projection", "version"],
)

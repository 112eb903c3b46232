"""What the runner counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ACTIVE = Gauge("polylogue_runner_active_responses", "Responses that are being streamed from a gateway")
RESPONSES = Counter("polylogue_runner_responses", "Responses that have ended, by outcome", ["outcome"])
QUEUED = Gauge("polylogue_runner_queued_responses", "Responses that wait for a slot")
TOKENS_PER_S = Histogram(
    "polylogue_runner_tokens_per_second",
    "Completion tokens from the first to the last, by response",
    buckets=(1, 5, 10, 20, 40, 80, 160, 320, 640),
)
FIRST_TOKEN_S = Histogram(
    "polylogue_runner_time_to_first_token_seconds", "From the question to the first token"
)
PARTITIONS = Gauge("polylogue_runner_partitions", "Partitions of `commands` that this runner owns and serves")
TAKEOVERS = Counter("polylogue_runner_takeovers", "Partitions taken over")
LOST = Counter("polylogue_runner_lost_partitions", "Partitions lost to another writer")
DEAD_LETTERS = Counter("polylogue_runner_dead_letters", "Commands that could not be read")
UPSTREAM_BYTES = Counter("polylogue_runner_upstream_bytes", "Bytes read of answers, as the gateway sent them")
RETRIES = Counter(
    "polylogue_runner_gateway_retries", "Questions asked again before anything came", ["failure_class"]
)

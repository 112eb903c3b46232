"""Whether, and after how long, a question that got no answer is asked once more."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from polylogue.streams.gateway.events import GatewayEvent, UpstreamError
from polylogue.streams.gateway.protocols import Protocol

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 10.0  # where the gateway does not name its own

OnRetry = Callable[[UpstreamError], None]


class Retries:
    """For one question. Only what came before the first event of its answer is ever retried."""

    def __init__(self, protocol: Protocol, *, until: float) -> None:
        self._job = protocol == "videos"
        self._until = until
        self._tries = 0

    def wait_s(self, events: Sequence[GatewayEvent], now: float) -> float | None:
        """The wait before the next try; None when these events are to be believed."""
        if len(events) != 1 or not isinstance(events[0], UpstreamError) or not self._is_passing(events[0]):
            return None
        asked = events[0].retry_after_s
        if asked is None:
            # Spread, or all the models of a turn come back in the same instant.
            asked = min(FIRST_WAIT_S * 2**self._tries, LONGEST_WAIT_S) * random.uniform(0.5, 1.0)  # noqa: S311
        if now + asked > self._until:
            return None
        self._tries += 1
        return asked

    def _is_passing(self, error: UpstreamError) -> bool:
        if not error.retryable or error.failure_class not in ("rate_limited", "upstream"):
            return False
        # An order that failed within the gateway may exist all the same, and would be paid for twice.
        return not self._job or error.failure_class == "rate_limited" or error.retry_after_s is not None

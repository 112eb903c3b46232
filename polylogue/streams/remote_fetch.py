"""Fetches a medium that a provider keeps under a URL, and tries again for as long as its claim allows."""

from __future__ import annotations

import time
from collections.abc import Callable

import stamina

from polylogue.media.fetch import FetchInterruptedError, MediaFetcher
from polylogue.media.s3_calls import NO_TIME_S
from polylogue.media.spool import Spool
from polylogue.schemas.claims import RemoteSource

WAIT_INITIAL_S, WAIT_MAX_S = 0.5, 15.0  # a stranger's server is asked less often than our own
WAIT_ASKED_S = 30.0  # the most that Retry-After is given: the partition's other claims wait too


async def fetch_until(
    deadline: float, fetcher: MediaFetcher, remote: RemoteSource, progress: Callable[[], None]
) -> Spool:
    """Raises what `MediaFetcher.fetch` raises; `deadline` is on the clock of `time.monotonic`, and one try is made in any
    case. `progress` is called before each."""
    async for attempt in stamina.retry_context(
        on=_wait_s,
        attempts=None,
        timeout=max(NO_TIME_S, deadline - time.monotonic()),
        wait_initial=WAIT_INITIAL_S,
        wait_max=WAIT_MAX_S,
    ):
        with attempt:
            progress()
            return await fetcher.fetch(remote.url, needs_key=remote.needs_key)
    raise AssertionError("the loop returns or raises")


def _wait_s(error: Exception) -> bool | float:
    if not isinstance(error, FetchInterruptedError):
        return False
    if error.retry_after_s is None:
        return True
    return min(max(error.retry_after_s, WAIT_INITIAL_S), WAIT_ASKED_S)

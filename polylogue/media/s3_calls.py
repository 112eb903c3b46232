"""Requests to one bucket: boto3 blocks, so each runs in a bounded pool of threads, with a limit to its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

import stamina
from botocore.exceptions import BotoCoreError, ClientError

from polylogue.media.faults import code_of, status_of, worth_retrying
from polylogue.media.threads import DaemonThreads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REQUEST_TIMEOUT_S = 30  # one request; botocore gives up at 25 s, this is for a server that trickles
WAIT_INITIAL_S, WAIT_MAX_S = 0.2, 3.0
NO_TIME_S = 1e-9  # over after the first attempt; stamina warns about 0

T = TypeVar("T")


class StorageUnavailableError(Exception):
    """S3 did not do what was asked before the deadline; the message names the last error, no key and no content."""


class StartAgain(RuntimeError):  # noqa: N818 (a signal to the retry loop, never seen outside)
    """The state of the object changed under the attempt: begin it anew."""


class S3Calls:
    """`attempt_begun` is called before every request: a store that is tried again and again is not stuck."""

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        *,
        uploads: S3Client,
        concurrency: int,
        attempt_begun: Callable[[], None],
    ) -> None:
        self.client = client
        self.uploads = uploads
        self.bucket = bucket
        self._pool = DaemonThreads(concurrency, "s3")
        self._slots = asyncio.Semaphore(concurrency)
        self._attempt_begun = attempt_begun

    def close(self) -> None:
        """Does not wait for requests under way."""
        self._pool.close()

    async def once(self, request: Callable[[], T]) -> T:
        async with self._slots:
            self._attempt_begun()
            return await asyncio.wait_for(asyncio.wrap_future(self._pool.submit(request)), REQUEST_TIMEOUT_S)

    def detached(self, request: Callable[[], T]) -> Future[T]:
        """Runs as soon as a thread is free, whether anybody waits for it or not."""
        return self._pool.submit(request)

    async def until(self, deadline: float, work: Callable[[], Awaitable[T]]) -> T:
        """Tries until the deadline on the clock of `time.monotonic`, at least once. Raises StorageUnavailableError."""
        try:
            return await retried(work, deadline, worth_retrying)
        except ClientError as error:
            raise StorageUnavailableError(f"S3 answered {status_of(error)} {code_of(error)}") from error
        except (BotoCoreError, OSError, StartAgain) as error:
            raise StorageUnavailableError(f"S3 cannot be used: {type(error).__name__}") from error


async def retried(
    work: Callable[[], Awaitable[T]],
    deadline: float,
    on: Callable[[BaseException], bool],
    attempts: int | None = None,
) -> T:
    """Exponential back-off with jitter; at least one attempt."""
    async for attempt in stamina.retry_context(
        on=on,
        attempts=attempts,
        timeout=max(NO_TIME_S, deadline - time.monotonic()),
        wait_initial=WAIT_INITIAL_S,
        wait_max=WAIT_MAX_S,
        wait_jitter=WAIT_INITIAL_S,
    ):
        with attempt:
            return await work()
    raise AssertionError("the loop returns or raises")

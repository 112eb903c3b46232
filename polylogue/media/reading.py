"""Reads stored objects piece by piece, so that a film costs as little memory as a picture."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Generator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from polylogue.infra.logs import get_logger
from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import Settings
from polylogue.media.faults import code_of, status_of
from polylogue.media.store import StorageUnavailableError
from polylogue.media.threads import DaemonThreads

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

PIECE_BYTES = 256 * 1024
TRIES = 4  # in a row without a byte
WAIT_S = 0.25  # before the second try; twice as long before each further one

log = get_logger(__name__)


class ObjectMissingError(Exception):
    """There is no such object."""


class ObjectReader:
    """One bucket, read in a bounded pool of threads that a process may leave behind."""

    def __init__(self, client: S3Client, bucket: str, *, threads: int = 8) -> None:
        self._client, self._bucket = client, bucket
        self._threads = DaemonThreads(threads, "s3-read")

    @classmethod
    def from_settings(cls, settings: Settings) -> ObjectReader:
        concurrency = settings.media_downloads_at_once
        return cls(create_s3_client(settings, concurrency=concurrency), settings.s3_media_bucket)

    def close(self) -> None:
        """Does not wait for requests under way."""
        self._threads.close()

    def pieces(self, key: str, first: int, last: int) -> Generator[bytes]:
        """The bytes from `first` to `last`, both included. Blocks; goes on where a connection was cut.

        Raises ObjectMissingError, StorageUnavailableError.
        """
        at, failures = first, 0
        while at <= last:
            error: Exception | None = None
            body: StreamingBody | None = None
            try:
                body = self._open(key, at, last)
                while at <= last and (piece := body.read(min(PIECE_BYTES, last - at + 1))):
                    at, failures = at + len(piece), 0
                    yield piece
            except ClientError as refused:
                if status_of(refused) == 404 and code_of(refused) != "NoSuchBucket":
                    raise ObjectMissingError from None
                error = refused
            except (BotoCoreError, HTTPError, OSError) as cut:
                error = cut
            finally:
                if body is not None:
                    body.close()
            if at <= last:
                failures += 1
                if failures >= TRIES:
                    log.warning("object_unreadable", error=type(error).__name__)
                    raise StorageUnavailableError("the object could not be read") from error
                time.sleep(WAIT_S * 2 ** (failures - 1))

    def _open(self, key: str, first: int, last: int) -> StreamingBody:
        return self._client.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={first}-{last}")["Body"]

    def in_background(self, pieces: Generator[bytes]) -> BackgroundPieces:
        """A blocking generator, run a step at a time by the threads of this reader."""
        return BackgroundPieces(self._threads, pieces)


class BackgroundPieces:
    """Steps of a blocking generator, taken off the loop when the next one is asked for and not before."""

    def __init__(self, threads: DaemonThreads, pieces: Generator[bytes]) -> None:
        self._threads, self._pieces = threads, pieces
        self._stepping = threading.Lock()  # a step that nobody awaits any more still runs
        self._closed = False

    async def step(self) -> bytes | None:
        """The next piece, None after the last one. Raises what the generator raises."""
        return await asyncio.wrap_future(self._threads.submit(self._step))

    async def rest(self) -> AsyncIterator[bytes]:
        while (piece := await self.step()) is not None:
            yield piece

    def close(self) -> None:
        """Ends the generator and what it reads from, as soon as the step under way is done."""
        self._threads.submit(self._close)

    def _step(self) -> bytes | None:
        with self._stepping:
            return None if self._closed else next(self._pieces, None)

    def _close(self) -> None:
        with self._stepping:
            self._closed = True
            self._pieces.close()

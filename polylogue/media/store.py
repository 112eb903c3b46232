"""The object store: conditional writes, retries below the caller's deadline, and outcomes as values."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import stamina
from botocore.exceptions import BotoCoreError, ClientError

from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import Settings
from polylogue.media.bucket import ensure_bucket
from polylogue.media.faults import code_of, of_transport, status_of, worth_retrying
from polylogue.media.keys import PRIVATE
from polylogue.media.parts import PART_BYTES, SpooledParts
from polylogue.media.threads import DaemonThreads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

SINGLE_PUT_BYTES = 5 * 1024 * 1024  # S3 takes no smaller part than this, except the last
REQUEST_TIMEOUT_S = 30  # one request; botocore gives up at 25 s, this is for a server that trickles
WAIT_INITIAL_S, WAIT_MAX_S = 0.2, 3.0
NO_TIME_S = 1e-9  # over after the first attempt; stamina warns about 0
CACHE_CONTROL = "public, max-age=31536000, immutable"  # a key is written once
PRIVATE_CACHE_CONTROL = "private, max-age=31536000, immutable"
__all__ = [
    "AlreadyThere",
    "Conflict",
    "ObjectHead",
    "ObjectStore",
    "PutOutcome",
    "StorageUnavailableError",
    "Stored",
    "Upload",
    "ensure_bucket",
]

SHA256 = "sha256"  # x-amz-meta-sha256: S3 knows no whole-file checksum of a multipart object

T = TypeVar("T")


class StorageUnavailableError(Exception):
    """S3 did not do what was asked before the deadline; the message names the last error, no key and no content."""


class _Again(RuntimeError):  # noqa: N818 (a signal to the retry loop, never seen outside)
    """The state of the object changed under the attempt: begin it anew."""


@dataclass(frozen=True)
class ObjectHead:
    size_bytes: int
    content_type: str
    sha256: str | None  # as the writer stated it


@dataclass(frozen=True)
class Upload:
    """What is stored: bytes that can be read from any position, and what is said of them."""

    source: BinaryIO
    size_bytes: int
    sha256: str
    content_type: str


@dataclass(frozen=True)
class Stored:
    """This call wrote the object."""


@dataclass(frozen=True)
class AlreadyThere:
    """An object with the same SHA-256 was there first (maybe by a former attempt of this call)."""

    head: ObjectHead


@dataclass(frozen=True)
class Conflict:
    """Another object has the key, and it stays."""

    head: ObjectHead


PutOutcome = Stored | AlreadyThere | Conflict


class ObjectStore:
    """One bucket. boto3 blocks, so every request runs in a bounded pool of threads; close it when done.

    `deadline` is on the clock of `time.monotonic`; the first attempt is made however late it is. `attempt_begun` is
    called before every request: a store that is tried again and again is not stuck.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        *,
        concurrency: int = 10,
        attempt_begun: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._pool = DaemonThreads(concurrency, "s3")
        self._slots = asyncio.Semaphore(concurrency)
        self._attempt_begun = attempt_begun

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        *,
        concurrency: int = 10,
        attempt_begun: Callable[[], None] = lambda: None,
    ) -> ObjectStore:
        client = create_s3_client(settings, concurrency=concurrency)
        return cls(client, settings.s3_media_bucket, concurrency=concurrency, attempt_begun=attempt_begun)

    def close(self) -> None:
        """Does not wait for requests under way."""
        self._pool.close()

    async def head(self, key: str, *, deadline: float) -> ObjectHead | None:
        """What is at the key. Raises StorageUnavailableError."""
        return await self._until(deadline, lambda: self._head(key))

    async def get(self, key: str, *, deadline: float, first_bytes: int | None = None) -> bytes:
        """The object, or its first bytes, in memory. Raises StorageUnavailableError, also where there is none."""

        def read() -> bytes:
            if first_bytes is None:
                return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            span = f"bytes=0-{first_bytes - 1}"
            return self._client.get_object(Bucket=self._bucket, Key=key, Range=span)["Body"].read()

        return await self._until(deadline, lambda: self._call(read))

    async def delete(self, key: str, *, deadline: float) -> None:
        """Deletes what is at the key; nothing there is fine. Raises StorageUnavailableError."""

        def request() -> None:
            self._client.delete_object(Bucket=self._bucket, Key=key)

        await self._until(deadline, lambda: self._call(request))

    async def put(self, key: str, upload: Upload, *, deadline: float) -> PutOutcome:
        """Writes the object where none is. Raises StorageUnavailableError."""
        tried = False

        async def attempt() -> PutOutcome:
            nonlocal tried
            if tried:
                # The answer to the former attempt may have been lost, not the attempt.
                head = await self._head(key)
                if head is not None:
                    return _compared(head, upload)
            tried = True
            return await self._put(key, upload, deadline)

        return await self._until(deadline, attempt)

    async def _head(self, key: str) -> ObjectHead | None:
        def request() -> ObjectHead:
            found = self._client.head_object(Bucket=self._bucket, Key=key)
            return ObjectHead(
                size_bytes=found["ContentLength"],
                content_type=found.get("ContentType", ""),
                sha256=found.get("Metadata", {}).get(SHA256),
            )

        try:
            return await self._call(request)
        except ClientError as error:
            if (
                status_of(error) == 404
            ):  # the answer to a HEAD has no body that could speak of the bucket instead
                return None
            raise

    async def _put(self, key: str, upload: Upload, deadline: float) -> PutOutcome:
        described = {
            "Bucket": self._bucket,
            "Key": key,
            "ContentType": upload.content_type,
            "ContentDisposition": "inline",
            "CacheControl": CACHE_CONTROL if not key.startswith(PRIVATE) else PRIVATE_CACHE_CONTROL,
            "Metadata": {SHA256: upload.sha256},
        }
        try:
            if upload.size_bytes < SINGLE_PUT_BYTES:
                await self._put_whole(described, upload)
            else:
                await self._put_parts(key, described, upload, deadline)
        except ClientError as error:
            taken = status_of(error) == 412
            if not taken and code_of(error) != "NoSuchUpload":
                raise
            head = await self._head(key)
            if head is None:
                raise _Again("the object or the upload was removed meanwhile") from error
            outcome = _compared(head, upload)
            # NoSuchUpload: the answer to our own Complete was lost, and this is its object.
            return outcome if taken or isinstance(outcome, Conflict) else Stored()
        return Stored()

    async def _put_whole(self, described: dict[str, Any], upload: Upload) -> None:
        parts = SpooledParts(upload.source, upload.size_bytes)

        def request() -> None:
            body = parts.read(0, upload.size_bytes)
            self._client.put_object(**described, Body=body, IfNoneMatch="*")

        await self._call(request)

    async def _put_parts(self, key: str, described: dict[str, Any], upload: Upload, deadline: float) -> None:
        upload_id = await self._call(lambda: self._client.create_multipart_upload(**described)["UploadId"])
        parts = SpooledParts(upload.source, upload.size_bytes)

        async def send(number: int, start: int) -> CompletedPartTypeDef:
            def request() -> CompletedPartTypeDef:
                answer = self._client.upload_part(
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=upload_id,
                    PartNumber=number,
                    Body=parts.read(start, PART_BYTES),
                )
                return {"PartNumber": number, "ETag": answer["ETag"]}

            return await _retried(lambda: self._call(request), deadline, of_transport, attempts=3)

        def complete(done: list[CompletedPartTypeDef]) -> None:
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": done},
                IfNoneMatch="*",
            )

        try:
            async with asyncio.TaskGroup() as group:
                sends = [group.create_task(send(number, start)) for number, start in parts.starts()]
            done = [task.result() for task in sends]
            await _retried(lambda: self._call(lambda: complete(done)), deadline, of_transport, attempts=3)
        except BaseException as error:
            # Also where the task is cancelled; nobody waits for the answer then.
            aborting = self._pool.submit(lambda: self._abort(key, upload_id))
            if isinstance(error, ExceptionGroup):
                await asyncio.wrap_future(aborting)
                raise error.exceptions[0] from None
            if isinstance(error, Exception):
                await asyncio.wrap_future(aborting)
            raise

    def _abort(self, key: str, upload_id: str) -> None:
        """One try; what it leaves behind is removed by the bucket's lifecycle rule."""
        with contextlib.suppress(BotoCoreError, ClientError):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)

    async def _call(self, request: Callable[[], T]) -> T:
        async with self._slots:
            self._attempt_begun()
            return await asyncio.wait_for(asyncio.wrap_future(self._pool.submit(request)), REQUEST_TIMEOUT_S)

    async def _until(self, deadline: float, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await _retried(work, deadline, worth_retrying)
        except ClientError as error:
            raise StorageUnavailableError(f"S3 answered {status_of(error)} {code_of(error)}") from error
        except (BotoCoreError, OSError, _Again) as error:
            raise StorageUnavailableError(f"S3 cannot be used: {type(error).__name__}") from error


async def _retried(
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


def _compared(head: ObjectHead, upload: Upload) -> AlreadyThere | Conflict:
    return AlreadyThere(head) if head.sha256 == upload.sha256 else Conflict(head)

"""One multipart upload: parts go up in parallel, also while the file still grows; complete it or abort it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from polylogue.infra.crash_points import crash_point
from polylogue.media.faults import of_transport
from polylogue.media.parts import FileParts
from polylogue.media.s3_calls import S3Calls, retried

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PARTS_AT_ONCE = 4
SAME_REQUEST_ATTEMPTS = 3  # then the whole upload is begun anew

T = TypeVar("T")


class Multipart:
    """Nothing is sent before the first `grown` or `expected`, and no part before `grown` says that its bytes are there.

    A part carries its SHA-256, and so does Complete: S3 refuses what changed on its way.
    """

    def __init__(
        self, calls: S3Calls, described: Mapping[str, Any], parts: FileParts, deadline: float
    ) -> None:
        self.described = described
        self._calls = calls
        self._parts = parts
        self._deadline = deadline
        self._next = 0  # the position of the first part that is not sent yet
        self._at_once = asyncio.Semaphore(PARTS_AT_ONCE)
        self._created: asyncio.Task[str] | None = None
        self._sends: list[asyncio.Task[CompletedPartTypeDef]] = []
        self._aborting: asyncio.Future[None] | None = None
        self._over = False

    def expected(self) -> None:
        """Parts will come: the upload is asked for, which takes as long as some parts' bytes take to come. Again is fine."""
        if self._created is None and not self._over:
            self._created = asyncio.ensure_future(self._create())

    def grown(self, size_bytes: int) -> None:
        """So many bytes of the file may be read now."""
        self.expected()
        if self._over or self._created is None:
            return
        while self._next < (end := self._parts.end(self._next)) <= size_bytes:
            number = len(self._sends) + 1
            self._sends.append(asyncio.ensure_future(self._send(self._created, number, self._next, end)))
            self._next = end

    def ends_at(self, size_bytes: int) -> None:
        """So long the file will be."""
        self._parts.size_bytes = size_bytes

    async def complete(self) -> None:
        """Makes the object where there is none. Raises the first error of botocore; then it has been aborted."""
        if self._created is None or self._next != self._parts.size_bytes:
            raise AssertionError("not every byte is there")
        try:
            done = await asyncio.gather(*self._sends)
            upload_id = await self._created
            crash_point("store.complete_before")
            await self._once_more(lambda: self._calls.once(lambda: self._complete(upload_id, done)))
            crash_point("store.completed")
            self._over = True
        except asyncio.CancelledError:
            self.give_up()
            raise
        except BaseException:
            await self.abort()
            raise

    async def abort(self) -> None:
        """Ends it without an object; one try: what that leaves behind the sweeper removes. Again is fine."""
        if (aborting := self.give_up()) is not None:
            await aborting

    def give_up(self) -> asyncio.Future[None] | None:
        """As `abort`, whether anybody waits for it or not."""
        if self._over:
            return None
        self._over = True
        for send in self._sends:
            send.cancel()
            send.add_done_callback(_look_at)
        created = self._created
        if created is None:
            return None
        created.add_done_callback(_look_at)
        if not created.done():
            # An upload that is just being made can only be aborted when its id is known.
            self._aborting = asyncio.ensure_future(self._abort_when(created))
            return self._aborting
        if created.cancelled() or created.exception() is not None:
            return None
        return asyncio.wrap_future(self._abort_now(created.result()))

    async def _abort_when(self, created: asyncio.Task[str]) -> None:
        with contextlib.suppress(BotoCoreError, ClientError, OSError):
            await asyncio.wrap_future(self._abort_now(await created))

    def _abort_now(self, upload_id: str) -> Future[None]:
        def request() -> None:
            with contextlib.suppress(BotoCoreError, ClientError):
                self._calls.client.abort_multipart_upload(
                    Bucket=self.described["Bucket"], Key=self.described["Key"], UploadId=upload_id
                )

        return self._calls.detached(request)

    async def _create(self) -> str:
        def request() -> str:
            answer = self._calls.client.create_multipart_upload(**self.described, ChecksumAlgorithm="SHA256")
            return answer["UploadId"]

        upload_id = await self._calls.once(request)
        crash_point("store.upload_begun")
        return upload_id

    async def _send(
        self, created: asyncio.Task[str], number: int, start: int, end: int
    ) -> CompletedPartTypeDef:
        upload_id = await asyncio.shield(created)

        def request() -> CompletedPartTypeDef:
            checksum = base64.b64encode(self._parts.sha256(start, end)).decode()
            answer = self._calls.uploads.upload_part(
                Bucket=self.described["Bucket"],
                Key=self.described["Key"],
                UploadId=upload_id,
                PartNumber=number,
                Body=self._parts.open(start, end),
                ChecksumSHA256=checksum,
            )
            return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}

        async with self._at_once:
            sent = await self._once_more(lambda: self._calls.once(request))
        crash_point("store.part_stored")
        return sent

    def _complete(self, upload_id: str, done: list[CompletedPartTypeDef]) -> None:
        self._calls.client.complete_multipart_upload(
            Bucket=self.described["Bucket"],
            Key=self.described["Key"],
            UploadId=upload_id,
            MultipartUpload={"Parts": done},
            IfNoneMatch="*",
        )

    async def _once_more(self, work: Callable[[], Awaitable[T]]) -> T:
        return await retried(work, self._deadline, of_transport, attempts=SAME_REQUEST_ATTEMPTS)


def _look_at(task: asyncio.Task[Any]) -> None:
    """Nobody waits for a part that was given up; what went wrong with it is of no interest."""
    if not task.cancelled():
        task.exception()

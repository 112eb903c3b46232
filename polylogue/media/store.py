"""The object store: conditional writes, retries below the caller's deadline, and outcomes as values."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore.exceptions import ClientError

from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import Settings
from polylogue.media.bucket import ensure_bucket
from polylogue.media.faults import code_of, status_of
from polylogue.media.keys import PRIVATE
from polylogue.media.multipart import Multipart
from polylogue.media.parts import FileParts
from polylogue.media.s3_calls import S3Calls, StartAgain, StorageUnavailableError
from polylogue.media.spool import Spool

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SINGLE_PUT_BYTES = 5 * 1024 * 1024  # S3 takes no smaller part than this, except the last
DOWNLOAD_BYTES = 1024 * 1024
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


@dataclass(frozen=True)
class ObjectHead:
    size_bytes: int
    content_type: str
    sha256: str | None  # as the writer stated it


@dataclass(frozen=True)
class Upload:
    """What is stored: bytes that can be read from any position, and what is said of them."""

    source: BinaryIO | Spool
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
        uploads: S3Client | None = None,
        concurrency: int = 10,
        attempt_begun: Callable[[], None] = lambda: None,
    ) -> None:
        """`uploads` is for bodies that carry their checksum."""
        self._calls = S3Calls(
            client, bucket, uploads=uploads or client, concurrency=concurrency, attempt_begun=attempt_begun
        )
        self._client = client
        self._bucket = bucket

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        *,
        concurrency: int = 10,
        attempt_begun: Callable[[], None] = lambda: None,
    ) -> ObjectStore:
        return cls(
            create_s3_client(settings, concurrency=concurrency),
            settings.s3_media_bucket,
            uploads=create_s3_client(settings, concurrency=concurrency, sign_bodies=False),
            concurrency=concurrency,
            attempt_begun=attempt_begun,
        )

    def close(self) -> None:
        """Does not wait for requests under way."""
        self._calls.close()

    async def head(self, key: str, *, deadline: float) -> ObjectHead | None:
        """What is at the key. Raises StorageUnavailableError."""
        return await self._calls.until(deadline, lambda: self._head(key))

    async def get(self, key: str, *, deadline: float, first_bytes: int | None = None) -> bytes:
        """The object, or its first bytes, in memory. Raises StorageUnavailableError, also where there is none."""

        def read() -> bytes:
            if first_bytes is None:
                return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            span = f"bytes=0-{first_bytes - 1}"
            return self._client.get_object(Bucket=self._bucket, Key=key, Range=span)["Body"].read()

        return await self._calls.until(deadline, lambda: self._calls.once(read))

    async def download(self, key: str, *, deadline: float) -> Spool | None:
        """The object in a spool, which the caller closes; None where there is none. Raises StorageUnavailableError."""

        return await self._calls.until(deadline, lambda: self._calls.once(lambda: self._downloaded(key)))

    async def delete(self, key: str, *, deadline: float) -> None:
        """Deletes what is at the key; nothing there is fine. Raises StorageUnavailableError."""

        def request() -> None:
            self._client.delete_object(Bucket=self._bucket, Key=key)

        await self._calls.until(deadline, lambda: self._calls.once(request))

    async def keys(self, prefix: str, *, deadline: float) -> AsyncIterator[str]:
        """Those that begin with the prefix, in their order. Raises StorageUnavailableError."""
        after = ""
        while True:
            request = partial(self._page, prefix, after)
            found, more = await self._calls.until(deadline, partial(self._calls.once, request))
            for key in found:
                yield key
            if not more or not found:
                return
            after = found[-1]

    def begin(self, key: str, upload: Upload, *, deadline: float) -> Multipart | None:
        """An upload of a file that is still being written: tell it how the file grows, and give it to `put` when it is
        whole, or abort it. None where the file is too small for parts; nothing is sent yet."""
        if upload.size_bytes < SINGLE_PUT_BYTES:
            return None
        parts = FileParts(upload.source, upload.size_bytes)
        return Multipart(
            self._calls, self._described(key, upload.content_type, upload.sha256), parts, deadline
        )

    def begin_growing(self, key: str, source: Spool, content_type: str, *, deadline: float) -> Multipart:
        """As `begin`, of a file of which neither the length nor the SHA-256 is known yet; for files that are large enough
        for parts. Its object does not say its SHA-256."""
        return Multipart(
            self._calls, self._described(key, content_type, None), FileParts(source, None), deadline
        )

    async def put(
        self, key: str, upload: Upload, *, deadline: float, begun: Multipart | None = None
    ) -> PutOutcome:
        """Writes the object where none is. Raises StorageUnavailableError.

        `begun` is completed if it is of the same object, and aborted otherwise; the caller need not look after it.
        """
        described = self._described(key, upload.content_type, upload.sha256)
        if begun is not None and not (
            upload.size_bytes >= SINGLE_PUT_BYTES and _of_the_same_object(begun.described, described)
        ):
            await begun.abort()
            begun = None
        tried = False

        async def attempt() -> PutOutcome:
            nonlocal tried, begun
            if tried:
                # The answer to the former attempt may have been lost, not the attempt.
                head = await self._head(key)
                if head is not None:
                    return await self._compared(key, head, upload)
            tried = True
            first, begun = begun, None
            return await self._put(described, upload, deadline, first)

        return await self._calls.until(deadline, attempt)

    def _downloaded(self, key: str) -> Spool | None:
        try:
            found = self._client.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if code_of(error) == "NoSuchKey":
                return None
            raise
        spool = Spool()
        try:
            with closing(found["Body"]) as body:
                for piece in body.iter_chunks(DOWNLOAD_BYTES):
                    spool.write(piece)
        except BaseException:
            spool.close()
            raise
        return spool

    def _page(self, prefix: str, after: str) -> tuple[list[str], bool]:
        page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, StartAfter=after)
        return [entry["Key"] for entry in page.get("Contents", [])], page["IsTruncated"]

    async def _head(self, key: str) -> ObjectHead | None:
        def request() -> ObjectHead:
            found = self._client.head_object(Bucket=self._bucket, Key=key)
            return ObjectHead(
                size_bytes=found["ContentLength"],
                content_type=found.get("ContentType", ""),
                sha256=found.get("Metadata", {}).get(SHA256),
            )

        try:
            return await self._calls.once(request)
        except ClientError as error:
            # The answer to a HEAD has no body that could speak of the bucket instead.
            if status_of(error) == 404:
                return None
            # AWS tells of a missing object by 403 to those who may not list the whole bucket, and we may list only
            # below our prefixes: so the listing says what it is.
            if status_of(error) == 403 and not await self._calls.once(lambda: self._listed(key)):
                return None
            raise

    def _listed(self, key: str) -> bool:
        page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1)
        return any(entry["Key"] == key for entry in page.get("Contents", []))

    def _described(self, key: str, content_type: str, sha256: str | None) -> dict[str, Any]:
        private = key.startswith(PRIVATE)
        return {
            "Bucket": self._bucket,
            "Key": key,
            "ContentType": content_type,
            "ContentDisposition": f'inline; filename="{key.rpartition("/")[2]}"',
            "CacheControl": PRIVATE_CACHE_CONTROL if private else CACHE_CONTROL,
            "Metadata": {} if sha256 is None else {SHA256: sha256},
        }

    async def _put(
        self, described: dict[str, Any], upload: Upload, deadline: float, begun: Multipart | None
    ) -> PutOutcome:
        parts = FileParts(upload.source, upload.size_bytes)
        try:
            if upload.size_bytes < SINGLE_PUT_BYTES:
                await self._put_whole(described, parts, upload)
            else:
                sending = begun or Multipart(self._calls, described, parts, deadline)
                sending.ends_at(upload.size_bytes)
                sending.grown(upload.size_bytes)
                await sending.complete()
        except ClientError as error:
            taken = status_of(error) == 412
            if not taken and code_of(error) != "NoSuchUpload":
                raise
            head = await self._head(described["Key"])
            if head is None:
                raise StartAgain("the object or the upload was removed meanwhile") from error
            outcome = await self._compared(described["Key"], head, upload)
            # NoSuchUpload: the answer to our own Complete was lost, and this is its object.
            return outcome if taken or isinstance(outcome, Conflict) else Stored()
        return Stored()

    async def _compared(self, key: str, head: ObjectHead, upload: Upload) -> AlreadyThere | Conflict:
        """What was uploaded while it still grew says nothing of its bytes: they are read."""
        sha256 = head.sha256
        if sha256 is None and head.size_bytes == upload.size_bytes:
            there = await self._calls.once(lambda: self._downloaded(key))
            if there is not None:
                with there:
                    sha256 = there.sha256
        return AlreadyThere(head) if sha256 == upload.sha256 else Conflict(head)

    async def _put_whole(self, described: dict[str, Any], parts: FileParts, upload: Upload) -> None:
        def request() -> None:
            # What S3 compares the bytes with is what the log or the sender said, not what was just read.
            checksum = base64.b64encode(bytes.fromhex(upload.sha256)).decode()
            self._calls.uploads.put_object(
                **described, Body=parts.open(0, upload.size_bytes), IfNoneMatch="*", ChecksumSHA256=checksum
            )

        await self._calls.once(request)


def _of_the_same_object(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """An upload that was begun early does not say the SHA-256."""
    return (one["Key"], one["ContentType"]) == (other["Key"], other["ContentType"])

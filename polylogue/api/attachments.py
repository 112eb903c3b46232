"""Pictures that a user attaches: decoded strictly, judged by their bytes, stripped of metadata, stored under `private/`."""

from __future__ import annotations

import asyncio
import hashlib
import io
import sys
import time
from collections.abc import Sequence
from typing import Any

import pybase64

from polylogue.api.errors import ApiError
from polylogue.api.requests import AttachedImage
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.media import clean_picture
from polylogue.media.keys import attachment_key
from polylogue.media.sniff import GIF, JPEG, PNG, WEBP, sniff
from polylogue.media.store import ObjectStore, StorageUnavailableError, Upload
from polylogue.schemas.events import Attachment

TAKEN = (PNG, JPEG, WEBP, GIF)
CONTENT_TYPES = {kind.format: kind.content_type for kind in TAKEN}
CLEAN_S = 30.0  # wall time of the cleaning process, which has a limit of its own on CPU time
STORE_S = 15.0
AT_ONCE = 2  # cleaning processes; each may take a core and up to 2 GB
MEGABYTE = 1024 * 1024

log = get_logger("polylogue.api.attachments")


def most_body_bytes(settings: Settings) -> int:
    """The largest request: the pictures as base64, and four megabytes of text."""
    return 4 * MEGABYTE + settings.attachment_max_total_mb * MEGABYTE * 4 // 3


def decode(images: Sequence[AttachedImage], settings: Settings) -> list[bytes]:
    """The pictures' bytes, by count, size and kind acceptable. Raises ApiError."""
    if len(images) > settings.attachment_max_count:
        raise ApiError(
            400,
            "too_many_attachments",
            f"At most {settings.attachment_max_count} pictures can be attached; {len(images)} were.",
        )
    pictures = []
    for number, image in enumerate(images):
        try:
            picture = pybase64.b64decode(image.base64_data.encode("ascii"), validate=True)
        except ValueError:  # also what is not ASCII
            raise _refused(400, "bad_base64", number, "is not valid base64") from None
        if not picture:
            raise _refused(400, "bad_base64", number, "is empty")
        if len(picture) > settings.attachment_max_mb * MEGABYTE:
            limit = f"is larger than {settings.attachment_max_mb} MB"
            raise _refused(413, "attachment_too_large", number, limit)
        if sniff(picture) not in TAKEN or not image.mime_type.lower().startswith("image/"):
            raise _refused(422, "attachment_unsupported", number, "is not a PNG, JPEG, WebP or GIF picture")
        pictures.append(picture)
    if sum(map(len, pictures)) > settings.attachment_max_total_mb * MEGABYTE:
        raise ApiError(
            413,
            "attachments_too_large",
            f"The attached pictures are larger than {settings.attachment_max_total_mb} MB together.",
        )
    return pictures


class Attachments:
    """Cleans in processes of their own, a few at once, and stores."""

    def __init__(self, settings: Settings, store: ObjectStore) -> None:
        self._settings, self._store = settings, store
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def keep(self, images: Sequence[AttachedImage], owner: str, turn_id: str) -> tuple[Attachment, ...]:
        """Stores the pictures of a turn in their order. Raises ApiError, StorageUnavailableError."""
        if not images:
            return ()
        pictures = await asyncio.to_thread(decode, images, self._settings)
        cleaned = await asyncio.gather(
            *(self._cleaned(number, picture) for number, picture in enumerate(pictures))
        )
        found = [
            Attachment(
                key=attachment_key(owner, turn_id, number, extension),
                content_type=CONTENT_TYPES[extension],
                size_bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            )
            for number, (extension, data) in enumerate(cleaned, start=1)
        ]
        puts = (self.put(attachment, data) for attachment, (_, data) in zip(found, cleaned, strict=True))
        for outcome in await asyncio.gather(*puts, return_exceptions=True):
            if isinstance(outcome, BaseException):
                await self.drop([attachment.key for attachment in found])
                raise outcome
        return tuple(found)

    async def put(self, attachment: Attachment, data: bytes) -> None:
        """Raises StorageUnavailableError."""
        upload = Upload(io.BytesIO(data), attachment.size_bytes, attachment.sha256, attachment.content_type)
        await self._store.put(attachment.key, upload, deadline=time.monotonic() + STORE_S)

    async def drop(self, keys: Sequence[str]) -> None:
        """Removes what was stored for a turn that does not come to be."""
        for key in keys:
            try:
                await self._store.delete(key, deadline=time.monotonic())
            except StorageUnavailableError as error:
                log.warning("an attachment of no turn stays", error=type(error).__name__)

    async def _cleaned(self, number: int, picture: bytes) -> tuple[str, bytes]:
        async with self._slots:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                clean_picture.__name__,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={
                    "PYTHONPATH": ":".join(filter(None, sys.path))
                },  # no secret of ours is in its environment
            )
            try:
                async with asyncio.timeout(CLEAN_S):
                    output, _ = await child.communicate(picture)
            except TimeoutError:
                raise _refused(422, "attachment_undecodable", number, "takes too long to decode") from None
            finally:
                if child.returncode is None:
                    child.kill()
                    await child.wait()
        if child.returncode == clean_picture.TOO_MANY_PIXELS:
            most = f"has more than {clean_picture.MOST_PIXELS // 1_000_000} million pixels"
            raise _refused(422, "attachment_too_many_pixels", number, most)
        if child.returncode:
            raise _refused(422, "attachment_undecodable", number, "cannot be decoded")
        extension, _, data = output.partition(b"\n")
        return extension.decode(), data


def _refused(status: int, code: str, number: int, what: str) -> ApiError:
    more: dict[str, Any] = {}
    if status == 422:
        more["errors"] = [{"field": f"attached_images.{number}", "message": what}]
    return ApiError(status, code, f"Attached picture {number + 1} {what}.", **more)

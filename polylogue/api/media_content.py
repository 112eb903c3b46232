"""The file of a medium: where to fetch it from, or with MEDIA_PROXY its bytes through this server, in ranges."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response

from polylogue.api import byte_range
from polylogue.api.byte_range import ByteRange, UnsatisfiableError
from polylogue.api.byte_stream import ByteStream
from polylogue.api.errors import ApiError
from polylogue.api.framing import UrlFor
from polylogue.api.lineage import Row
from polylogue.api.media_rows import unless_stored
from polylogue.api.services import Services
from polylogue.media.reading import ObjectMissingError

RenditionName = Literal["original", "webp", "thumbnail", "poster", "waveform"]
# The file comes from this very origin: nothing in it may run, whatever it claims to be.
GUARDS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; media-src 'self'",
    "Cross-Origin-Resource-Policy": "same-site",
}


@dataclass(frozen=True)
class File:
    key: str
    content_type: str
    size_bytes: int
    name: str  # as it is saved

    @property
    def etag(self) -> str:
        """A key is written once, so that it stands for the bytes."""
        return '"' + hashlib.sha256(f"{self.key} {self.size_bytes}".encode()).hexdigest()[:32] + '"'


def file_of(row: Row, rendition: RenditionName) -> File:
    """Raises ApiError where the medium, or this version of it, is not there."""
    unless_stored(row)
    if rendition == "original":
        return File(row["key"], row["content_type"], row["size_bytes"], f"{row['media_id']}.{row['format']}")
    for one in row["renditions"]:
        if one["name"] == rendition:
            ending = one["key"].rpartition(".")[2]
            name = f"{row['media_id']}.{rendition}.{ending}"
            return File(one["key"], one["content_type"], one["size_bytes"], name)
    raise ApiError(404, "no_rendition", f"This medium has no {rendition}.")


def redirected(url_for: UrlFor, file: File) -> Response:
    """A URL that is good for a while; the answer itself is not to be kept."""
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return RedirectResponse(url_for(file.key), status_code=302, headers=headers)


async def proxied(services: Services, file: File, headers: Headers, *, body: bool) -> Response:
    """The bytes, or with `body` false what would be said of them.

    Raises ApiError 410 where the object is not in the bucket any more, 503 where too many go out at once, and
    StorageUnavailableError.
    """
    told = _told(file)
    if byte_range.not_modified(headers.get("if-none-match"), file.etag):
        return Response(status_code=304, headers=told)
    part: ByteRange | None = None
    if byte_range.holds(headers.get("if-range"), file.etag):
        try:
            part = byte_range.asked_for(headers.get("range"), file.size_bytes)
        except UnsatisfiableError:
            return Response(status_code=416, headers=told | {"Content-Range": f"bytes */{file.size_bytes}"})
    whole = ByteRange(0, file.size_bytes - 1)
    told |= {"Content-Type": file.content_type, "Content-Length": str((part or whole).length)}
    if part is not None:
        told["Content-Range"] = f"bytes {part.first}-{part.last}/{file.size_bytes}"
    status = 200 if part is None else 206
    # A HEAD asks for one byte, so that it says the same as a GET where the object is missing.
    wanted = (part or whole) if body else ByteRange(0, 0)
    if not await services.downloads.take():
        raise ApiError(
            503, "too_many_downloads", "Too many files are being downloaded; try again in a moment."
        )
    pieces = services.reader.in_background(services.reader.pieces(file.key, wanted.first, wanted.last))
    try:
        first = await pieces.step()
    except BaseException as error:  # a client that goes away, too, gives its place back
        pieces.close()
        services.downloads.give_back()
        if isinstance(error, ObjectMissingError):
            raise ApiError(
                410, "media_missing", "The file of this medium is not in the storage any more."
            ) from None
        raise
    if not body:
        pieces.close()
        services.downloads.give_back()
        return Response(status_code=status, headers=told)
    return ByteStream(first or b"", pieces, services.downloads, headers=told, status_code=status)


def _told(file: File) -> dict[str, str]:
    return GUARDS | {
        "ETag": file.etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": f'inline; filename="{file.name}"',
    }

"""All media of a conversation as one zip, written while it is read: it is never whole in memory or on a disk."""

from __future__ import annotations

import stat
from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import chain

from stream_zip import ZIP_AUTO, MemberFile, stream_zip

from polylogue.api.byte_stream import ByteStream
from polylogue.api.errors import ApiError, not_found
from polylogue.api.file_names import saved_as
from polylogue.api.lineage import Row, family
from polylogue.api.services import Services
from polylogue.api.streams import placed
from polylogue.api.zip_contents import MANIFEST, Entry, entries_of, manifest
from polylogue.media.reading import PIECE_BYTES, ObjectMissingError, ObjectReader
from polylogue.media.store import StorageUnavailableError

# Media are compressed already. Truly stored entries would need a checksum before their first byte.
NO_COMPRESSION = 0
MODE = stat.S_IFREG | 0o644
_GONE = {"expired": "expired", "deleted": "deleted"}


async def zipped(services: Services, owner: str, conversation_id: str) -> ByteStream:
    """Raises ApiError 404, 503 where too many files go out at once, and what means that a server is away."""
    await placed(services, owner, conversation_id)
    async with services.pool.connection() as connection:
        found = await family(connection, owner, conversation_id)
    if found is None:
        raise not_found()
    head, turns = found
    headers = {"Content-Type": "application/zip"} | saved_as(head["title"], "media.zip")
    return await sent(services, archive(services.reader, head, turns), headers)


async def sent(services: Services, made: Generator[bytes], headers: Mapping[str, str]) -> ByteStream:
    """A file that is made while it is read, by the threads that read objects.

    Raises ApiError 503 where too many files go out at once, and what making its first piece raises.
    """
    if not await services.downloads.take():
        raise ApiError(
            503, "too_many_downloads", "Too many files are being downloaded; try again in a moment."
        )
    pieces = services.reader.in_background(made)
    try:
        first = await pieces.step()
    except BaseException:  # a client that goes away, too, gives its place back
        pieces.close()
        services.downloads.give_back()
        raise
    kept = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return ByteStream(first or b"", pieces, services.downloads, headers=kept | dict(headers))


def archive(reader: ObjectReader, head: Row, turns: list[Row]) -> Generator[bytes]:
    """Blocks. A file that is not in the storage is left out, and the manifest, which comes last, says so.

    Raises StorageUnavailableError where a file breaks off in the middle: there is no taking back what was sent.
    """
    sources: list[Generator[bytes]] = []
    try:
        yield from stream_zip(_members(reader, head, turns, sources), chunk_size=PIECE_BYTES)
    finally:
        for source in sources:
            source.close()


def _members(
    reader: ObjectReader, head: Row, turns: list[Row], sources: list[Generator[bytes]]
) -> Iterator[MemberFile]:
    done: list[tuple[Entry, str | None]] = []
    yield from files_of(reader, entries_of(turns), done, sources)
    told = manifest(head, turns, done)
    yield MANIFEST, head["created_at"], MODE, ZIP_AUTO(len(told)), [told]


def files_of(
    reader: ObjectReader,
    entries: Iterable[Entry],
    done: list[tuple[Entry, str | None]],
    sources: list[Generator[bytes]],
) -> Iterator[MemberFile]:
    """The files that are there. `done` is told what came of each entry, `sources` what is being read and to be closed."""
    for entry in entries:
        if entry.name is None:
            done.append((entry, _GONE.get(entry.about["status"], "not stored")))
            continue
        source = reader.pieces(entry.key, 0, entry.size_bytes - 1)
        sources[:] = [source]
        try:
            first = next(source, b"")
        except ObjectMissingError:
            done.append((entry, "not in the storage any more"))
            continue
        except StorageUnavailableError:
            done.append((entry, "the storage did not answer"))
            continue
        done.append((entry, None))
        method = ZIP_AUTO(entry.size_bytes, level=NO_COMPRESSION)
        yield entry.name, entry.at, MODE, method, chain([first], source)

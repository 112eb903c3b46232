"""One record of `media-requests`: decoded, handed to whoever carries out its kind, buried where nobody can."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from polylogue.schemas.base import Payload
from polylogue.schemas.codec import Garbage, NewerVersion, UnknownType, request_codec
from polylogue.schemas.envelope import Request
from polylogue.streams.dead_letters import DeadLetters, SourceRecord
from polylogue.streams.media_work import Afterwards

Handler = Callable[[Request], Awaitable[Afterwards | None]]


class NotCarriedOutError(Exception):
    """The request was tried for as long as it may be; the message says what was in its way."""


class MediaRequests:
    """`handlers` by the class of the payload. Doing a request twice must be as good as doing it once."""

    def __init__(self, handlers: Mapping[type[Payload], Handler], letters: DeadLetters) -> None:
        self._handlers = handlers
        self._letters = letters

    async def carry_out(self, record: SourceRecord) -> Afterwards | None:
        """Returns when the next record may begin: with what is left of this one, or with nothing, and then it may be
        acknowledged. Raises ProducerUnusableError where nothing can be written."""
        request = request_codec.decode(record.value)
        match request:
            case Garbage(reason=reason):
                await self._letters.bury(record, reason)
            case UnknownType(type=name):
                await self._letters.bury(record, f"the type {name} is not known")
            case NewerVersion(type=name, version=version):
                reason = f"version {version} of {name} is newer than this software"
                await self._letters.bury(record, reason)
            case Request():
                return await self._handle(request, record)
        return None

    async def _handle(self, request: Request, record: SourceRecord) -> Afterwards | None:
        handler = self._handlers.get(type(request.data))
        if handler is None:
            await self._letters.bury(record, "a request that this software cannot carry out")
            return None
        try:
            return await handler(request)
        except NotCarriedOutError as error:
            await self._letters.bury(record, str(error))
            return None

"""Removes the objects of media that nobody is shown, and uploads that nobody will complete."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TypeVar, get_args

from botocore.exceptions import BotoCoreError, ClientError

from polylogue.media.bucket_contents import BucketContents, HalfDoneUpload, StoredObject
from polylogue.media.keys import conversation_prefix, medium_of, medium_prefix
from polylogue.media.threads import DaemonThreads
from polylogue.schemas.base import MediaType
from polylogue.streams.sweeper_plan import RemoveObjects

REQUESTS_TIMEOUT_S = 120.0  # one action: a few lists and some hundred deletes

T = TypeVar("T")


class BucketUnavailableError(Exception):
    """The bucket did not do what was asked; the message names the error, no key."""


class DecisionTooOldError(Exception):
    """Too much time has passed since it was looked up what may be removed."""


def prefixes(action: RemoveObjects) -> list[str]:
    """Where the objects lie: beside the original where its key is known, otherwise anywhere in the conversation."""
    if action.key is not None and medium_of(action.key) is not None:
        return [medium_prefix(action.key)]
    return [conversation_prefix(media_type, action.conversation_id) for media_type in get_args(MediaType)]


class ObjectRemoval:
    """One thread: removing is never urgent."""

    def __init__(self, contents: BucketContents) -> None:
        self._contents = contents
        self._thread = DaemonThreads(1, "sweep")

    def close(self) -> None:
        self._thread.close()

    async def remove(
        self, action: RemoveObjects, *, stands: Callable[[], bool], fresh: Callable[[], bool]
    ) -> int:
        """Removes what `stands` says is still to be removed; returns how many objects there were.

        `fresh` is asked right before each request, from another thread. Raises BucketUnavailableError, and
        DecisionTooOldError where it says no.
        """
        found = await self._run(lambda: list(self._of(action)))
        removed = 0
        for one in found:
            if not stands():
                break
            await self.remove_key(one.key, fresh)
            removed += 1
        return removed

    async def remove_key(self, key: str, fresh: Callable[[], bool]) -> None:
        """Raises as `remove` does."""

        def work() -> None:
            if not fresh():
                raise DecisionTooOldError("the log was not read for too long")
            self._contents.remove(key)

        await self._run(work)

    async def half_done_before(self, begun_before_ms: int) -> list[HalfDoneUpload]:
        """Raises BucketUnavailableError."""
        return await self._run(
            lambda: [one for one in self._contents.half_done_uploads() if one.begun_ms < begun_before_ms]
        )

    async def abort(self, upload: HalfDoneUpload) -> None:
        """Raises BucketUnavailableError."""
        await self._run(lambda: self._contents.abort(upload))

    def _of(self, action: RemoveObjects) -> Iterator[StoredObject]:
        for prefix in prefixes(action):
            for one in self._contents.objects(prefix):
                named = medium_of(one.key)
                if action.media_id is None or (named is not None and named.media_id == action.media_id):
                    yield one

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(REQUESTS_TIMEOUT_S):
                return await asyncio.wrap_future(self._thread.submit(work))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            raise BucketUnavailableError(f"S3 answered {code}") from error
        except (BotoCoreError, OSError) as error:
            raise BucketUnavailableError(f"S3 cannot be used: {type(error).__name__}") from error

"""Carries out StoreMedia and RetryMedia: the medium is settled, its outcome told, its smaller versions follow."""

from __future__ import annotations

from contextlib import ExitStack

from polylogue.infra.crash_points import crash_point
from polylogue.infra.logs import get_logger
from polylogue.schemas.claims import RetryMedia, StoreMedia
from polylogue.schemas.envelope import Request
from polylogue.schemas.events import MediaRetried
from polylogue.streams.claim_settlement import ClaimSettlement
from polylogue.streams.media_outcomes import MediaOutcomes
from polylogue.streams.media_renditions import MediaRenditions
from polylogue.streams.media_work import Afterwards, Work, work_of

log = get_logger(__name__)


class MediaStoring:
    """Raises ProducerUnusableError where not even the outcome can be written."""

    def __init__(
        self, settlement: ClaimSettlement, outcomes: MediaOutcomes, renditions: MediaRenditions
    ) -> None:
        self._settlement = settlement
        self._outcomes = outcomes
        self._renditions = renditions

    async def store(self, request: Request) -> Afterwards | None:
        assert isinstance(request.data, StoreMedia)
        return await self._settle(work_of(request, request.data))

    async def retry(self, request: Request) -> Afterwards | None:
        """Readers are told that it is tried again before anything else: an outcome of a try that they do not know of
        is hidden from them."""
        assert isinstance(request.data, RetryMedia)
        work = work_of(request, request.data)
        claim = work.claim
        retried = MediaRetried(media_id=claim.media_id, media_type=claim.media_type, retry=claim.retry)
        await self._outcomes.noted(work, retried)
        crash_point("agent.retried_emitted")
        return await self._settle(work)

    async def _settle(self, work: Work) -> Afterwards | None:
        settled = await self._settlement.settle(work)
        with ExitStack() as stack:
            stack.callback(settled.close)
            await self._outcomes.settled(work, settled)
            log.info(
                "claim_settled",
                media_id=work.claim.media_id,
                outcome=type(settled.outcome).__name__,
                reason=getattr(settled.outcome, "reason", None),
                traceparent=work.traceparent,
            )
            afterwards = self._renditions.of(work, settled)
            if afterwards is not None:
                stack.pop_all()
            return afterwards

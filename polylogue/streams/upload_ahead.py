"""Sends a medium's parts while its later segments are still being read, so that reading and sending overlap."""

from __future__ import annotations

from polylogue.media.multipart import Multipart
from polylogue.media.sniff import HEAD_BYTES, sniff
from polylogue.media.spool import Spool
from polylogue.media.store import ObjectStore, Upload
from polylogue.schemas.claims import MediaClaim, SegmentRange


class UploadAhead:
    """Nothing of it shows in the bucket before the whole file was judged and somebody completes it."""

    def __init__(
        self,
        store: ObjectStore,
        claim: MediaClaim,
        segments: SegmentRange,
        deadline: float,
        begun: Multipart | None = None,
    ) -> None:
        self._store = store
        self._key = claim.key
        self._segments = segments
        self._deadline = deadline
        self._looked = begun is not None
        self.begun = begun

    def arrived(self, spool: Spool) -> None:
        """The spool has grown. Never waits."""
        if not self._looked and spool.size_bytes >= min(HEAD_BYTES, self._segments.size_bytes):
            self._looked = True
            # The type is fixed when an upload begins; where the verdict differs, it is begun anew.
            kind = sniff(spool.read_at(0, HEAD_BYTES))
            if kind is not None:
                announced = Upload(spool, self._segments.size_bytes, self._segments.sha256, kind.content_type)
                self.begun = self._store.begin(self._key, announced, deadline=self._deadline)
        if self.begun is not None:
            self.begun.grown(spool.size_bytes)

    def give_up(self) -> None:
        """Does not wait; what was completed stays. Again, or with another spool after it, is fine."""
        if self.begun is not None:
            self.begun.give_up()
        self.begun, self._looked = None, False

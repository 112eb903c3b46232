"""The claim: all that the media agent needs to store one medium, carried by `MediaProduced` and `media-requests`."""

from __future__ import annotations

from polylogue.schemas.base import MediaType, Payload, Value, registry


class SegmentRange(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Where the bytes of a medium lie in `media-segments`. Other media's segments may lie between."""

    partition: int
    first_offset: int
    last_offset: int
    count: int
    size_bytes: int
    sha256: str  # lower-case hex of the whole medium


class RemoteSource(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A medium that the provider keeps under a URL; whatever is stored at the key first is the medium."""

    url: str
    needs_key: bool = (
        False  # the gateway keeps it and wants its bearer key; sent to the gateway's origin only
    )

    def __repr__(self) -> str:  # such URLs are often signed
        return f"RemoteSource(needs_key={self.needs_key})"


class MediaClaim(Value, frozen=True, kw_only=True, omit_defaults=True):
    media_id: str
    media_type: MediaType
    conversation_id: str
    turn_id: str
    response_id: str
    owner_id: str
    model: str
    key: str  # the S3 object key, fixed here so that no retry can change it
    format: str  # the file extension without a dot, from the runner's sniff or the provider's declaration
    content_type: str  # as the runner sniffed or the provider declared it
    answer_partition: int  # the partition of `conversation-events` on which the outcome is written
    segments: SegmentRange | None = None
    remote: RemoteSource | None = None
    declared_content_type: str | None = None
    width: int | None = None
    height: int | None = None
    retry: int = 0
    cost_usd_micros: int | None = None


class PrepareMedia(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A hint that nothing depends on: a medium is arriving whose claim may follow under the same key. What is in the log of
    it may be read, and sent to S3, before it is known whether it is a medium at all."""

    media_id: str
    key: str  # the S3 object key that the claim will have
    content_type: str  # as the runner sniffed it
    partition: int  # of `media-segments`
    first_offset: int
    begun_at_ms: int
    so_far_bytes: int | None = None  # had come when the hint was given, in the log or not
    size_bytes: int | None = None  # a second hint says it, before the last of the bytes are in the log


class StoreMedia(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A record of `media-requests`: store this medium and publish its one outcome."""

    claim: MediaClaim
    produced_at_ms: int  # timestamp of the MediaProduced record (Unix ms); the deadline counts from it
    traceparent: str | None = None


class RetryMedia(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Try a failed medium again: `claim.retry` is the number of the try, and the deadline counts from `asked_at_ms`."""

    claim: MediaClaim
    asked_at_ms: int
    traceparent: str | None = None


class MediumRef(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A medium, with all that is needed to remove its objects and to say so on its conversation's partition."""

    media_id: str
    media_type: MediaType
    conversation_id: str
    owner_id: str
    answer_partition: int
    key: str | None = None  # None where it never had an object
    turn_id: str | None = None
    response_id: str | None = None
    model: str | None = None
    size_bytes: int | None = None


class DeleteMedia(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Remove one medium: its object, its renditions, and what readers are shown of it."""

    medium: MediumRef
    reason: str = "user"
    traceparent: str | None = None


class ExpireMedia(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A stored medium has reached the end of its life; the bucket's own rule removes what is left of it."""

    medium: MediumRef
    reason: str = "lifecycle"


class DeleteConversationMedia(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Remove every object of a deleted conversation: those of `media`, and whatever else lies under its prefixes."""

    conversation_id: str
    owner_id: str
    answer_partition: int
    media: tuple[MediumRef, ...] = ()
    turn_ids: tuple[
        str, ...
    ] = ()  # whose attachments and histories go too; those of `media` count in any case
    traceparent: str | None = None


REQUESTS = registry(PrepareMedia, StoreMedia, RetryMedia, DeleteMedia, ExpireMedia, DeleteConversationMedia)

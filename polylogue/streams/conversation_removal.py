"""Carries out DeleteConversationMedia: all that the bucket holds of a conversation goes, whoever knew of it."""

from __future__ import annotations

from typing import get_args

from polylogue.infra.logs import get_logger
from polylogue.media.keys import conversation_prefix, medium_of, turn_prefixes
from polylogue.schemas.base import MediaType
from polylogue.schemas.claims import DeleteConversationMedia, MediumRef
from polylogue.schemas.envelope import Request
from polylogue.streams.media_removal import MediaRemoval

REASON = "conversation_deleted"

log = get_logger(__name__)


class ConversationRemoval:
    def __init__(self, removal: MediaRemoval) -> None:
        self._removal = removal

    async def delete(self, request: Request) -> None:
        """Raises NotCarriedOutError and ProducerUnusableError, as MediaRemoval does."""
        data = request.data
        assert isinstance(data, DeleteConversationMedia)
        await self._removal.quiet(data.conversation_id)
        media = {medium.media_id: medium for medium in data.media}
        for medium in data.media:
            await self._removal.remove(medium)
        for media_type in get_args(MediaType):
            for key in await self._removal.remove_all(conversation_prefix(media_type, data.conversation_id)):
                found = _medium(data, media_type, key)
                if found is not None:
                    media.setdefault(found.media_id, found)
        # What the user sent with a prompt, and histories too long for a record.
        turns = {*data.turn_ids, *(medium.turn_id for medium in data.media if medium.turn_id)}
        for turn_id in sorted(turns):
            for prefix in turn_prefixes(data.owner_id, turn_id):
                await self._removal.remove_all(prefix)
        for medium in media.values():
            await self._removal.tell_deleted(request.request_id, medium, REASON, data.traceparent)
        log.info(
            "conversation_media_deleted",
            conversation_id=data.conversation_id,
            media=len(media),
            traceparent=data.traceparent,
        )


def _medium(data: DeleteConversationMedia, media_type: MediaType, key: str) -> MediumRef | None:
    """One that nobody named: it was stored after the deletion was asked for, or its outcome never came."""
    name = medium_of(key)
    if name is None:
        return None
    return MediumRef(
        media_id=name.media_id,
        media_type=media_type,
        conversation_id=data.conversation_id,
        owner_id=data.owner_id,
        answer_partition=data.answer_partition,
        key=key,
        model=name.model,
    )

"""Every projection there is, in the order in which they are named."""

from __future__ import annotations

from polylogue.projections.conversation_messages import ConversationMessages
from polylogue.projections.conversations import Conversations
from polylogue.projections.gallery import Gallery
from polylogue.projections.media_objects import MediaObjects
from polylogue.projections.media_usage_daily import MediaUsageDaily
from polylogue.projections.model_stats import ModelStats
from polylogue.projections.protocol import Projection
from polylogue.projections.quotas import QuotaUse
from polylogue.projections.search import Search
from polylogue.projections.turn_notes import TurnNotes

PROJECTIONS: tuple[Projection, ...] = (
    Conversations(),
    ConversationMessages(),
    MediaObjects(),
    MediaUsageDaily(),
    ModelStats(),
    TurnNotes(),
    Search(),
    Gallery(),
    QuotaUse(),
)

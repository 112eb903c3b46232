"""Every projection there is, in the order in which they are named."""

from __future__ import annotations

from polylogue.projections.conversation_messages import ConversationMessages
from polylogue.projections.conversations import Conversations
from polylogue.projections.media_objects import MediaObjects
from polylogue.projections.protocol import Projection

PROJECTIONS: tuple[Projection, ...] = (Conversations(), ConversationMessages(), MediaObjects())

"""The list of conversations over HTTP: those that are pinned can be asked for alone, however old they are."""

from __future__ import annotations

import pytest

from polylogue.infra.settings import Settings
from tests.support.api_server import api_server
from tests.support.events import Story, interleave, produce_events
from tests.support.tables import caught_up, projector

pytestmark = [pytest.mark.stack]


def _told(*, pinned: bool, owner_id: str = "local", deleted: bool = False) -> Story:
    story = Story(owner_id=owner_id)
    story.ask("Hello", "sim/text", start="Hello")
    if pinned:
        story.pin()
    if deleted:
        story.delete()
    return story


async def test_pinned_conversations_are_listed_alone_and_in_pages(prepared: Settings) -> None:
    pinned = [_told(pinned=True) for _ in range(3)]
    others = [_told(pinned=False) for _ in range(4)]
    hidden = [_told(pinned=True, owner_id="bob"), _told(pinned=True, deleted=True)]
    await produce_events(prepared, interleave(*pinned, *others, *hidden))
    async with projector(prepared):
        await caught_up(prepared)
    async with api_server(prepared) as client:

        async def listed(**asked: str | int) -> list[str]:
            """Of all pages."""
            seen: list[str] = []
            cursor: str | None = None
            while True:
                page = asked | ({"cursor": cursor} if cursor else {})
                told = (await client.get("/api/v1/conversations", params=page)).json()
                seen += [one["conversation_id"] for one in told["conversations"]]
                cursor = told["next_cursor"]
                if cursor is None:
                    return seen

        ours = {story.conversation_id for story in pinned}
        rest = {story.conversation_id for story in others}
        alone, unpinned, everything = (
            await listed(pinned="true", limit=2),
            await listed(pinned="false", limit=3),
            await listed(limit=2),
        )
        refused = await client.get("/api/v1/conversations", params={"pinned": "perhaps"})

    assert (len(alone), set(alone)) == (3, ours)
    assert (len(unpinned), set(unpinned)) == (4, rest)
    assert (len(everything), set(everything)) == (7, ours | rest)
    assert refused.status_code == 422

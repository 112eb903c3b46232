"""Every accepted type goes through the agent with its facts and smaller versions; what is dangerous goes no further."""

from __future__ import annotations

import json
from typing import Any

import pytest

from polylogue.infra.settings import Settings
from polylogue.schemas.events import MediaRejected, MediaRenditionsStored, MediaStored, Rendition
from tests.support.bucket import keys_in_bucket, stored_object
from tests.support.media_agent import agent
from tests.support.media_log import agent_events_of, events, outcomes_of
from tests.support.media_runner import Produced, runner
from tests.support.media_samples import SAMPLES, gif_of_frames, png_of_zeros, slow_gif

pytestmark = pytest.mark.stack

PATIENCE_S = 60  # for a machine that does other things too
SCRIPT = b"<script>alert(1)</script>"
SMALLER = {"image": {"webp", "thumbnail"}, "audio": {"waveform"}, "video": {"poster"}}


async def test_every_type_is_stored_as_it_came_with_its_facts_and_smaller_versions(
    prepared: Settings,
) -> None:
    samples = {name: make() for name, make in SAMPLES.items()}
    # Bytes behind the end of a picture stay with the original and reach nothing that is shown in its place.
    samples["jpg"] += b"PK\x03\x04" + SCRIPT
    async with (
        runner(prepared) as play,
        events(prepared) as log,
    ):
        with agent(prepared):
            media = {name: await play.produce(data) for name, data in samples.items()}
            await log.until(
                lambda seen: all(smaller_of(seen, medium.claim.media_id) for medium in media.values()),
                timeout_s=PATIENCE_S,
            )
    for name, medium in media.items():
        (stored,) = outcomes_of(log.records, medium.claim.media_id)
        assert isinstance(stored, MediaStored)
        assert stored.format == name.partition(" ")[0]
        assert stored.provenance is False
        # What the claim said, where it was another type.
        assert stored.declared_content_type == (None if name == "png" else "image/png")
        assert (stored.codec is None) == (stored.media_type == "image")
        assert (stored.width is None) == (stored.media_type == "audio")
        if stored.media_type != "image":
            assert stored.duration_ms == pytest.approx(3000, abs=60)
        assert stored_object(prepared, stored.key)["data"] == medium.data
        smaller = smaller_of(log.records, medium.claim.media_id)
        assert smaller is not None
        assert {one.name for one in smaller} == (
            {"thumbnail"} if name == "gif" else SMALLER[stored.media_type]
        )
        for one in smaller:
            body = stored_object(prepared, one.key)["data"]
            assert len(body) == one.size_bytes
            assert SCRIPT not in body
            if one.name == "waveform":
                assert len(json.loads(body)["peaks"]) == 200


def smaller_of(records: list[Any], media_id: str) -> tuple[Rendition, ...] | None:
    """None as long as the agent has not told them."""
    found = [one for one in agent_events_of(records, media_id) if isinstance(one, MediaRenditionsStored)]
    return found[0].renditions if found else None


async def test_bombs_cut_files_pages_and_files_that_take_too_long_end_as_refusals_in_words(
    prepared: Settings,
) -> None:
    bad = {
        "too_many_pixels": png_of_zeros(16_000, 16_000),
        "too_many_frames": gif_of_frames(100_000),
        "truncated": SAMPLES["mp4"]()[:-500],
        "undecodable": SAMPLES["png"]()[:200] + bytes(400) + SAMPLES["png"]()[600:],
        "unsupported_type": b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
        "too_costly": slow_gif(side=2600),
    }
    async with (
        runner(prepared) as play,
        events(prepared) as log,
    ):
        with agent(prepared, media_validation_timeout_s=6):
            media: dict[str, Produced] = {reason: await play.produce(data) for reason, data in bad.items()}
            # Whatever a bad file did to its process, the next one is served.
            media["fine"] = await play.produce(SAMPLES["webp"]())
            await log.until(
                lambda seen: all(outcomes_of(seen, medium.claim.media_id) for medium in media.values()),
                timeout_s=PATIENCE_S,
            )
    fine = media.pop("fine")
    assert isinstance(outcomes_of(log.records, fine.claim.media_id)[0], MediaStored)
    keys = keys_in_bucket(prepared)
    for reason, medium in media.items():
        (outcome,) = outcomes_of(log.records, medium.claim.media_id)
        assert isinstance(outcome, MediaRejected)
        assert outcome.reason == reason
        assert outcome.message.endswith(".")
        assert medium.claim.key not in keys

"""A signed URL against a real server: it opens its one object to whoever has it, for its life, and does nothing else."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import Settings
from polylogue.media.bucket import ensure_bucket
from polylogue.media.urls import UrlSigner

KEY, OTHER = "media/image/c/m/20260101_a.png", "media/image/c/m/20260101_b.png"
DATA = b"the picture"
PATIENCE_S = 60

pytestmark = pytest.mark.stack


async def test_a_signed_url_reads_one_object_until_its_life_is_over(settings: Settings) -> None:
    await asyncio.to_thread(ensure_bucket, settings)
    client = create_s3_client(settings)
    try:
        for key in (KEY, OTHER):
            await asyncio.to_thread(
                client.put_object,
                Bucket=settings.s3_media_bucket,
                Key=key,
                Body=DATA,
                ContentType="image/png",
            )
        lasting = UrlSigner(settings, client).sign(KEY)
        short = UrlSigner(settings.model_copy(update={"media_url_life_s": 5}), client).sign(KEY)
        async with httpx.AsyncClient(trust_env=False) as anybody:
            assert (await anybody.get(short)).content == DATA
            for answer in (
                await anybody.put(lasting, content=b"another picture"),
                await anybody.delete(lasting),
                await anybody.get(lasting.replace("_a.png", "_b.png")),
                await anybody.get(lasting.partition("?")[0]),
            ):
                assert answer.status_code == 403
                assert DATA not in answer.content
            async with asyncio.timeout(PATIENCE_S):
                while (await anybody.get(short)).status_code == 200:
                    await asyncio.sleep(0.2)
            assert (await anybody.get(short)).status_code == 403
            assert (await anybody.get(lasting)).content == DATA
    finally:
        client.close()

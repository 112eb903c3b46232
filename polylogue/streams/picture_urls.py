"""How stored pictures reach a model: as data, or by URL where anybody may read it."""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_address
from urllib.parse import urlsplit

import pybase64

from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.media.store import ObjectStore, StorageUnavailableError
from polylogue.media.urls import public_url
from polylogue.schemas.events import Attachment

FETCH_WITHIN_S = 20.0
MOST_BYTES = 30 * 1024 * 1024  # of one question; gateways refuse more

_log = get_logger(__name__)


class PictureUrls:
    def __init__(self, settings: Settings, store: ObjectStore) -> None:
        self._settings = settings
        self._store = store

    async def find(self, pictures: tuple[Attachment, ...]) -> dict[str, str]:
        """URLs by key. Of pictures that are too large together the latest are kept; one that cannot be read is left
        out: the text is asked all the same."""
        chosen: list[Attachment] = []
        size = 0
        for picture in reversed({picture.key: picture for picture in pictures}.values()):
            if size + picture.size_bytes > MOST_BYTES:
                break
            size += picture.size_bytes
            chosen.append(picture)
        urls = await asyncio.gather(*(self._url(picture) for picture in chosen))
        return {picture.key: url for picture, url in zip(chosen, urls, strict=True) if url is not None}

    async def _url(self, picture: Attachment) -> str | None:
        if picture.key.startswith("media/") and is_public(self._settings):
            return public_url(self._settings, picture.key)
        try:
            data = await self._store.get(picture.key, deadline=time.monotonic() + FETCH_WITHIN_S)
        except StorageUnavailableError as error:
            _log.warning("picture_left_out", error=type(error).__name__)
            return None
        encoded = await asyncio.to_thread(pybase64.b64encode_as_string, data)
        return f"data:{picture.content_type};base64,{encoded}"


def is_public(settings: Settings) -> bool:
    """Whether a gateway elsewhere can read the media: the bucket is open and not on this machine or in its network."""
    if settings.media_url_mode != "public":
        return False
    if settings.cloudfront_domain or settings.s3_endpoint_url is None:
        return True
    host = urlsplit(str(settings.s3_endpoint_url)).hostname or ""
    try:
        return ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".local", ".internal", ".localhost"))

"""Turns a medium as the gateway sent it into an event, once an answer."""

from __future__ import annotations

import re

from polylogue.media.sniff import sniff
from polylogue.schemas.base import MediaType
from polylogue.streams.gateway.audio import PCM16_RATE, as_sound, is_rate
from polylogue.streams.gateway.base64_media import DecodedMedia, decode_media
from polylogue.streams.gateway.chat_fields import text_of
from polylogue.streams.gateway.dedup import SeenMedia
from polylogue.streams.gateway.events import BadMedia, MediaBytes, MediaRemote
from polylogue.streams.gateway.lifted import LiftedString
from polylogue.streams.gateway.parts import MediaPart, Source, bytes_of
from polylogue.streams.gateway.surrogates import mended

SCRAP_BYTES = 64  # the smallest real pictures are about as long

_SVG = re.compile(rb"\s*<(?:\?xml|!--|!DOCTYPE svg|svg)[\s>]?", re.IGNORECASE)


class MediaIntake:
    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._seen = SeenMedia()

    def take(
        self, part: MediaPart, *, refuse_scraps: bool = False
    ) -> MediaBytes | MediaRemote | BadMedia | None:
        """None for what this answer has already brought. A scrap is a few bytes that are no medium of any kind."""
        source, declared = part.source, part.declared_content_type
        head = _head_of(source)
        if head.lower().startswith(("https://", "http://")):
            url = mended(text_of(source))
            return MediaRemote(part.media_type, url, declared) if self._seen.first_url(url) else None
        if head.lstrip().startswith("<") and part.media_type == "image":
            return self._svg(source, declared)
        decoded = decode_media(source, part.media_type, max_bytes=self._max_bytes)
        if refuse_scraps and _is_scrap(decoded):
            return BadMedia(part.media_type, "unsupported", "The model sent a few bytes that are no medium.")
        if isinstance(decoded, BadMedia):
            # A broken picture, too, is often repeated at the end of the answer.
            return decoded if self._seen.first_time(bytes_of(source))[1] else None
        declared = decoded.content_type or declared
        if part.media_type != "audio":
            return self._take_decoded(part.media_type, decoded, declared)
        rate = decoded.parameters.get("rate", "")
        # Without any word on its format a whole part is left as it is: it need not be raw samples.
        audio_format = part.format or (declared or "audio/unknown").removeprefix("audio/")
        sound = as_sound(decoded.data, audio_format.lower(), int(rate) if is_rate(rate) else PCM16_RATE)
        return self.take_bytes("audio", sound.data, sound.content_type or declared)

    def _svg(self, source: Source, declared: str | None) -> MediaBytes | BadMedia | None:
        """Drawn as text, where base64 belongs."""
        data = bytes_of(source)
        if len(data) > self._max_bytes:
            return BadMedia("image", "too_large", "The model sent a picture above the size limit.")
        if not _SVG.match(data):
            return BadMedia("image", "bad_base64", "The model sent a picture that is not valid base64.")
        return self.take_bytes("image", data, declared if declared and "svg" in declared else "image/svg+xml")

    def take_bytes(self, media_type: MediaType, data: bytes, declared: str | None) -> MediaBytes | None:
        return self._take_decoded(media_type, DecodedMedia(data), declared)

    def _take_decoded(
        self, media_type: MediaType, decoded: DecodedMedia, declared: str | None
    ) -> MediaBytes | None:
        sha256, new = self._seen.first_time(decoded.data, decoded.sha256)
        return MediaBytes(media_type, decoded.data, sha256, declared) if new else None


def _head_of(source: Source) -> str:
    if isinstance(source, str):
        return source[:8]
    return bytes((source.before if isinstance(source, LiftedString) else source)[:8]).decode("latin-1")


def _is_scrap(decoded: DecodedMedia | BadMedia) -> bool:
    return (
        isinstance(decoded, DecodedMedia) and len(decoded.data) < SCRAP_BYTES and sniff(decoded.data) is None
    )

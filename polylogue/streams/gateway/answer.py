"""What an adapter gathers of one answer, whatever the protocol: text in order, media once, usage, and one end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polylogue.schemas.base import MediaType
from polylogue.streams.gateway.audio import AudioPieces
from polylogue.streams.gateway.dedup import SeenMedia
from polylogue.streams.gateway.events import (
    AudioDelta,
    BadMedia,
    Finished,
    GatewayEvent,
    MediaBytes,
    MediaRemote,
    Noted,
    ReasoningDelta,
    TextDelta,
    UpstreamError,
    UsageReported,
)
from polylogue.streams.gateway.lifted import LiftedString
from polylogue.streams.gateway.media_intake import MediaIntake
from polylogue.streams.gateway.parts import MediaPart, Source, bytes_of
from polylogue.streams.gateway.sse import MIB
from polylogue.streams.gateway.surrogates import HalfCharacters
from polylogue.streams.gateway.text_media import Piece, TextMedia
from polylogue.streams.gateway.thinking import ThinkSplitter

DISABLED = "Media are switched off here; the text is complete."
FILTERED = UpstreamError("content_filter", "The model's content filter refused to answer.", retryable=False)


class Answer:
    """`take` gives the events so far. After `succeed` or `fail` nothing more comes."""

    def __init__(
        self, *, audio_format: str | None = None, max_media_bytes: int = 100 * MIB, media_wanted: bool = True
    ) -> None:
        self._max_media = max_media_bytes
        self._media_wanted = media_wanted  # if not, none is decoded, and each place says so
        self._left_out = SeenMedia()
        self._audio_format = audio_format
        self._audio: AudioPieces | None = None
        self._media = MediaIntake(max_bytes=max_media_bytes)
        self._said, self._thought = HalfCharacters(), HalfCharacters()
        self._thinking = ThinkSplitter()
        self._text_media = TextMedia(max_bytes=max_media_bytes)
        self._out: list[GatewayEvent] = []
        self._noted: set[str] = set()
        self.images = 0
        self.produced = False
        self.usage: UsageReported | None = None
        self.ended = False

    def take(self) -> list[GatewayEvent]:
        out, self._out = self._out, []
        return out

    def text(self, text: str) -> None:
        if text:
            self.produced = True
            self._end_thought()
            self._add(self._thinking.add(self._said.join(text)))

    def reasoning(self, text: str) -> None:
        if text:
            self.produced = True
            self._flush_text()
            thought = self._thought.join(text)
            if thought:
                self._out.append(ReasoningDelta(thought))

    def medium(self, part: MediaPart | None, *, refuse_scraps: bool = False) -> None:
        event = self.recognised(part, refuse_scraps=refuse_scraps)
        if event is not None:
            self.emit(event)

    def recognised(
        self, part: MediaPart | None, *, refuse_scraps: bool = False
    ) -> MediaBytes | MediaRemote | BadMedia | None:
        """The medium's event, for the caller to emit; None for what this answer has already brought."""
        if part is not None and not self._media_wanted:
            return self._leave_out(part.media_type, part.source)
        event = None if part is None else self._media.take(part, refuse_scraps=refuse_scraps)
        if event is not None:
            self.images += event.media_type == "image"
        return event

    def _leave_out(self, media_type: MediaType, source: Source) -> BadMedia | None:
        new = self._left_out.first_time(bytes_of(source))[1]
        return BadMedia(media_type, "disabled", DISABLED) if new else None

    def sound(self, piece: Any) -> None:
        if not self._media_wanted:
            # All pieces are one sound.
            left_out = self._leave_out("audio", "sound") if piece else None
            if left_out is not None:
                self.emit(left_out)
            return
        if isinstance(piece, LiftedString):
            piece = piece.text()
        if isinstance(piece, str | memoryview) and len(piece):
            if self._audio is None:
                self._audio = AudioPieces(audio_format=self._audio_format, max_bytes=self._max_media)
            size = self._audio.add(piece)
            if size:
                self.emit(AudioDelta(size))

    def emit(self, event: GatewayEvent) -> None:
        # A transcript may be cut within a character where its sound comes in between.
        self._flush_text(halves=not isinstance(event, AudioDelta))
        self._end_thought()
        self.produced = True
        self._out.append(event)

    def note(self, code: str, message: str) -> None:
        """Once each."""
        if code not in self._noted:
            self._noted.add(code)
            self._flush_text()
            self._out.append(Noted(code, message))

    def succeed(self, finish_reason: str | None, native: str | None = None) -> None:
        if self.ended:
            return
        self._flush_text()
        self._spoken(self._text_media.finish())
        self._finish_sound()
        usage = self.usage
        if usage is not None and usage.usage.image_tokens and not self.images:
            self.note("no_image", "The model counted a picture but sent none.")
        if finish_reason == "content_filter" and not self.produced:
            self._close(FILTERED)
        else:
            self._close(Finished(finish_reason or "stop", native))

    def fail(self, error: UpstreamError) -> None:
        if self.ended:
            return
        self._flush_text()
        rest, cut_off = self._text_media.abandon()
        self._spoken(rest)
        if cut_off:
            self.note("picture_cut_off", "A picture in the text broke off with the answer and was not kept.")
        if self._audio is not None:
            self._audio = None
            self.note("sound_cut_off", "The sound broke off with the answer and was not kept.")
        self._close(error)

    def _close(self, last: Finished | UpstreamError) -> None:
        self._end_thought()
        if self.usage is not None:
            self._out.append(self.usage)
        self._out.append(last)
        self.ended = True

    def _end_thought(self) -> None:
        rest = self._thought.flush()
        if rest:
            self._out.append(ReasoningDelta(rest))

    def _flush_text(self, *, halves: bool = True) -> None:
        if halves:
            self._add(self._thinking.add(self._said.flush()))
        self._add(self._thinking.flush())
        self._spoken(self._text_media.flush())

    def _add(self, events: Sequence[TextDelta | ReasoningDelta]) -> None:
        for event in events:
            if isinstance(event, TextDelta):
                self._spoken(self._text_media.add(event.text))
            else:
                self._out.append(event)

    def _spoken(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            medium = TextDelta(piece) if isinstance(piece, str) else self.recognised(piece)
            if medium is not None:
                self._out.append(medium)

    def _finish_sound(self) -> None:
        audio, self._audio = self._audio, None
        if audio is None:
            return
        for sound in audio.finish():
            event = self._media.take_bytes("audio", sound.data, sound.content_type)
            if event is not None:
                self.emit(event)
        if audio.too_large:
            self.bad("audio", "too_large", "The model sent a sound above the size limit.")
        elif audio.bad:
            self.bad("audio", "bad_base64", "The model sent a sound that is not valid base64.")

    def bad(self, media_type: MediaType, reason: Any, message: str) -> None:
        self.emit(BadMedia(media_type, reason, message))

"""What pictures, base64, sound, text and resources in chat completions become."""

from __future__ import annotations

from polylogue.schemas.events import Usage
from polylogue.simulator.case_forms import REMOTE_UNNAMED
from polylogue.simulator.case_media import photo, picture, same_pixels, sound
from polylogue.simulator.media import png
from polylogue.streams.gateway.audio import wrap_pcm16
from polylogue.streams.gateway.events import (
    BadMedia,
    Finished,
    GatewayEvent,
    MediaRemote,
    ReasoningDelta,
    UsageReported,
)
from tests.unit.gateway.cases.expected import (
    STOP,
    THOUGHT,
    TOOL_CALL,
    A,
    B,
    Expected,
    arriving,
    drawn,
    expected,
    failed,
    heard,
    in_pieces,
    medium,
    noted,
    pcm,
    said,
)

_BOTH = expected(A, B, STOP)
_ONE = expected(drawn(), STOP)
_UNPADDED = expected(medium(next(data for data in map(picture, range(1, 50)) if len(data) % 3)), STOP)
_LONG = sound("pcm16") * 4
_MP3, _OGG = sound("mp3"), sound("ogg")


def _many(size: int) -> list[GatewayEvent]:
    return [*(medium(png("a red circle", number, size)) for number in range(32)), STOP]


def _flood(size: int) -> list[GatewayEvent]:
    return [*said(*(chr(97 + number % 26) * size for number in range(64))), STOP]


FORMS: dict[str, Expected] = {
    "image-twice": _ONE,
    "image-same-pixels": expected(drawn(), medium(same_pixels()), STOP),
    "image-interim-then-final": expected(drawn(2), drawn(1), STOP),
    "image-two-of-index-0": expected(drawn(1), drawn(2), STOP),
    "image-no-index": _ONE,
    "image-declared-png-is-jpeg": expected(medium(photo()), STOP),
    "image-tokens-without-image": expected(
        A,
        noted("no_image", "The model counted a picture but sent none."),
        UsageReported(Usage(prompt_tokens=5, completion_tokens=7, total_tokens=12, image_tokens=1290), 1200),
        STOP,
    ),
    "image-https-without-name": expected(MediaRemote("image", REMOTE_UNNAMED), STOP),
    "base64-padded-pieces": expected(*in_pieces(1000, 6000), pcm(), STOP, audio_format="pcm16"),
    "base64-rest-carried": expected(
        # Each piece gives what is whole, with the rest of the one before it.
        *arriving(750, 750, 750, 753, 750, 750, 750, 747),
        pcm(),
        STOP,
        audio_format="pcm16",
    ),
    "base64-url-safe": _ONE,
    "base64-no-padding": _UNPADDED,
    "base64-percent": _UNPADDED,
    "base64-newlines": _ONE,
    "base64-spaces": _ONE,
    "base64-l16-parameters": expected(pcm(rate=16_000), STOP),
    "base64-no-media-type": expected(medium(picture(), None), STOP),
    "base64-capitals": _ONE,
    "base64-broken": expected(
        BadMedia("image", "bad_base64", "The model sent a picture that is not valid base64."), A, STOP
    ),
    "audio-format-ignored": expected(
        *in_pieces(1200, len(_MP3)), heard(_MP3, None), STOP, audio_format="pcm16"
    ),
    "audio-repeated-wav-headers": expected(*arriving(3044, 3044), pcm(), STOP, audio_format="wav"),
    "audio-odd-byte": expected(*in_pieces(999, 6001), pcm(), STOP, audio_format="pcm16"),
    "audio-transcript-only": expected(*said("Hel", "lo"), STOP),
    "audio-expires-only": expected(A, STOP),
    "stream-pcm16": expected(*arriving(3000, 3000), pcm(), STOP, audio_format="pcm16"),
    "resource-32-images": Expected(_many, size=20_000),
    "resource-endless-line": expected(
        A, failed("limit", "The gateway sent more in one piece than is allowed.", retryable=False)
    ),
    "resource-slow-consumer": Expected(_flood, size=50_000),
    "resource-client-gone": expected(A, leave_after=1),
    "rec-message-cumulative": _BOTH,
    "rec-message-piece": _BOTH,
    "rec-message-only": expected(*said("AB"), STOP),
    "rec-content-alternates": expected(*said("A", "B", "C"), STOP),
    "rec-thinking-parts": expected(*THOUGHT),
    "rec-refusal": expected(*said("I ", "cannot."), STOP),
    "rec-inline-think": expected(ReasoningDelta("Let me"), ReasoningDelta(" see."), *said("Yes."), STOP),
    "rec-reasoning-two-names": expected(*THOUGHT),
    "rec-reasoning-encrypted": expected(*said("Yes."), STOP),
    "rec-choices-interleave": expected(A, STOP),
    "rec-new-ids": _BOTH,
    "rec-no-ids": _BOTH,
    "rec-chunks-without-choices": expected(*arriving(600, 600, 600), pcm(1800), STOP, audio_format="pcm16"),
    "rec-sandbox-link": expected(*said("See [the picture](sandbox:/mnt/data/x.png)."), STOP),
    "rec-base64-in-url": expected(*said("![x](https://a.example/base64/iVBORw0KGgo=) and data:"), STOP),
    "rec-tool-call-index-1": expected(TOOL_CALL, Finished("tool_calls")),
    "rec-surrogates-cut": expected(*said("A", "🌍B"), STOP),
    "rec-audio-id-twice": expected(*arriving(3000, 3000), pcm(), STOP, audio_format="pcm16"),
    "rec-audio-19200": expected(
        *said("Hello"), *in_pieces(14_400, len(_LONG)), heard(wrap_pcm16(_LONG)), STOP, audio_format="pcm16"
    ),
    "rec-audio-ogg-unnamed": expected(*in_pieces(1500, len(_OGG)), heard(_OGG, None), STOP),
    "rec-audio-mp3-unnamed": expected(*in_pieces(1500, len(_MP3)), heard(_MP3, None), STOP),
}

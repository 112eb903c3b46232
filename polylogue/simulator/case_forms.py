"""Pictures, base64, sound, text and resources in chat completions: what each case sends."""

from __future__ import annotations

from polylogue.simulator.case_media import b64, data_url, photo, picture, same_pixels, samples, sound, wav
from polylogue.simulator.case_replies import (
    DONE,
    USAGE,
    Producer,
    Reply,
    audio,
    chunk,
    images,
    shown,
    sse,
    stop,
    stream,
    text,
)
from polylogue.simulator.media import png
from polylogue.simulator.options import MEGABYTE

REMOTE_UNNAMED = "https://media.example/files/4711?signature=abc"
AUDIO_PIECE = 19_200  # characters


def _pieces(data: bytes, length: int) -> list[bytes]:
    """The base64 of each piece of the bytes by itself: padded wherever its length is no multiple of three."""
    return [audio(data=b64(data[at : at + length])) for at in range(0, len(data), length)]


def _cut_base64(data: bytes, length: int) -> list[bytes]:
    """Pieces of the base64 itself."""
    whole = b64(data)
    return [audio(data=whole[at : at + length]) for at in range(0, len(whole), length)]


def _url(mangled: str) -> Reply:
    return stream(chunk(images(mangled)), stop())


def _url_safe(_: int) -> Reply:
    return _url("data:image/png;base64," + b64(picture()).translate(str.maketrans("+/", "-_")))


def _newlines(_: int) -> Reply:
    whole = b64(picture())
    return _url("data:image/png;base64," + "\n".join(whole[at : at + 76] for at in range(0, len(whole), 76)))


def _unpadded() -> bytes:
    """A picture whose base64 ends with padding."""
    return next(data for data in map(picture, range(1, 50)) if len(data) % 3)


def _many(size: int) -> Reply:
    made = (png("a red circle", number, size or 20 * MEGABYTE) for number in range(32))
    return stream(*map(shown, made), stop())


def _endless(_: int) -> Reply:
    return stream(text("A"), b'data: {"choices":[{"delta":{"content":"', end="endless")


def _flood(size: int) -> Reply:
    return stream(*(text(chr(97 + number % 26) * (size or 256 * 1024)) for number in range(64)), stop())


def _parallel(_: int) -> Reply:
    return stream(
        sse(
            {
                "choices": [
                    {"index": 1, "delta": {"content": "no"}},
                    {"index": 0, "delta": {"content": "A"}},
                ]
            }
        ),
        sse({"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]}),
        stop(),
    )


def _messages(*contents: tuple[str | None, str]) -> Reply:
    """Chunks with a delta, where there is one, and a message."""
    return stream(
        *(
            sse(
                {
                    "choices": [
                        {
                            **({} if delta is None else {"delta": {"content": delta}}),
                            "message": {"role": "assistant", "content": message},
                        }
                    ]
                }
            )
            for delta, message in contents
        ),
        stop(),
    )


FORMS: dict[str, Producer] = {
    "image-twice": lambda _: stream(shown(picture()), shown(picture()), stop()),
    "image-same-pixels": lambda _: stream(shown(picture()), shown(same_pixels()), stop()),
    "image-interim-then-final": lambda _: stream(shown(picture(2)), shown(picture(1)), stop()),
    "image-two-of-index-0": lambda _: stream(shown(picture(1)), shown(picture(2)), stop()),
    "image-no-index": lambda _: stream(chunk(images(data_url(picture()))), stop()),
    "image-declared-png-is-jpeg": lambda _: stream(shown(photo()), stop()),
    "image-tokens-without-image": lambda _: stream(
        text("A"), stop(usage={**USAGE, "completion_tokens_details": {"image_tokens": 1290}})
    ),
    "image-https-without-name": lambda _: stream(chunk(images(REMOTE_UNNAMED)), stop()),
    "base64-padded-pieces": lambda _: stream(*_pieces(samples(0, 6000), 1000), stop()),
    "base64-rest-carried": lambda _: stream(*_cut_base64(samples(0, 6000), 1001), stop()),
    "base64-url-safe": _url_safe,
    "base64-no-padding": lambda _: _url(data_url(_unpadded()).rstrip("=")),
    "base64-percent": lambda _: _url(data_url(_unpadded()).replace("=", "%3D")),
    "base64-newlines": _newlines,
    "base64-spaces": lambda _: _url(data_url(picture()).replace("+", " ")),
    "base64-l16-parameters": lambda _: stream(
        chunk(
            {
                "content": [
                    {
                        "type": "audio",
                        "audio": {
                            "url": f"data:audio/L16;codec=pcm;rate=16000;base64,{b64(samples(0, 6000))}"
                        },
                    }
                ]
            }
        ),
        stop(),
    ),
    "base64-no-media-type": lambda _: _url(f"data:;base64,{b64(picture())}"),
    "base64-capitals": lambda _: _url(f"DATA:image/png;BASE64,{b64(picture())}"),
    "base64-broken": lambda _: stream(chunk(images("data:image/png;base64,@@@@")), text("A"), stop()),
    "audio-format-ignored": lambda _: stream(*_pieces(sound("mp3"), 1200), stop()),
    "audio-repeated-wav-headers": lambda _: stream(
        audio(data=b64(wav(samples(0, 3000)))), audio(data=b64(wav(samples(3000, 6000)))), stop()
    ),
    "audio-odd-byte": lambda _: stream(*_pieces(samples(0, 6001), 999), stop()),
    "audio-transcript-only": lambda _: stream(audio(transcript="Hel"), audio(transcript="lo"), stop()),
    "audio-expires-only": lambda _: stream(
        text("A"), audio(expires_at=1_800_000_000), audio(id="audio_1"), stop()
    ),
    "stream-pcm16": lambda _: stream(
        audio(id="audio_1", data=b64(samples(0, 3000))), audio(data=b64(samples(3000, 6000))), stop()
    ),
    "resource-32-images": _many,
    "resource-endless-line": _endless,
    "resource-slow-consumer": _flood,
    "resource-client-gone": lambda _: stream(text("A"), shown(picture())[:300], end="stall"),
    "rec-message-cumulative": lambda _: _messages(("A", "A"), ("B", "AB")),
    "rec-message-piece": lambda _: _messages(("A", "A"), ("B", "B")),
    "rec-message-only": lambda _: _messages((None, "A"), (None, "AB")),
    "rec-content-alternates": lambda _: stream(
        text("A"), chunk({"content": [{"type": "text", "text": "B"}]}), text("C"), stop()
    ),
    "rec-thinking-parts": lambda _: stream(
        chunk(
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Let me see."}]},
                    {"type": "text", "text": "Yes."},
                ]
            }
        ),
        stop(),
    ),
    "rec-refusal": lambda _: stream(
        chunk({"content": "", "refusal": "I "}), chunk({"content": "", "refusal": "cannot."}), stop()
    ),
    "rec-inline-think": lambda _: stream(
        *map(text, ("<thi", "nk>Let me", " see.</th", "ink>\n", "\nYes.")), stop()
    ),
    "rec-reasoning-two-names": lambda _: stream(
        chunk({"reasoning": "Let me see.", "reasoning_content": "Let me see."}), text("Yes."), stop()
    ),
    "rec-reasoning-encrypted": lambda _: stream(
        chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "AAAA"}]}), text("Yes."), stop()
    ),
    "rec-choices-interleave": _parallel,
    "rec-new-ids": lambda _: stream(
        *(
            sse({"id": f"gen-{number}", "choices": [{"index": 0, "delta": {"content": word}}]})
            for number, word in enumerate("AB")
        ),
        stop(),
    ),
    "rec-no-ids": lambda _: stream(
        *(sse({"choices": [{"index": 0, "delta": {"content": word}}]}) for word in "AB"), stop()
    ),
    "rec-chunks-without-choices": lambda _: stream(
        *(
            piece
            for number in range(3)
            for piece in (
                audio(data=b64(samples(number * 600, number * 600 + 600))),
                *(sse({"id": "gen-case", "obfuscation": "x" * 8}),) * 3,
            )
        ),
        DONE,
    ),
    "rec-sandbox-link": lambda _: stream(
        *map(text, ("See [the", " picture](sandbox:/mnt/", "data/x.png).")), stop()
    ),
    "rec-base64-in-url": lambda _: stream(
        *map(text, ("![x](https://a.exam", "ple/base64/iVBORw0KGgo=)", " and data:")), stop()
    ),
    "rec-tool-call-index-1": lambda _: stream(
        chunk({"tool_calls": [{"index": 1, "id": "c", "function": {"name": "f", "arguments": None}}]}),
        chunk({"tool_calls": [{"index": 1, "id": "c", "function": {"arguments": "{}"}}]}),
        chunk({}, "tool_calls"),
        DONE,
    ),
    "rec-surrogates-cut": lambda _: stream(
        b'data: {"choices":[{"delta":{"content":"A\\ud83c"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"\\udf0dB"}}]}\n\n',
        stop(),
    ),
    "rec-audio-id-twice": lambda _: stream(
        audio(id="audio_1"),
        audio(id="audio_1", data=b64(samples(0, 3000))),
        audio(data=b64(samples(3000, 6000))),
        DONE,
    ),
    "rec-audio-19200": lambda _: stream(
        audio(transcript="Hello"), *_cut_base64(sound("pcm16") * 4, AUDIO_PIECE), stop()
    ),
    "rec-audio-ogg-unnamed": lambda _: stream(*_pieces(sound("ogg"), 1500), DONE),
    "rec-audio-mp3-unnamed": lambda _: stream(*_pieces(sound("mp3"), 1500), DONE),
}

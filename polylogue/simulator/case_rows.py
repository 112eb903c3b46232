"""The rows of the table of shapes, chat completions: what each sends."""

from __future__ import annotations

from polylogue.simulator import chunks
from polylogue.simulator.case_media import b64, data_url, photo, picture, samples, sound, wav
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

REMOTE = "https://media.example/a.png"
REMOTE_FILM = "https://media.example/a.mp4"


def _split_markdown(_: int) -> Reply:
    words = f"Here: ![a red circle]({data_url(picture())}) Done."
    return stream(*(text(words[at : at + 7]) for at in range(0, len(words), 7)), stop())


def _modality(kind: str, *pieces: bytes) -> Reply:
    return stream(
        *(
            sse({"modality": kind, "choices": [{"index": 0, "delta": {"content": b64(one)}}]})
            for one in pieces
        ),
        stop(),
    )


ROWS: dict[str, Producer] = {
    "row-01-delta-image": lambda _: stream(text("Here."), shown(picture()), stop()),
    "row-01-https": lambda _: stream(chunk(images(REMOTE)), stop()),
    "row-01-bare-base64": lambda _: stream(chunk(images(b64(picture()))), stop()),
    "row-01-no-type": lambda _: stream(
        chunk({"images": [{"image_url": {"url": data_url(picture())}}]}), stop()
    ),
    "row-02-message-images": lambda _: stream(
        sse(
            {
                "choices": [
                    {
                        "message": {"role": "assistant", "content": "Here.", **images(data_url(picture()))},
                        "finish_reason": "stop",
                    }
                ]
            }
        ),
        DONE,
    ),
    "row-02-message-repeats-deltas": lambda _: stream(
        text("Here."),
        shown(picture()),
        sse(
            {
                "choices": [
                    {
                        "delta": {},
                        "message": {"content": "Here.", **images(data_url(picture()))},
                        "finish_reason": "stop",
                    }
                ]
            }
        ),
        DONE,
    ),
    "row-03-delta-audio": lambda _: stream(
        audio(id="audio_1", transcript="Hel"),
        audio(id="audio_1", data=b64(samples(0, 3000))),
        audio(transcript="lo", data=b64(samples(3000, 6000))),
        audio(expires_at=1_800_000_000),
        stop(),
    ),
    "row-03-format-wrong": lambda _: stream(
        audio(data=b64(sound("wav")[:3000])), audio(data=b64(sound("wav")[3000:])), stop()
    ),
    "row-04-pcm-type-lost": lambda _: stream(
        audio(data=b64(samples(0, 3000)), transcript=""),
        audio(data=b64(samples(3000, 6000)), transcript=""),
        stop(),
    ),
    "row-05-part-list": lambda _: stream(
        chunk(
            {
                "content": [
                    {"type": "text", "text": "Both: "},
                    {"type": "image_url", "image_url": {"url": data_url(picture())}},
                    {"type": "input_audio", "input_audio": {"data": b64(sound("wav")), "format": "wav"}},
                ]
            }
        ),
        stop(),
    ),
    "row-05-part-https": lambda _: stream(
        chunk({"content": [{"type": "image_url", "image_url": {"url": REMOTE}}]}), stop()
    ),
    "row-05-dict-image": lambda _: stream(
        chunk({"content": {"type": "image", "mime_type": "image/jpeg", "data": b64(photo())}}), stop()
    ),
    "row-05-dict-audio": lambda _: stream(
        chunk({"content": {"type": "audio", "format": "mp3", "data": b64(sound("mp3"))}}), stop()
    ),
    "row-05-dict-video": lambda _: stream(
        chunk({"content": {"type": "video", "video_url": {"url": REMOTE_FILM}}}), stop()
    ),
    "row-06-modality-audio": lambda _: _modality("audio", wav(samples(0, 3000)), wav(samples(3000, 6000))),
    "row-06-modality-image": lambda _: _modality("image", picture()),
    "row-07-bare-data-url": lambda _: stream(text(f"Here: {data_url(picture())} Done."), stop()),
    "row-07-markdown-image": lambda _: stream(
        text(f"Here: ![a red circle]({data_url(picture())}) Done."), stop()
    ),
    "row-07-split-across-deltas": _split_markdown,
    "row-07-broken-off": lambda _: stream(text(f"Here: {data_url(picture())[:300]}")),
    "row-10-reasoning": lambda _: stream(chunk({"reasoning": "Let me see."}), text("Yes."), stop()),
    "row-10-reasoning-content": lambda _: stream(
        chunk({"content": None, "reasoning_content": "Let me see."}), text("Yes."), stop()
    ),
    "row-10-reasoning-details": lambda _: stream(
        chunk({"reasoning_details": [{"type": "reasoning.text", "text": "Let me see.", "index": 0}]}),
        chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": " I saw."}]}),
        text("Yes."),
        stop(),
    ),
    "row-11-error-number": lambda _: stream(
        text("A"), chunk({"content": ""}, "error", error=chunks.error_fields(502, "The provider broke off."))
    ),
    "row-11-error-string": lambda _: stream(
        text("A"), sse({"error": {"code": "rate_limit_exceeded", "message": "Slow down."}}), DONE
    ),
    "row-12-usage-empty-choices": lambda _: stream(
        text("A"), chunk({}, "stop"), sse({"choices": [], "usage": USAGE}), DONE
    ),
    "row-12-usage-empty-delta": lambda _: stream(
        text("A"), chunk({}, "stop"), chunk({"content": ""}, usage=USAGE), DONE
    ),
    "row-12-cost-details": lambda _: stream(
        text("A"),
        stop(usage={"prompt_tokens": 5, "cost_details": {"upstream_inference_cost": 0.0012}}),
    ),
    "row-12-absent-after-abort": lambda _: stream(text("A"), end="drop"),
}

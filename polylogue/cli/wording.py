"""How answers and media are put into words for a terminal, the same in every view."""

from __future__ import annotations

import re

from polylogue.client.answers import Answer, Comparison, Medium

# A model's text must not move the cursor, change colours or set the title: all controls but tab and newline go.
_CONTROLS = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")  # and none may reorder what stands beside it

STATUS = {
    "waiting": "waiting",
    "queued": "queued",
    "answering": "answering",
    "finished": "ok",
    "failed": "failed",
    "cancelled": "stopped",
}


def clean(text: str) -> str:
    """`text` without anything that a terminal would obey."""
    return _BIDI.sub("", _CONTROLS.sub("", text.replace("\r\n", "\n")))


def size(number: int | None) -> str:
    if number is None:
        return "size unknown"
    if number < 1000:
        return f"{number} B"
    if number < 1_000_000:
        return f"{number / 1000:.1f} kB"
    return f"{number / 1_000_000:.1f} MB"


def seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def medium(one: Medium, *, link: bool) -> str:
    """One line: type, size, what else is known, and the link."""
    if one.state == "failed":
        return f"{one.media_type} failed: {clean(one.message or 'no reason was given')}"
    if one.state in ("deleted", "expired"):
        return f"{one.media_type} {one.state}"
    if one.state != "stored":
        return f"{one.media_type} {one.state} …"
    words = [clean(one.content_type or one.media_type), size(one.size_bytes)]
    if one.width and one.height:
        words.append(f"{one.width}×{one.height}")
    if one.duration_ms:
        words.append(f"{one.duration_ms / 1000:.1f} s")
    if link and one.url:
        words.append(clean(one.url))
    return "  ".join(words)


def status(answer: Answer) -> str:
    word = STATUS[answer.phase]
    return f"{word}: {clean(answer.message)}" if answer.phase == "failed" and answer.message else word


HEADINGS = ("model", "first token", "duration", "media", "status")


def rows(comparison: Comparison, *, measured: bool) -> list[tuple[str, str, str, str, str]]:
    """The summary. Times are known only to who was there from the start."""

    def since(at_s: float | None) -> str:
        return seconds(at_s - comparison.begun_at_s if measured and at_s is not None else None)

    return [
        (
            clean(answer.model),
            since(answer.first_at_s),
            since(answer.ended_at_s),
            str(sum(one.state == "stored" for one in answer.media.values())),
            status(answer),
        )
        for answer in comparison.answers.values()
    ]

"""What the rows of the table of shapes become."""

from __future__ import annotations

from polylogue.schemas.events import Usage
from polylogue.simulator.case_media import photo, picture, samples, sound
from polylogue.simulator.case_rows import REMOTE, REMOTE_FILM
from polylogue.streams.gateway.audio import wrap_pcm16
from polylogue.streams.gateway.events import MediaRemote, ReasoningDelta, UsageReported
from tests.unit.gateway.cases.expected import (
    BROKEN,
    STOP,
    THOUGHT,
    USAGE,
    A,
    Expected,
    arriving,
    drawn,
    expected,
    failed,
    heard,
    medium,
    noted,
    pcm,
    said,
)

HERE = said("Here.")[0]
WAV = sound("wav")
_IN_TEXT = expected(*said("Here: "), drawn(), *said(" Done."), STOP)

ROWS: dict[str, Expected] = {
    "row-01-delta-image": expected(HERE, drawn(), STOP),
    "row-01-https": expected(MediaRemote("image", REMOTE), STOP),
    "row-01-bare-base64": expected(medium(picture(), None), STOP),
    "row-01-no-type": expected(drawn(), STOP),
    "row-02-message-images": expected(HERE, drawn(), STOP),
    "row-02-message-repeats-deltas": expected(HERE, drawn(), STOP),
    "row-03-delta-audio": expected(
        *said("Hel"), *arriving(3000), *said("lo"), *arriving(3000), pcm(), STOP, audio_format="pcm16"
    ),
    "row-03-format-wrong": expected(
        *arriving(3000, len(WAV) - 3000), heard(WAV, None), STOP, audio_format="pcm16"
    ),
    "row-04-pcm-type-lost": expected(*arriving(3000, 3000), pcm(), STOP),
    "row-05-part-list": expected(*said("Both: "), drawn(), heard(WAV), STOP),
    "row-05-part-https": expected(MediaRemote("image", REMOTE), STOP),
    "row-05-dict-image": expected(medium(photo(), "image/jpeg"), STOP),
    "row-05-dict-audio": expected(heard(sound("mp3"), "audio/mpeg"), STOP),
    "row-05-dict-video": expected(MediaRemote("video", REMOTE_FILM), STOP),
    "row-06-modality-audio": expected(*arriving(3044, 3044), heard(wrap_pcm16(samples(0, 6000)), None), STOP),
    "row-06-modality-image": expected(medium(picture(), None), STOP),
    "row-07-bare-data-url": _IN_TEXT,
    "row-07-markdown-image": _IN_TEXT,
    "row-07-split-across-deltas": _IN_TEXT,
    "row-07-broken-off": expected(
        *said("Here: "),
        noted("picture_cut_off", "A picture in the text broke off with the answer and was not kept."),
        failed("truncated", "The answer broke off before its end."),
    ),
    "row-10-reasoning": expected(*THOUGHT),
    "row-10-reasoning-content": expected(*THOUGHT),
    "row-10-reasoning-details": expected(
        ReasoningDelta("Let me see."), ReasoningDelta(" I saw."), *THOUGHT[1:]
    ),
    "row-11-error-number": expected(A, failed("upstream", "The provider broke off.")),
    "row-11-error-string": expected(A, failed("rate_limited", "Slow down.")),
    "row-12-usage-empty-choices": expected(A, USAGE, STOP),
    "row-12-usage-empty-delta": expected(A, USAGE, STOP),
    "row-12-cost-details": expected(A, UsageReported(Usage(prompt_tokens=5), 1200), STOP),
    "row-12-absent-after-abort": expected(A, BROKEN),
}

"""What the cases of the other endpoints become."""

from __future__ import annotations

from polylogue.schemas.events import Usage
from polylogue.simulator.case_endpoints import EXPIRES_AT, FILM_PATH, REMOTE, REMOTE_FILM
from polylogue.simulator.case_media import SVG, picture, sound
from polylogue.streams.gateway.events import (
    BadMedia,
    GatewayEvent,
    JobStarted,
    MediaRemote,
    UpstreamError,
    UsageReported,
)
from tests.unit.gateway.cases.expected import (
    STOP,
    TOKENS,
    Expected,
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

_UNFINISHED = noted("image_unfinished", "The model began a picture and did not finish it.")


def _job(*events: GatewayEvent, case: str) -> Expected:
    def made(origin: str) -> list[GatewayEvent]:
        job_id = f"case.{case}.1"
        return [JobStarted("video", job_id, f"{origin}/api/v1/videos/{job_id}"), *events]

    return Expected(made)


def _film(case: str, **more: object) -> Expected:
    return _job(MediaRemote("video", REMOTE_FILM, **more), STOP, case=case)  # type: ignore[arg-type]


def _no_film(case: str, message: str) -> Expected:
    return _job(BadMedia("video", "video_failed", message), failed("upstream", message), case=case)


def _own_origin(case: str, path: str) -> Expected:
    def made(origin: str) -> list[GatewayEvent]:
        job_id = f"case.{case}.1"
        url = f"{origin}{path.format(job=job_id)}"
        job = JobStarted("video", job_id, f"{origin}/api/v1/videos/{job_id}")
        return [job, MediaRemote("video", url, needs_key=True), STOP]

    return Expected(made)


ENDPOINTS: dict[str, Expected] = {
    "row-08-partials-then-result": expected(*said("Here."), drawn(), TOKENS, STOP),
    "row-08-two-items-interleaved": expected(drawn(2), drawn(1), TOKENS, STOP),
    "rec-code-interpreter-image": expected(*said("Plotted."), drawn(), TOKENS, STOP),
    "rec-result-repeated": expected(drawn(), TOKENS, STOP),
    "rec-generating-never-completes": expected(*said("Wait."), _UNFINISHED, TOKENS, STOP),
    "rec-result-few-bytes": expected(
        BadMedia("image", "unsupported", "The model sent a few bytes that are no medium."),
        *said("Sorry."),
        TOKENS,
        STOP,
    ),
    "row-09-partials-then-completed": expected(drawn(), TOKENS, STOP),
    "row-09-buffered-json": expected(medium(picture(), None), TOKENS, STOP),
    "row-09-svg-as-text": expected(medium(SVG.encode(), "image/svg+xml"), STOP),
    "image-svg-in-b64-json": expected(medium(SVG.encode(), "image/svg+xml"), TOKENS, STOP),
    "base64-nested-data-url": expected(drawn(), TOKENS, STOP),
    "rec-image-media-type-item": expected(drawn(1), medium(picture(2), "image/webp"), STOP),
    "rec-image-output-format-top": expected(drawn(), STOP),
    "rec-image-url-mime-type": expected(MediaRemote("image", REMOTE, "image/png"), STOP),
    "rec-speech-events": expected(*in_pieces(1000, 6000), pcm(), TOKENS, STOP, audio_format="pcm16"),
    "rec-transcript-events": expected(*said("Hel", "lo"), TOKENS, STOP),
    "speech-raw-body": expected(heard(sound("mp3"), "audio/mpeg"), STOP, audio_format="mp3"),
    "speech-raw-samples": expected(pcm(), STOP, audio_format="mp3"),
    "video-relative-polling-url": _film("video-relative-polling-url"),
    "video-states": _job(
        MediaRemote("video", REMOTE_FILM), UsageReported(Usage(), 1200), STOP, case="video-states"
    ),
    "video-unknown-state": _film("video-unknown-state"),
    "video-never-ends": _job(
        BadMedia("video", "video_failed", "The film was not finished in time."),
        UpstreamError("timeout", "The film was not finished in time.", retryable=True),
        case="video-never-ends",
    ),
    "video-failed": _no_film("video-failed", "No film."),
    "video-cancelled": _no_film("video-cancelled", "The video job was cancelled by the provider."),
    "video-expired": _no_film("video-expired", "The video job expired at the provider."),
    "video-poll-refused-for-a-moment": _film("video-poll-refused-for-a-moment"),
    "video-unsigned-own-origin": _own_origin("video-unsigned-own-origin", FILM_PATH),
    "video-unsigned-other-origin": _film("video-unsigned-other-origin"),
    "video-signed-urls": _film("video-signed-urls", expires_at_s=float(EXPIRES_AT)),
    "video-no-url": _own_origin("video-no-url", "/api/v1/videos/{job}/content"),
    "rec-video-completed": _film("rec-video-completed", declared_content_type="video/mp4"),
    "rec-video-done": _film("rec-video-done"),
    "rec-video-succeeded": _film("rec-video-succeeded"),
    "rec-video-202": _film("rec-video-202"),
    "rec-video-request-id": _film("rec-video-request-id"),
}

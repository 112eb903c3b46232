"""Reads what a video endpoint says about a job, in any of its forms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from polylogue.streams.gateway import errors
from polylogue.streams.gateway.chat_fields import listed
from polylogue.streams.gateway.events import UpstreamError, UsageReported
from polylogue.streams.gateway.usage import usage_of

_DONE = frozenset({"completed", "complete", "done", "succeeded", "success"})
_FAILED = frozenset({"failed", "cancelled", "canceled", "expired"})
# Signed ones first, because they need no key; all of them name the same films.
_PLACES = ("video", "videos", "urls", "unsigned_urls", "output", "data", "url")


class FilmUrl(msgspec.Struct, frozen=True):
    url: str
    content_type: str | None
    signed: bool


class JobView(msgspec.Struct, frozen=True):
    """What is known of the job by one answer. An unknown state counts as pending: the deadline ends that."""

    state: Literal["pending", "done", "failed"]
    job_id: str | None
    polling_url: str | None
    films: tuple[FilmUrl, ...]
    expires_at_s: float | None
    error: UpstreamError | None
    usage: UsageReported | None


def read_job(document: Any, *, http_status: int = 200) -> JobView:
    job = document if isinstance(document, dict) else {}
    films = tuple(_films(job))
    word = job.get("status") or job.get("state")
    word = word.lower() if isinstance(word, str) else ""
    state: Literal["pending", "done", "failed"] = "pending"
    if word in _FAILED or (not word and errors.is_error(job)):
        state = "failed"
    elif http_status != 202 and (word in _DONE or (not word and films)):
        state = "done"
    return JobView(
        state=state,
        job_id=_first_text(job, "id", "request_id", "job_id"),
        polling_url=_first_text(job, "polling_url", "status_url"),
        films=films,
        expires_at_s=_seconds(job.get("expires_at")),
        error=_error(job, word) if state == "failed" else None,
        usage=usage_of(job, None),
    )


def _films(job: dict[str, Any]) -> Iterator[FilmUrl]:
    for place in _PLACES:
        found = [film for entry in listed(job.get(place)) for film in _film(entry, signed=place == "urls")]
        if found:
            yield from found
            return


def _film(entry: Any, *, signed: bool) -> Iterator[FilmUrl]:
    content_type = None
    if isinstance(entry, dict):
        named = entry.get("mime_type") or entry.get("content_type")
        content_type = named if isinstance(named, str) else None
        entry = entry.get("url")
    if isinstance(entry, str) and entry:
        yield FilmUrl(entry, content_type, signed)


def _error(job: dict[str, Any], word: str) -> UpstreamError:
    if errors.is_error(job):
        return errors.from_document(job)
    said = {"expired": "expired at the provider", "failed": "failed at the provider"}
    return UpstreamError(
        "upstream", f"The video job {said.get(word, 'was cancelled by the provider')}.", retryable=True
    )


def _first_text(job: dict[str, Any], *names: str) -> str | None:
    return next((job[name] for name in names if isinstance(job.get(name), str) and job[name]), None)


def _seconds(value: Any) -> float | None:
    """Unix time, in seconds or milliseconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return None
    return value / 1000 if value >= errors.EPOCH_MILLISECONDS else float(value)

"""The monthly estimate: from assumptions and prices to lines whose sum is the bill. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from polylogue.infra.costs.prices import Prices

MB_IN_GB = 1000
MONTH_DAYS = 30
PART_MB = 8.388608  # what one request of a multipart upload carries
SINGLE_PUT_MB = 5.24288
FILMS_MOVE_AFTER_DAYS = 30
S3_METRICS = 16  # how many request metrics S3 keeps for a bucket that is watched


class AssumptionsError(Exception):
    """The assumptions do not fit together; the message is one sentence."""


class Assumptions(msgspec.Struct, frozen=True, kw_only=True):
    """Raises AssumptionsError. Files are originals; renditions come on top."""

    users: float = 1000
    files_per_user: float = 10
    image_share: float = 0.5
    audio_share: float = 0.3
    video_share: float = 0.2
    image_mb: float = 2
    audio_mb: float = 5
    video_mb: float = 20
    renditions_mb: float = 0.15  # of one file, on average: WebP and thumbnail, poster, or waveform
    renditions_per_file: float = 1.5
    views_per_file: float = 3
    old_film_views: float = 0.1  # of the views of films: after they have moved to the cheaper class
    cache_hits: float = 0.5  # of the views: served by the CDN without asking the bucket
    lifecycle_days: float = 90
    cdn: bool = True
    free_tiers: bool = True
    alarms: float = 2

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) < 0:
                raise AssumptionsError(f"{name} cannot be below zero.")
        if not math.isclose(self.image_share + self.audio_share + self.video_share, 1, abs_tol=1e-6):
            raise AssumptionsError("image_share, audio_share and video_share have to add up to 1.")
        for name in ("cache_hits", "old_film_views"):
            if getattr(self, name) > 1:
                raise AssumptionsError(f"{name} cannot be above 1.")
        if self.lifecycle_days < 1:
            raise AssumptionsError("lifecycle_days cannot be below 1.")

    @property
    def average_mb(self) -> float:
        return (
            self.image_share * self.image_mb
            + self.audio_share * self.audio_mb
            + self.video_share * self.video_mb
        )


@dataclass(frozen=True)
class Line:
    what: str
    quantity: float
    unit: str
    price: float  # for one unit
    usd: float


@dataclass(frozen=True)
class Estimate:
    files: float  # a month
    uploaded_gb: float  # a month
    stored_gb: float  # once uploads and expiry are in balance
    lines: tuple[Line, ...]

    @property
    def total_usd(self) -> float:
        return sum(line.usd for line in self.lines)


def estimate(given: Assumptions, prices: Prices) -> Estimate:
    """A month in which as much expires as is uploaded."""
    files = given.users * given.files_per_user
    films = files * given.video_share
    uploaded_gb = files * (given.average_mb + given.renditions_mb) / MB_IN_GB
    film_gb = films * given.video_mb / MB_IN_GB
    months = given.lifecycle_days / MONTH_DAYS
    # Only originals move. What expires soon after is paid for as if it had stayed a month.
    moving = given.lifecycle_days > FILMS_MOVE_AFTER_DAYS
    months_after_move = months - FILMS_MOVE_AFTER_DAYS / MONTH_DAYS if moving else 0.0
    stored_gb = uploaded_gb * months
    standard_gb = stored_gb - film_gb * months_after_move
    infrequent_gb = film_gb * max(1.0, months_after_move) if moving else 0.0
    views = files * given.views_per_file
    out_gb = views * given.average_mb / MB_IN_GB
    misses = 1 - given.cache_hits if given.cdn else 1.0
    old_views = films * given.views_per_file * given.old_film_views if moving else 0.0
    old_film_gb = old_views * misses * given.video_mb / MB_IN_GB
    lines = [
        _line("Storage, standard", standard_gb, "GB", prices.storage_gb_month),
        _line("Storage, infrequent access", infrequent_gb, "GB", prices.storage_ia_gb_month),
        _line("Uploads", _put_requests(given, files), "PUT", prices.put_per_1000 / 1000),
        _line("Films moved", films if moving else 0, "objects", prices.transition_per_1000 / 1000),
        _line("Films read after the move", old_film_gb, "GB", prices.retrieval_ia_gb),
        _line("Reads from the bucket", views * misses, "GET", prices.get_per_1000 / 1000),
    ]
    if given.cdn:
        lines += [
            _line("CDN, transfer out", out_gb, "GB", prices.cdn_out_gb, _free(given, prices.cdn_out_free_gb)),
            _line(
                "CDN, requests",
                views,
                "HTTPS",
                prices.cdn_requests_per_10000 / 10_000,
                _free(given, prices.cdn_requests_free),
            ),
        ]
    else:
        lines += [
            _line("S3, transfer out", out_gb, "GB", prices.s3_out_gb, _free(given, prices.s3_out_free_gb)),
            _line(
                "Request metrics",
                S3_METRICS if given.alarms else 0,
                "metrics",
                prices.request_metric_month,
            ),
        ]
    lines.append(_line("Alarms", given.alarms, "alarms", prices.alarm_month))
    return Estimate(files, uploaded_gb, stored_gb, tuple(lines))


def _free(given: Assumptions, amount: float) -> float:
    return amount if given.free_tiers else 0.0


def _line(what: str, quantity: float, unit: str, price: float, free: float = 0.0) -> Line:
    name = f"{what}, {free:,.0f} {unit} of it free" if free else what
    return Line(name, quantity, unit, price, max(0.0, quantity - free) * price)


def _put_requests(given: Assumptions, files: float) -> float:
    kinds = (
        (given.image_share, given.image_mb),
        (given.audio_share, given.audio_mb),
        (given.video_share, given.video_mb),
    )
    return files * (sum(share * _puts(mb) for share, mb in kinds) + given.renditions_per_file)


def _puts(size_mb: float) -> float:
    """A large file is begun, sent in parts and completed; each is a request of its own."""
    return 1 if size_mb < SINGLE_PUT_MB else 2 + math.ceil(size_mb / PART_MB)

"""The prices file: what AWS asks for each unit, and the day on which that was so."""

from __future__ import annotations

import datetime as dt
from importlib.resources import files
from pathlib import Path

import msgspec


class PricesError(Exception):
    """The prices cannot be used; the message is one sentence that names the file and the key."""


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars; a GB is 10⁹ bytes, a month 30 days. Free amounts are of each month."""

    storage_gb_month: float
    storage_ia_gb_month: float
    put_per_1000: float
    get_per_1000: float
    transition_per_1000: float
    retrieval_ia_gb: float
    s3_out_gb: float
    s3_out_free_gb: float
    cdn_out_gb: float
    cdn_out_free_gb: float
    cdn_requests_per_10000: float
    cdn_requests_free: float
    alarm_month: float
    request_metric_month: float

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is below zero")


class PriceList(msgspec.Struct, frozen=True, kw_only=True):
    as_of: dt.date
    region: str
    currency: str
    source: str
    prices: Prices


def read_prices(path: Path | None = None) -> PriceList:
    """The list that comes with the program, or another of the same form. Raises PricesError."""
    try:
        content = (
            path.read_bytes() if path else files("polylogue.infra.costs").joinpath("prices.json").read_bytes()
        )
    except OSError as error:
        raise PricesError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return msgspec.json.decode(content, type=PriceList)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PricesError(f"{path} is not a list of prices: {error}.") from error

"""What is known of projections as JSON: the same from the command line and from the API."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from polylogue.projections.operations import Listed, PartitionLag, Progress, Verified, VersionStatus


def listed(one: Listed) -> dict[str, Any]:
    return _plain(asdict(one))


def status(one: VersionStatus) -> dict[str, Any]:
    described = asdict(one) | {
        "partitions": [_partition(partition) for partition in one.partitions],
        "skips": [_plain(asdict(skip)) for skip in one.skips],
        "events_per_s": round(one.events_per_s, 1),
        "eta_s": None if one.eta_s is None else round(one.eta_s, 1),
        "lag_s": None if one.lag_s is None else round(one.lag_s, 3),
    }
    described["lag"] = described.pop("lag_records")
    return _plain(described)


def progress(one: Progress) -> dict[str, Any]:
    return asdict(one) | {
        "events_per_s": round(one.events_per_s, 1),
        "eta_s": None if one.eta_s is None else round(one.eta_s, 1),
        "next_offsets": {str(partition): offset for partition, offset in one.next_offsets.items()},
    }


def verified(one: Verified) -> dict[str, Any]:
    position = {str(partition): offset for partition, offset in one.position.items()}
    return asdict(one) | {"equal": one.equal, "position": position}


def _partition(one: PartitionLag) -> dict[str, Any]:
    return asdict(one) | {"lag": one.records}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _time(value) if isinstance(value, datetime) else value for name, value in values.items()}


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

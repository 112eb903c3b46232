"""Reads QUOTAS_FILE: tiers and who has which, in TOML or JSON. A bad one is one sentence that names the line or key."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import msgspec

from polylogue.infra.settings import Settings, SettingsError
from polylogue.media.quotas import Quotas, Tier


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    default: str
    tiers: dict[str, Tier]
    owners: dict[str, str] = {}


def quotas_of(settings: Settings) -> Quotas | None:
    """None where there are no quotas. Raises SettingsError."""
    if settings.quotas_file is None:
        return None
    settings.require("database_url")  # what is used is counted there
    return read_quotas(settings.quotas_file)


def read_quotas(path: Path) -> Quotas:
    """Raises SettingsError."""
    refusal = f"QUOTAS_FILE cannot be used: {path}"
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise SettingsError(f"{refusal}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{refusal} is not UTF-8 at byte {error.start}.") from error
    try:
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f"{refusal}: {error}.") from error
    try:
        file = msgspec.convert(content, _File)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{refusal}: {error}.") from error
    for key, name in (
        ("default", file.default),
        *((f"owners.{owner}", tier) for owner, tier in file.owners.items()),
    ):
        if name not in file.tiers:
            raise SettingsError(f"{refusal}: {key} names the tier {name}, and there is none in tiers.")
    return Quotas(file.default, file.tiers, file.owners)

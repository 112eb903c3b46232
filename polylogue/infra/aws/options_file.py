"""The file in which an installation keeps its choices for AWS, so that no later run forgets one."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

DEFAULT = Path("aws.toml")


class OptionsError(Exception):
    """The file cannot be used; the message is one sentence that names the line or the key."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is not said in the settings already. Key names are those of the file."""

    # What to build for, where the application is not yet set so: signed URLs need a distribution first.
    url_mode: Literal["public", "presigned", "cloudfront-signed"] | None = None
    cdn: bool = False
    origins: tuple[str, ...] = ()
    user: str | None = None  # None: <bucket>-uploader
    with_user: bool = True
    with_key: bool = True
    price_class: str = "PriceClass_100"
    domain: str | None = None
    certificate_arn: str | None = None
    public_key: str | None = None  # a PEM file
    size_alarm_gb: int = 500
    egress_alarm_gb: int = 100
    alarm_topic_arn: str | None = None


@dataclass(frozen=True)
class Chosen:
    options: Options
    public_key_pem: str | None


def read_options(path: Path | None) -> Chosen:
    """Without a path `aws.toml` where there is one. Raises OptionsError."""
    where = path or DEFAULT
    if path is None and not where.exists():
        return Chosen(Options(), None)
    try:
        content: dict[str, Any] = tomllib.loads(where.read_text("utf-8"))
    except OSError as error:
        raise OptionsError(f"{where} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionsError(f"{where} is not TOML: {error}.") from error
    try:
        options = msgspec.convert(content, Options)
    except msgspec.ValidationError as error:
        raise OptionsError(f"{where} cannot be used: {error}.") from error
    if options.public_key is None:
        return Chosen(options, None)
    key = where.parent / options.public_key
    try:
        return Chosen(options, key.read_text("ascii"))
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"{where}: public_key: {key} cannot be read as a PEM file.") from error

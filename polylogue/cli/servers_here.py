"""Where a command finds Kafka, PostgreSQL and S3: where a setting says, else where `polylogue run` has started them here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polylogue.cli.home import home_directory

if TYPE_CHECKING:
    from polylogue.infra.settings import Settings

_SERVERS = {"kafka": "kafka_bootstrap_servers", "postgres": "database_url", "s3": "s3_endpoint_url"}


def not_named(settings: Settings) -> frozenset[str]:
    """The servers that no setting names: `run` starts them."""
    return frozenset(name for name, field in _SERVERS.items() if not _named(settings, field))


def settings_here() -> Settings:
    """The settings, with the servers of this machine in the place of those that none names. Starts nothing, makes
    nothing. Raises SettingsError."""
    from importlib.util import find_spec

    from polylogue.infra.settings import load_settings

    settings, home = load_settings(), home_directory(None)
    local = not_named(settings)
    if not local or not home.exists() or find_spec("psutil") is None:
        return settings
    from polylogue.infra.local.stack import LocalStack, environment

    found = environment(LocalStack(home, services=local).endpoints())
    return load_settings(**{name.lower(): value for name, value in found.items()})


def _named(settings: Settings, field: str) -> bool:
    """Whether a setting says where this server is."""
    if field == "s3_endpoint_url" and {"s3_media_bucket", "aws_access_key_id"} <= settings.model_fields_set:
        return (
            True  # a bucket of AWS, which has no endpoint to name; keys alone may be there for other programs
        )
    return getattr(settings, field) is not None

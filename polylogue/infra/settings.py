"""Every setting, read from the environment and `.env`; a bad or missing one is one sentence that names it."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AnyHttpUrl, Field, PostgresDsn, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

_ORIGINS = r"^(\s*https?://[^\s/@,?#]+\s*(,|$))*$"  # scheme://host:port, with commas between them

UrlMode = Literal["public", "presigned", "cloudfront-signed"]


class SettingsError(Exception):
    """A setting is missing or unusable; the message is one sentence that names it and says what to do."""


class Settings(BaseSettings):
    """Names are the environment's, in lower case. Sizes and times carry their unit in the name."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True, frozen=True)

    # Where things are
    kafka_bootstrap_servers: str | None = None
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: Path | None = None
    kafka_topic_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]*$", max_length=100)] = ""
    database_url: PostgresDsn | None = None
    database_schema: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = "polylogue"
    aws_access_key_id: str | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_region: str = "us-east-1"
    s3_media_bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] = "polylogue-media"
    s3_endpoint_url: AnyHttpUrl | None = None
    cloudfront_domain: str | None = None
    cloudfront_key_pair_id: str | None = None
    cloudfront_private_key_file: Path | None = None
    cloudfront_private_key: SecretStr | None = None  # the PEM itself, instead of a file

    # The gateway
    openrouter_api_key: SecretStr | None = None
    openrouter_base_url: AnyHttpUrl = AnyHttpUrl("https://openrouter.ai/api/v1")
    gateway_connect_timeout_s: Annotated[float, Field(gt=0)] = 10
    gateway_first_byte_timeout_s: Annotated[float, Field(gt=0)] = 120
    gateway_idle_timeout_s: Annotated[float, Field(gt=0)] = 60
    gateway_max_line_mb: Annotated[float, Field(gt=0)] | None = (
        None  # 1.4 × MEDIA_MAX_SIZE_MB where it is not set
    )
    gateway_retry_for_s: Annotated[float, Field(ge=0)] = 30
    video_poll_interval_s: Annotated[float, Field(gt=0)] = 10
    video_deadline_s: Annotated[float, Field(gt=0)] = 1800
    response_timeout_s: Annotated[float, Field(gt=0)] = 900

    response_max_text_kb: Annotated[int, Field(gt=0)] = 4096
    response_max_media: Annotated[int, Field(gt=0)] = 32
    response_max_media_mb: Annotated[int, Field(gt=0)] = 640

    title_model: str | None = None

    # Media
    media_max_size_mb: Annotated[int, Field(ge=1, le=1000)] = 100
    media_lifecycle_days: Annotated[int, Field(ge=1)] = 90
    media_url_mode: UrlMode = "presigned"
    media_url_life_s: Annotated[int, Field(ge=60, le=604_800)] = 3600
    media_proxy: bool = False
    openai_media: Literal["url", "data"] = "url"
    media_downloads_at_once: Annotated[int, Field(ge=1, le=1000)] = 16
    media_deadline_s: Annotated[float, Field(gt=0)] = 600
    enable_media_responses: bool = True
    media_fetch_allow: Annotated[str, Field(pattern=_ORIGINS)] = ""
    media_fetch_timeout_s: Annotated[float, Field(gt=0)] = 300
    media_sweep_interval_s: Annotated[float, Field(gt=0)] = 60
    media_remove_after_s: Annotated[float, Field(ge=0)] = 900
    media_upload_abort_after_s: Annotated[float, Field(gt=0)] = 7200
    media_validation_processes: Annotated[int, Field(ge=1, le=64)] = 2
    media_validation_timeout_s: Annotated[float, Field(gt=0)] = 20
    media_validation_memory_mb: Annotated[int, Field(ge=16)] = 1024
    media_max_megapixels: Annotated[float, Field(gt=0)] = 40
    media_max_frames: Annotated[int, Field(ge=1)] = 1000

    # The pipeline
    text_coalesce_ms: Annotated[float, Field(ge=0, le=1000)] = 5
    runner_drain_s: Annotated[float, Field(ge=0)] = 30
    runner_max_responses: Annotated[int, Field(ge=1)] = 200
    kafka_session_timeout_ms: Annotated[int, Field(ge=6000)] = 10_000
    watchdog_s: Annotated[float, Field(gt=0)] = 60

    # Webhooks
    webhook_url: AnyHttpUrl | None = None
    webhook_secret: SecretStr | None = None
    webhook_allowed_hosts: str = ""
    webhook_deadline_s: Annotated[float, Field(gt=0)] = 3600

    # The API
    web_dir: Path | None = (
        None  # the built web UI; where it is not named, that of the package or of the checkout
    )
    sse_keepalive_s: Annotated[float, Field(gt=0)] = 15
    command_timeout_s: Annotated[float, Field(gt=0)] = 5
    attachment_max_count: Annotated[int, Field(ge=0, le=32)] = 8
    attachment_max_mb: Annotated[int, Field(ge=1, le=50)] = 10
    attachment_max_total_mb: Annotated[int, Field(ge=1, le=100)] = 20

    # Who may use the API
    auth: Literal["local", "keys"] | None = None  # where it is not set: local on a loopback HOST, else keys
    session_life_h: Annotated[float, Field(gt=0, le=24 * 400)] = 168
    cors_origins: Annotated[str, Field(pattern=_ORIGINS)] = ""
    limit_requests_per_minute: Annotated[int, Field(ge=0)] = 600  # 0: no limit, here and below
    limit_address_requests_per_minute: Annotated[int, Field(ge=0)] = 1200
    limit_streams: Annotated[int, Field(ge=0)] = 100
    limit_address_streams: Annotated[int, Field(ge=0)] = 500
    limit_mb_per_minute: Annotated[int, Field(ge=0)] = 200
    request_header_timeout_s: Annotated[float, Field(gt=0)] = 10
    request_body_timeout_s: Annotated[float, Field(gt=0)] = 30

    # Quotas
    quotas_file: Path | None = None

    # Processes
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0  # 0: none; the API serves its own under /metrics
    polylogue_home: Path = Path(".polylogue")
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def gateway_max_line_bytes(self) -> int:
        """The longest line of an answer: base64 is a third longer than its medium, and there is JSON around it."""
        return int((self.gateway_max_line_mb or 1.4 * self.media_max_size_mb) * 1024 * 1024)

    @property
    def auth_mode(self) -> Literal["local", "keys"]:
        """`local`: everybody who reaches this machine is its one user, so that it is for this machine alone."""
        return self.auth or ("local" if self._on_loopback else "keys")

    @property
    def _on_loopback(self) -> bool:
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def check_auth(self) -> None:
        """Raises SettingsError where anybody on the network could do everything."""
        if self.auth == "local" and not self._on_loopback:
            raise SettingsError("AUTH cannot be local where HOST is not this machine alone; set it to keys.")

    def check_url_mode(self) -> None:
        """Raises SettingsError where the way of making URLs lacks something."""
        if self.media_url_mode != "cloudfront-signed":
            return
        self.require("cloudfront_domain", "cloudfront_key_pair_id")
        if self.cloudfront_private_key is None:
            self.require("cloudfront_private_key_file")

    def require(self, *names: str) -> None:
        """Raises SettingsError for the first of `names` that is not set."""
        for name in names:
            if getattr(self, name) is None:
                raise SettingsError(f"{name.upper()} is not set; set it in the environment or in .env.")


def load_settings(**overrides: object) -> Settings:
    """Reads the settings. Raises SettingsError with one sentence for the first one that cannot be used."""
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]  # values are validated, whatever their type
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{name} cannot be used: {first['msg']}.") from None
    settings.check_url_mode()
    settings.check_auth()
    return settings

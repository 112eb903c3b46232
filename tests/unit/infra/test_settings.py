"""A bad or missing setting is one sentence that names it, and never its value."""

from __future__ import annotations

from pathlib import Path

import pytest

from polylogue.infra.settings import Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MEDIA_MAX_SIZE_MB", "many"),
        ("MEDIA_MAX_SIZE_MB", "0"),
        ("MEDIA_URL_MODE", "open"),
        ("DATABASE_URL", "mysql://polylogue:canary@db/x"),
        ("DATABASE_URL", "canary"),
        ("DATABASE_SCHEMA", 'x"; drop'),
        ("S3_ENDPOINT_URL", "canary"),
        ("S3_MEDIA_BUCKET", "Upper_Case"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("KAFKA_TOPIC_PREFIX", "a b"),
        ("PORT", "99999"),
        ("ENABLE_MEDIA_RESPONSES", "perhaps"),
        ("KAFKA_SESSION_TIMEOUT_MS", "100"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    sentence = str(caught.value)
    assert sentence.startswith(f"{name} cannot be used: ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "canary" not in sentence
    assert caught.value.__cause__ is None


def test_a_missing_value_is_one_sentence_that_names_the_setting_and_the_remedy() -> None:
    with pytest.raises(
        SettingsError, match=r"^DATABASE_URL is not set; set it in the environment or in \.env\.$"
    ):
        load_settings(kafka_bootstrap_servers="k:9092").require("kafka_bootstrap_servers", "database_url")


def test_an_empty_value_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", "")
    monkeypatch.setenv("MEDIA_MAX_SIZE_MB", "")
    settings = load_settings()
    assert settings.s3_endpoint_url is None
    assert settings.media_max_size_mb == 100


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=8001\nLOG_LEVEL=debug\nSOMETHING_ELSE=1\n", encoding="utf-8")
    monkeypatch.setenv("PORT", "8002")
    settings = load_settings()
    assert (settings.port, settings.log_level) == (8002, "debug")


def test_secrets_do_not_show_in_a_representation() -> None:
    settings = load_settings(
        openrouter_api_key="canary", aws_secret_access_key="canary", kafka_sasl_password="canary"
    )
    assert "canary" not in repr(settings) + str(settings)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError):
        load_settings().port = 1

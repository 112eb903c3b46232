"""URLs of media: unsigned ones for events, and what a reader is given."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import Settings, load_settings
from polylogue.media import urls
from polylogue.media.urls import UrlSigner, public_url, url_for_read
from tests.support.clock import Clock

KEY = "media/image/c/sim%2Fpainter/20260102_m.png"


def settings(**values: object) -> Settings:
    return load_settings(
        **{
            "_env_file": None,
            "s3_endpoint_url": None,
            "aws_access_key_id": "AKID",
            "aws_secret_access_key": "secret",
        }
        | values
    )


@pytest.mark.parametrize(
    ("values", "start"),
    [
        ({}, "https://polylogue-media.s3.us-east-1.amazonaws.com/"),
        ({"aws_region": "cn-north-1"}, "https://polylogue-media.s3.cn-north-1.amazonaws.com.cn/"),
        ({"s3_media_bucket": "my.media"}, "https://s3.us-east-1.amazonaws.com/my.media/"),
        ({"s3_endpoint_url": "http://127.0.0.1:19000"}, "http://127.0.0.1:19000/polylogue-media/"),
        ({"cloudfront_domain": "d1.cloudfront.net"}, "https://d1.cloudfront.net/"),
        ({"cloudfront_domain": "https://d1.cloudfront.net/"}, "https://d1.cloudfront.net/"),
    ],
)
def test_the_public_url_follows_the_settings(values: dict[str, object], start: str) -> None:
    assert public_url(settings(**values), KEY) == start + "media/image/c/sim%252Fpainter/20260102_m.png"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signer(clock: Clock) -> Iterator[UrlSigner]:
    configured = settings(media_url_life_s=600, s3_endpoint_url="http://127.0.0.1:1")
    client = create_s3_client(configured)
    yield UrlSigner(configured, client, clock=clock)
    client.close()


def test_a_signed_url_names_its_life_and_not_the_secret(signer: UrlSigner) -> None:
    url = urlsplit(signer.sign(KEY))
    assert url.path == "/polylogue-media/media/image/c/sim%252Fpainter/20260102_m.png"
    assert parse_qs(url.query)["X-Amz-Expires"] == ["600"]
    assert "secret" not in url.geturl()


def test_a_url_is_signed_anew_when_half_of_its_life_is_over(
    signer: UrlSigner, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def sign(*_: object, **__: object) -> str:
        made.append(f"url-{len(made)}")
        return made[-1]

    monkeypatch.setattr(signer._client, "generate_presigned_url", sign)
    assert signer.sign(KEY) == "url-0"
    clock.now = 299
    assert signer.sign(KEY) == "url-0"
    clock.now = 300
    assert signer.sign(KEY) == "url-1"


def test_the_signer_keeps_a_bounded_number_of_urls(
    signer: UrlSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urls, "SIGNED_URLS_KEPT", 2)
    for key in ("a", "b", "c"):
        signer.sign(key)
    assert list(signer._signed) == ["b", "c"]


def test_readers_get_the_public_url_in_public_mode_only(signer: UrlSigner) -> None:
    public = settings(media_url_mode="public")
    assert url_for_read(public, signer, KEY) == public_url(public, KEY)
    assert "X-Amz-Signature=" in url_for_read(settings(media_url_mode="presigned"), signer, KEY)

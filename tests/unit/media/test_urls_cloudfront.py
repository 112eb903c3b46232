"""URLs that CloudFront opens: its own rules for the policy, checked with the public half of the key."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import Settings, SettingsError, load_settings
from polylogue.media.urls import UrlSigner, public_url, url_for_read
from polylogue.media.urls_cloudfront import CloudFrontUrls, private_key

KEY = "media/image/c/sim%2Fpainter/20260102_m.png"
NOW = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def settings(**values: object) -> Settings:
    return load_settings(
        **{
            "_env_file": None,
            "s3_endpoint_url": "http://127.0.0.1:1",
            "aws_access_key_id": "AKID",
            "aws_secret_access_key": "secret",
            "media_url_mode": "cloudfront-signed",
            "cloudfront_domain": "d1.cloudfront.net",
            "cloudfront_key_pair_id": "K2JCJMDEHXQW5F",
            "media_url_life_s": 600,
        }
        | values
    )


def unsafe_decoded(text: str) -> bytes:
    """CloudFront's own alphabet: what base64 has and a URL has not."""
    return base64.b64decode(text.replace("-", "+").replace("_", "=").replace("~", "/"))


def test_the_signature_is_one_of_the_canned_policy_that_the_public_key_verifies(
    rsa_key: rsa.RSAPrivateKey,
) -> None:
    configured = settings(cloudfront_private_key=pem_of(rsa_key))
    url = CloudFrontUrls(configured, now=lambda: NOW).sign(KEY)
    bare, query = url.split("?")[0], parse_qs(urlsplit(url).query)
    assert bare == public_url(configured, KEY) == f"https://d1.cloudfront.net/{KEY.replace('%', '%25')}"
    expires = int(NOW.timestamp()) + 600
    assert query["Expires"] == [str(expires)]
    assert query["Key-Pair-Id"] == ["K2JCJMDEHXQW5F"]
    assert set(query) == {"Expires", "Signature", "Key-Pair-Id"}
    policy = {"Statement": [{"Resource": bare, "Condition": {"DateLessThan": {"AWS:EpochTime": expires}}}]}
    # Exactly as CloudFront writes it down for itself, without a space.
    said = json.dumps(policy, separators=(",", ":")).encode()
    signature = unsafe_decoded(query["Signature"][0])
    rsa_key.public_key().verify(signature, said, padding.PKCS1v15(), hashes.SHA1())
    later = said.replace(str(expires).encode(), str(expires + 1).encode())
    with pytest.raises(InvalidSignature):
        rsa_key.public_key().verify(signature, later, padding.PKCS1v15(), hashes.SHA1())


def test_a_url_is_given_again_until_half_of_its_life_is_over(rsa_key: rsa.RSAPrivateKey) -> None:
    ticks = iter([0.0, 299.0, 300.0])
    moments = iter([NOW, NOW.replace(minute=35)])
    urls = CloudFrontUrls(
        settings(cloudfront_private_key=pem_of(rsa_key)),
        clock=lambda: next(ticks),
        now=lambda: next(moments),
    )
    first = urls.sign(KEY)
    assert urls.sign(KEY) == first
    assert urls.sign(KEY) != first


def test_switching_mode_or_domain_changes_what_old_keys_return_and_private_ones_stay_with_s3(
    rsa_key: rsa.RSAPrivateKey,
) -> None:
    signed = settings(cloudfront_private_key=pem_of(rsa_key))
    client = create_s3_client(signed)
    signer = UrlSigner(signed, client)

    def read(configured: Settings, key: str = KEY) -> str:
        cdn = CloudFrontUrls(configured) if configured.media_url_mode == "cloudfront-signed" else None
        return url_for_read(configured, signer, key, cdn)

    try:
        assert read(signed).startswith("https://d1.cloudfront.net/media/")
        moved = signed.model_copy(update={"cloudfront_domain": "cdn.example.org"})
        assert read(moved).startswith("https://cdn.example.org/media/")
        public = signed.model_copy(update={"media_url_mode": "public"})
        assert read(public) == public_url(public, KEY)
        presigned = signed.model_copy(update={"media_url_mode": "presigned"})
        assert "X-Amz-Signature=" in read(presigned)
        for configured in (signed, public, presigned):
            private = read(configured, "private/local/t/1.png")
            assert "X-Amz-Signature=" in private
            assert "cloudfront" not in private
    finally:
        client.close()


def test_the_key_comes_from_a_file_or_from_one_line_of_the_environment(
    rsa_key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    path.write_text(pem_of(rsa_key))
    numbers = rsa_key.private_numbers()
    assert private_key(settings(cloudfront_private_key_file=path)).private_numbers() == numbers
    one_line = pem_of(rsa_key).replace("\n", "\\n")
    assert private_key(settings(cloudfront_private_key=one_line)).private_numbers() == numbers


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"cloudfront_domain": None}, "CLOUDFRONT_DOMAIN is not set"),
        ({"cloudfront_key_pair_id": None}, "CLOUDFRONT_KEY_PAIR_ID is not set"),
        ({}, "CLOUDFRONT_PRIVATE_KEY_FILE is not set"),
    ],
)
def test_a_mode_that_lacks_something_stops_the_process_with_one_sentence(
    values: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{sentence}; set it in the environment or in .env.$"):
        settings(**values)


def test_a_key_that_is_none_is_named_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^CLOUDFRONT_PRIVATE_KEY is not a private key in PEM form"):
        private_key(settings(cloudfront_private_key="no key"))
    with pytest.raises(SettingsError, match=r"^CLOUDFRONT_PRIVATE_KEY_FILE cannot be read: No such file"):
        private_key(settings(cloudfront_private_key_file=tmp_path / "nowhere.pem"))
    elliptic = pem_of(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(SettingsError, match=r"^CLOUDFRONT_PRIVATE_KEY is not an RSA key"):
        private_key(settings(cloudfront_private_key=elliptic))


def test_neither_the_key_nor_a_signed_url_is_in_what_settings_say_of_themselves(
    rsa_key: rsa.RSAPrivateKey,
) -> None:
    configured = settings(cloudfront_private_key=pem_of(rsa_key))
    assert "BEGIN" not in repr(configured)

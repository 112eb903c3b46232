"""URLs that CloudFront opens for a while: signed with an RSA key whose public half the distribution trusts."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from botocore.signers import CloudFrontSigner
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from polylogue.infra.settings import Settings, SettingsError
from polylogue.media.urls import SignedUrls, public_url


class CloudFrontUrls(SignedUrls):
    """Canned policy: one object, until one moment. Raises SettingsError where the key cannot be used."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(settings.media_url_life_s, clock)
        settings.check_url_mode()
        key = private_key(settings)
        self._settings = settings
        self._now = now
        self._signer = CloudFrontSigner(
            settings.cloudfront_key_pair_id or "",
            # CloudFront takes no other digest.
            lambda message: key.sign(message, padding.PKCS1v15(), hashes.SHA1()),  # noqa: S303
        )

    def make(self, key: str) -> str:
        until = self._now() + timedelta(seconds=self.life_s)
        url: str = self._signer.generate_presigned_url(public_url(self._settings, key), date_less_than=until)
        return url


def private_key(settings: Settings) -> RSAPrivateKey:
    """The RSA key that URLs are signed with. Raises SettingsError; what is wrong is said, the key is not."""
    name, pem = _pem(settings)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SettingsError(f"{name} is not a private key in PEM form without a password.") from None
    if not isinstance(key, RSAPrivateKey):
        raise SettingsError(f"{name} is not an RSA key; CloudFront's signed URLs need one of 2048 bits.")
    return key


def _pem(settings: Settings) -> tuple[str, bytes]:
    """The setting that holds the key, and the key."""
    inline, path = settings.cloudfront_private_key, settings.cloudfront_private_key_file
    if inline is not None:
        # Environments that hold one line only write its ends as \n.
        return "CLOUDFRONT_PRIVATE_KEY", inline.get_secret_value().replace("\\n", "\n").encode()
    name = "CLOUDFRONT_PRIVATE_KEY_FILE"
    if path is None:
        raise SettingsError(f"{name} is not set; set it in the environment or in .env.")
    try:
        return name, path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{name} cannot be read: {error.strerror}.") from None

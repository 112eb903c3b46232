"""Secrets that open the API: how they are made, written, read and kept. Pure but for the random source.

Every secret has 256 random bits, so that nobody can try them all or make tables of them: a plain SHA-256 protects what
is stored as well as a slow hash would, which is for words that people choose, and costs a microsecond instead of many
milliseconds with each request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

KEY_PREFIX, LINK_PREFIX, TICKET_PREFIX, SESSION_PREFIX = "plg", "plgl", "plgt", "plgs"
_RANDOM = r"[A-Za-z0-9_-]{43}"  # 256 bits in base64url
_KEY = re.compile(rf"plg_([a-z0-9]{{12}})_({_RANDOM})")
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class Key:
    """An API key as its owner holds it: `plg_<key_id>_<secret>`."""

    key_id: str
    secret: str

    @property
    def text(self) -> str:
        return f"{KEY_PREFIX}_{self.key_id}_{self.secret}"

    def __repr__(self) -> str:
        """Without the secret: a repr may end up in a traceback."""
        return f"Key({self.key_id})"


def new_key() -> Key:
    return Key("".join(secrets.choice(_ID_LETTERS) for _ in range(12)), secrets.token_urlsafe(32))


def parse_key(text: str) -> Key | None:
    found = _KEY.fullmatch(text)
    return Key(found[1], found[2]) if found else None


def new_secret(prefix: str) -> str:
    """A link, ticket or session: known by its digest alone."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def is_secret(prefix: str, text: str) -> bool:
    """Whether it is worth a look into the database."""
    return re.fullmatch(rf"{prefix}_{_RANDOM}", text) is not None


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def matches(secret: str, kept: bytes) -> bool:
    """Takes as long however much of it is right."""
    return hmac.compare_digest(digest(secret), kept)

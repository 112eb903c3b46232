"""Finds media that a model writes into its text: a bare data URL, or a markdown picture or link that holds one."""

from __future__ import annotations

import itertools
import re

import msgspec

from polylogue.media.sniff import HEAD_BYTES, sniff
from polylogue.schemas.base import MediaType
from polylogue.streams.gateway.base64_media import decode_base64
from polylogue.streams.gateway.parts import MediaPart

# A long text is looked at in slices, or one full of beginnings would take time that grows with its square.
SLICE = 8192
LONGEST_HEAD = 1024  # more than the patterns below can match: what is longer will not become a medium
SHORTEST_PAYLOAD = 32  # characters; the smallest real pictures are longer, examples in prose are shorter

# In code, in an attribute or within a word it is what the answer is about, not a picture.
_CANDIDATE = re.compile(r"!\[|!\Z|\[|(?<![\w\"'=/.`-])[dD]")
_URL_HEAD = re.compile(
    r"data:(image|audio|video)/[\w.+-]{1,60}(?:;[\w.+=-]{1,60}){0,6};base64,", re.IGNORECASE
)
_URL_BEGUN = re.compile(r"data:(?:image|audio|video)/[\w.+-]{0,60}(?:;[\w.+=-]{0,60}){0,7}", re.IGNORECASE)
_KINDS = ("data:image/", "data:audio/", "data:video/")
_LINK_HEAD = re.compile(r"!?\[[^\]\[\n]{0,200}\]\(<?")
_LINK_BEGUN = re.compile(r"!?(?:\[[^\]\[\n]{0,200}\]?)?")
_AFTER_PAYLOAD = re.compile(r"[^A-Za-z0-9+/=_%-]")
_LINK_END = re.compile(r">?(?:[ \t]+\"[^\"\n]{0,200}\")?[ \t]*\)")
_LINK_END_BEGUN = re.compile(r">?[ \t]*(?:(?<=[ \t])\"[^\"\n]{0,200}(?:\"[ \t]*)?)?")
_ABBREVIATED = ("...", "…")

Piece = str | MediaPart


class _Url(msgspec.Struct):
    """A data URL whose payload is still coming."""

    opening: str  # the markdown before the URL
    head: str
    media_type: MediaType
    payload: list[str]
    size: int = 0

    @property
    def text(self) -> str:
        return self.opening + self.head + "".join(self.payload)


class TextMedia:
    """`add` pieces of text; what may still become a medium is held back, and only as long as it may."""

    def __init__(self, *, max_bytes: int) -> None:
        self._most = max_bytes // 3 * 4 + 1024
        self._held = ""
        self._url: _Url | None = None
        self._before = ""  # the last character that was given out: a URL does not begin within a word

    def add(self, text: str) -> list[Piece]:
        out: list[Piece] = []
        for start in range(0, len(text), SLICE):
            rest, self._held = self._held + text[start : start + SLICE], ""
            while rest:
                rest = self._in_text(rest, out) if self._url is None else self._in_url(self._url, rest, out)
        return _joined(out)

    def flush(self) -> list[Piece]:
        """What may still become a medium but has not begun to be one, when something else follows."""
        out: list[Piece] = []
        if self._url is None:
            self._say(self._held, out)
            self._held = ""
        return out

    def finish(self) -> list[Piece]:
        """The text is at its end."""
        out: list[Piece] = []
        while self._url is not None:
            url, rest = self._url, self._held
            self._url, self._held = None, ""
            out += self.add(self._decide(url, rest, out))
        return _joined(out + self.flush())

    def abandon(self) -> tuple[list[Piece], bool]:
        """The text broke off: half a medium is nothing. Also says whether there was one."""
        cut_off = self._url is not None
        if self._url is not None:
            self._url, self._held = None, ""
        return self.flush(), cut_off

    def _say(self, text: str, out: list[Piece]) -> None:
        if not text:
            return
        self._before = text[-1]
        out.append(text)

    def _in_text(self, text: str, out: list[Piece]) -> str:
        """Gives out what cannot become a medium; returns what follows the head of one."""
        searched = self._before + text
        position = len(self._before)
        while (found := _CANDIDATE.search(searched, position)) is not None:
            start = found.start()
            opened = _LINK_HEAD.match(searched, start)
            head = _URL_HEAD.match(searched, opened.end() if opened else start)
            if head is not None:
                self._say(searched[len(self._before) : start], out)
                kind: MediaType = head[1].lower()  # type: ignore[assignment]  # the pattern knows only these
                self._url = _Url(opened[0] if opened else "", head[0], kind, [])
                return searched[head.end() :]
            if len(searched) - start <= LONGEST_HEAD and _may_become(
                searched[start:], opened.end() - start if opened else None
            ):
                self._held = searched[start:]
                self._say(searched[len(self._before) : start], out)
                return ""
            position = start + 1
        self._say(text, out)
        return ""

    def _in_url(self, url: _Url, text: str, out: list[Piece]) -> str:
        """Collects the payload; returns what follows it, once that is decided."""
        end = _AFTER_PAYLOAD.search(text)
        payload = text if end is None else text[: end.start()]
        if url.size <= self._most:  # beyond that it will be refused, and need not be kept
            url.payload.append(payload)
        url.size += len(payload)
        if end is None:
            return ""
        rest = text[end.start() :]
        if _is_undecided(rest, in_link=bool(url.opening)):
            self._held = rest
            return ""
        self._url = None
        return self._decide(url, rest, out)

    def _decide(self, url: _Url, rest: str, out: list[Piece]) -> str:
        """A medium, or text after all; returns what follows."""
        if rest.startswith(_ABBREVIATED) or not _is_medium("".join(url.payload)):
            self._say(url.text, out)
            return rest
        closing = _LINK_END.match(rest) if url.opening else None
        if closing is None:
            self._say(url.opening, out)
        out.append(MediaPart(url.media_type, url.head + "".join(url.payload)))
        self._before = ""
        return rest[closing.end() :] if closing else rest


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Adjoining text in one."""
    if len(pieces) < 2:
        return pieces
    out: list[Piece] = []
    for is_text, group in itertools.groupby(pieces, lambda piece: isinstance(piece, str)):
        found = list(group)
        out += ["".join(map(str, found))] if is_text else found
    return out


def _may_become(text: str, url_at: int | None) -> bool:
    """Whether more text can make this a data URL, bare or in markdown."""
    if url_at is None and text[0] in "![":
        return _LINK_BEGUN.fullmatch(text) is not None
    url = text[url_at or 0 :]
    if not url and url_at is not None:
        return True
    begun = url.lower()
    return any(kind.startswith(begun) for kind in _KINDS) or _URL_BEGUN.fullmatch(url) is not None


def _is_undecided(rest: str, *, in_link: bool) -> bool:
    if rest in (".", ".."):
        return True
    return in_link and _LINK_END.match(rest) is None and _LINK_END_BEGUN.fullmatch(rest) is not None


def _is_medium(payload: str) -> bool:
    if len(payload) < SHORTEST_PAYLOAD:
        return False
    data = decode_base64(payload[: HEAD_BYTES // 3 * 4].encode())
    return data is not None and sniff(data) is not None

"""Parses JSON whose long strings (pictures in base64) stay bytes: a tenth of the time and a third of the memory."""

from __future__ import annotations

import json
import secrets
from typing import Any

import orjson

from polylogue.streams.gateway.lifted import Lifted, LiftedString

# Below this orjson alone is as quick, and most chunks of a stream are far below it.
SMALL_DOCUMENT_BYTES = 64 * 1024
LIFTED_STRING_BYTES = 16 * 1024
# A long document of very many strings is not a picture; walking it here would be slower than orjson is.
MOST_STRINGS = 4096

_QUOTE = b'"'
_BACKSLASH = 0x5C

LongString = memoryview | LiftedString
"""A string of the document that was not decoded: its UTF-8 bytes, free of escapes, or what stands for them."""


def loads(document: bytes | bytearray, lifted: Lifted | None = None) -> Any:
    """The document's value, where strings of 16 KiB and more may be `LongString`. Raises ValueError. `lifted` was taken
    out of the document; the value is the same, but for the string that it was in."""
    if lifted is not None:
        return _loads_lifted(document, lifted)
    if len(document) < SMALL_DOCUMENT_BYTES:
        return _loads(document)
    mark = _new_mark()
    skeleton, long = _take_out(document, mark)
    return _restore(_loads(skeleton), long, mark) if long else _loads(document)


def _loads_lifted(document: bytes | bytearray, lifted: Lifted) -> Any:
    """Wherever the document as it came would be read in another way, that is done."""
    if len(document) + lifted.missing >= SMALL_DOCUMENT_BYTES:
        mark = _new_mark()
        skeleton, long = _take_out(document, mark, lifted)
        if any(isinstance(string, LiftedString) for string in long):
            return _restore(_loads(skeleton), long, mark)
    return loads(lifted.restored(document))


def _new_mark() -> str:
    return (
        f"long string {secrets.token_hex(8)} "  # not to be guessed, or a document could hold one of its own
    )


def _loads(document: bytes | bytearray) -> Any:
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError:
        # Some gateways cut text inside a surrogate pair or write NaN; the standard library is lenient about both.
        try:
            return json.loads(document)
        except RecursionError as error:
            raise ValueError(str(error)) from None


def _take_out(
    document: bytes | bytearray, mark: str, lifted: Lifted | None = None
) -> tuple[bytes, list[LongString]]:
    """The document with marks in the place of its long strings, and those strings."""
    view = memoryview(document)
    at = -1 if lifted is None else document.find(lifted.mark)
    pieces: list[bytes | memoryview] = []
    long: list[LongString] = []
    copied = 0
    position = 0
    for _ in range(MOST_STRINGS):
        opening = document.find(_QUOTE, position)
        if opening < 0:
            break
        closing = _closing_quote(document, opening)
        if closing < 0:
            return b"", []
        size = closing - opening
        holds = lifted if opening < at < closing else None
        if holds is not None:
            size += holds.missing
        if size > LIFTED_STRING_BYTES and document.find(b"\\", opening, closing) < 0:
            if _is_key(document, closing + 1):
                position = closing + 1
                continue
            pieces += (view[copied : opening + 1], f"{mark}{len(long)}".encode())
            string = view[opening + 1 : closing]
            long.append(string if holds is None else _around(string, at - opening - 1, holds))
            copied = closing
        position = closing + 1
    pieces.append(view[copied:])
    return b"".join(pieces), long


def _around(string: memoryview, at: int, lifted: Lifted) -> LiftedString:
    return LiftedString(bytes(string[:at]), lifted, bytes(string[at + len(lifted.mark) :]))


def _is_key(document: bytes | bytearray, position: int) -> bool:
    while document[position : position + 1].isspace():
        position += 1
    return document[position : position + 1] == b":"


def _closing_quote(document: bytes | bytearray, opening: int) -> int:
    """Where the string ends; -1 when it does not, or is prose with too many quotes in it to be walked here."""
    closing = document.find(_QUOTE, opening + 1)
    for _ in range(MOST_STRINGS):
        if closing < 0:
            break
        backslashes = 0
        while document[closing - 1 - backslashes] == _BACKSLASH:
            backslashes += 1
        if backslashes % 2 == 0:
            return closing
        closing = document.find(_QUOTE, closing + 1)
    return -1


def _restore(root: Any, strings: list[LongString], mark: str) -> Any:
    """The marks replaced; without recursion, because the nesting is the sender's choice."""
    marks = {f"{mark}{number}": long for number, long in enumerate(strings)}
    holder = [root]
    stack: list[Any] = [holder]
    while stack:
        container = stack.pop()
        items = container.items() if isinstance(container, dict) else enumerate(container)
        for key, value in list(items):
            if isinstance(value, str):
                if value.startswith(mark) and value in marks:
                    container[key] = marks[value]
            elif isinstance(value, dict | list):
                stack.append(value)
    return holder[0]

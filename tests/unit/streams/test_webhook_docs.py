"""The examples of docs/webhooks.md do what the page says."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from polylogue.streams.webhook_delivery import signature
from polylogue.streams.webhook_plan import TurnNotice

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def is_genuine() -> Callable[..., bool]:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    return names["is_genuine"]  # type: ignore[no-any-return]


def test_the_example_takes_what_is_signed_and_nothing_else() -> None:
    check, body, now = is_genuine(), b'{"id":"t1.1"}', int(time.time())
    header = signature("secret", body, now)
    assert check(header, body, "secret")
    assert not check(header, body + b" ", "secret")
    assert not check(header, body, "other")
    assert not check(header.replace(f"t={now}", f"t={now + 1}"), body, "secret")
    assert not check(signature("secret", body, now - 301), body, "secret")
    for header in ("", "t=,v1=", "v1=abc", "t=x,v1=abc", f"t={now}", f"t={now},v1=é", "garbage"):
        assert not check(header, body, "secret")


def test_the_body_on_the_page_is_one_that_is_sent() -> None:
    shown = msgspec.json.decode(block("json").encode())
    notice = msgspec.json.decode(block("json").encode(), type=TurnNotice)
    assert msgspec.json.decode(msgspec.json.encode(notice)) == shown
    assert shown.keys() == set(TurnNotice.__struct_fields__)

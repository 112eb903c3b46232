"""The nginx settings that are shipped fit the defaults of the API behind them."""

from __future__ import annotations

import re

from polylogue.api import server, vector
from polylogue.api.attachments import most_body_bytes
from polylogue.infra.settings import Settings
from tests.support.nginx import SHIPPED

DEFAULTS = Settings(_env_file=None)
UNITS = {"k": 1024, "m": 1024 * 1024, "s": 1}


def value(name: str) -> int:
    (number, unit) = re.findall(rf"^\s*{name} (?:\d+ )?(\d+)([kms]);", SHIPPED.read_text(), re.MULTILINE)[0]
    return int(number) * UNITS[unit]


def test_a_stream_may_be_quiet_for_several_keepalives() -> None:
    assert value("proxy_read_timeout") >= 3 * DEFAULTS.sse_keepalive_s


def test_an_idle_connection_is_given_up_by_nginx_first() -> None:
    assert value("keepalive_timeout") < server.IDLE_S


def test_what_is_too_large_is_refused_by_the_api_in_its_own_words() -> None:
    most = most_body_bytes(DEFAULTS)
    assert most < value("client_max_body_size") <= 1.25 * most


def test_the_longest_cursor_fits_into_one_header_line() -> None:
    assert value("large_client_header_buffers") > vector.MOST_CHARACTERS + 1024

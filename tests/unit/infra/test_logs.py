"""No secret reaches the log, wherever a library or an exception has put it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from polylogue.infra.logs import configure_logs, get_logger, redact
from polylogue.infra.settings import load_settings

PRESIGNED = (
    "https://b.s3.amazonaws.com/k.png?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=canary%2F2026&"
    "X-Amz-Security-Token=canary&X-Amz-Signature=canary&x-id=GetObject"
)
SECRETS = [
    PRESIGNED,
    "https://b.s3.amazonaws.com/k?AWSAccessKeyId=canary&Signature=canary&Expires=1",
    "https://d1.cloudfront.net/k?Policy=canary&Signature=canary&Key-Pair-Id=canary",
    "Authorization: Bearer canary",
    "authorization: bearer canary.canary-canary",
    "{'Authorization': 'Bearer canary'}",
    "postgresql://polylogue:canary@127.0.0.1:5432/x",
    "postgresql://polylogue:canary:canary@127.0.0.1:5432/x",
    "redis://:canary@127.0.0.1/0",
    "could not reach postgresql://polylogue:canary@a/x nor https://user:canary@b/",
]


@pytest.fixture(autouse=True)
def logs_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def fail(secret: str) -> None:
    raise ConnectionError(secret)


@pytest.mark.parametrize("text", SECRETS)
def test_redaction_takes_the_secret_and_leaves_the_rest(text: str) -> None:
    redacted = redact(text)
    assert "canary" not in redacted
    assert "[redacted]" in redacted


@pytest.mark.parametrize(
    "text",
    [
        "https://b.s3.amazonaws.com/media/image/k.png",
        "signed in at 10:30",
        "mail to a@b.example",
        "host:9092",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_reaches_the_output(
    log_format: str, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(load_settings(_env_file=None, log_format=log_format), process="test")
    log = get_logger("polylogue.test")
    log.info("request", url=secret, nested={"headers": [secret]}, error=RuntimeError(secret))
    log.info(secret)
    logging.getLogger("botocore").warning("failed: %s", secret)
    logging.getLogger("faust").error("failed", extra={"url": secret})
    try:
        fail(secret)
    except ConnectionError:
        log.exception("crashed")
        logging.getLogger("aiokafka").exception("crashed")
    written = capsys.readouterr().err
    assert written.count("crashed") == 2
    assert "ConnectionError" in written
    assert "canary" not in written


def test_a_json_line_is_one_event_with_its_process(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(load_settings(_env_file=None), process="runner")
    get_logger("polylogue.test").info("started", port=1)
    logging.getLogger("elsewhere").warning("two\nlines")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["event"], first["process"], first["port"], first["level"]) == (
        "started",
        "runner",
        1,
        "info",
    )
    assert second["event"] == "two\nlines"

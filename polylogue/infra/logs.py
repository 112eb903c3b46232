"""Structured logs on standard error: one event a line, no payloads, no secrets, no signed URLs."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from polylogue.infra.settings import Settings

# Signatures in URLs, credentials in URLs, bearer tokens: whatever a library put into its message.
_SECRETS = re.compile(
    r"(?i)((?:x-amz-(?:signature|credential|security-token)|signature|awsaccesskeyid|key-pair-id|policy)=)[^&\s\"']+"
    r"|(\bbearer\s+)[^\s\"']+"
    r"|(://[^/\s:@]*:)[^@\s/]+(?=@)"
    # What opens this API: keys, links, tickets, sessions.
    r"|(\bplg(?:_[a-z0-9]{12}|[lst])_)[\w-]+"
)


def redact(text: str) -> str:
    """`text` without what looks like a credential."""
    return _SECRETS.sub(lambda found: (found[1] or found[2] or found[3] or found[4]) + "[redacted]", text)


def _redact_fields(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redact(value)
    return event


def _redact_line(_: Any, __: str, line: Any) -> str:
    """Last of all, for what lay inside lists, dicts and exceptions until it was rendered."""
    return redact(str(line))


def configure_logs(settings: Settings, *, process: str) -> None:
    """Sends structlog and the standard library's loggers through the same redacting pipeline."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_fields,
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _redact_fields,
                renderer,
                _redact_line,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for noisy in ("aiokafka", "kafka", "botocore", "boto3", "urllib3", "asyncio", "faust", "mode", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(process=process)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger

"""Makes what the processes expect to find: topics, tables and bucket, all three at once."""

from __future__ import annotations

import asyncio

from polylogue.cli.problems import Problem
from polylogue.infra.settings import Settings


def load() -> None:
    """Imports what `prepare` needs; done while the servers start, it costs no time."""
    import polylogue.infra.topic_admin
    import polylogue.media.bucket
    import polylogue.projections.migrate  # noqa: F401


async def prepare(settings: Settings, *, partitions: int | None = None) -> None:
    """Idempotent. Raises TopicMismatchError, KafkaConnectionError, or Problem for the other two servers."""
    from polylogue.infra.topic_admin import apply_topics

    await asyncio.gather(
        apply_topics(settings, partitions=partitions),
        asyncio.to_thread(_tables, settings),
        asyncio.to_thread(_bucket, settings),
    )


def _tables(settings: Settings) -> None:
    import psycopg
    from sqlalchemy.exc import SQLAlchemyError

    from polylogue.projections.migrate import upgrade

    try:
        upgrade(settings)
    except (psycopg.Error, SQLAlchemyError) as error:
        raise Problem(f"The tables cannot be made with DATABASE_URL: {first_line(error)}") from error


def _bucket(settings: Settings) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    from polylogue.media.bucket import ensure_bucket

    try:
        ensure_bucket(settings)
    except (BotoCoreError, ClientError) as error:
        raise Problem(
            f"The bucket {settings.s3_media_bucket} can be neither found nor made: {first_line(error)}"
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of a library's message, as one sentence without secrets."""
    from polylogue.infra.logs import redact

    line = redact(next(iter(str(error).splitlines()), type(error).__name__)).strip()
    return line if line.endswith(".") else line + "."

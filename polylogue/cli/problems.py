"""Which errors are a person's to mend: they end a command with one sentence and an exit code, not with a traceback."""

from __future__ import annotations

import sys

PROBLEM = 2  # exit code: the command could not do its work for a reason outside the program

# By name, since importing these modules takes longer than most commands run. An error can only be of a class
# whose module is loaded.
_EXPECTED = (
    ("polylogue.infra.settings", "SettingsError"),
    ("polylogue.infra.topic_admin", "TopicMismatchError"),
    ("polylogue.infra.local.errors", "LocalStackError"),
    ("polylogue.client.errors", "ClientError"),
    ("aiokafka.errors", "KafkaConnectionError"),
)


class Problem(Exception):  # noqa: N818 (nothing is wrong with the program)
    """The command cannot go on; the message is one sentence that says why and what to do."""

    def __init__(self, sentence: str, *, exit_code: int = PROBLEM) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def postgres_away(error: Exception) -> Problem:
    """For a psycopg.OperationalError, or SQLAlchemy's around it."""
    cause = getattr(error, "orig", None) or error
    # Its first line says it all; libpq adds hints below.
    reason = next(iter(str(cause).splitlines()), type(cause).__name__)
    return Problem(f"PostgreSQL does not answer ({reason}); is DATABASE_URL right?")


def sentence(error: BaseException) -> str | None:
    """What to tell the person; None for an error of the program itself."""
    if isinstance(error, Problem):
        return str(error)
    for module, name in _EXPECTED:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            if module == "aiokafka.errors":
                return f"Kafka does not answer ({error}); is KAFKA_BOOTSTRAP_SERVERS right?"
            return str(error)
    return None


def exit_code(error: BaseException) -> int:
    return error.exit_code if isinstance(error, Problem) else PROBLEM

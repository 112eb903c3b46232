"""What `polylogue users` and `polylogue keys` share: one transaction of the accounts, lengths of time, a table."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from polylogue.cli.problems import Problem, postgres_away
from polylogue.cli.servers_here import settings_here

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from polylogue.infra.settings import Settings

T = TypeVar("T")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def carry_out(work: Callable[[AsyncConnection[Any]], Awaitable[T]], settings: Settings | None = None) -> T:
    """Raises Problem, SettingsError."""
    import psycopg

    from polylogue.api.auth.accounts import AccountError
    from polylogue.infra.postgres import connection_string

    chosen = settings or settings_here()
    address = connection_string(chosen)

    async def transaction() -> T:
        async with await psycopg.AsyncConnection.connect(address) as connection:
            return await work(connection)

    try:
        return asyncio.run(transaction())
    except AccountError as error:
        raise Problem(str(error)) from None
    except psycopg.errors.UndefinedTable:
        raise Problem("The tables are missing; run: polylogue tables upgrade") from None
    except psycopg.OperationalError as error:
        raise postgres_away(error) from None


def length_of_time(text: str) -> timedelta:
    """`30m`, `12h`, `90d`. Raises Problem."""
    found = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if found is None or not int(found[1]):
        raise Problem(f"{text} is no length of time; write 30m, 12h or 90d.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def shown(value: Any) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return f"{value.astimezone():%Y-%m-%d %H:%M}"
        case list():
            return ",".join(map(str, value))
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)


def print_rows(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    lines = [list(heads), *([shown(value) for value in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_json(rows: Sequence[dict[str, Any]]) -> None:
    import orjson

    for row in rows:
        print(orjson.dumps(row).decode())

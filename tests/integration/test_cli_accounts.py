"""`polylogue users` and `polylogue keys` as an administrator types them, and what the first start says to whom."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import orjson
import psycopg
import pytest
from typer.testing import CliRunner, Result

from polylogue.api.auth import accounts, first_start, sign_ins, tokens
from polylogue.api.auth.access import Access
from polylogue.cli.main import app
from polylogue.cli.problems import sentence
from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections.migrate import upgrade
from tests.support.accounts import keyed, with_accounts

pytestmark = [pytest.mark.stack]


class Terminal:
    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def type(self, *words: str) -> Result:
        return CliRunner().invoke(app, words, env=self._environment)

    def said(self, *words: str) -> str:
        done = self.type(*words)
        assert done.exception is None, done.exception
        return done.stdout

    def refused(self, *words: str) -> str:
        told = sentence(self.type(*words).exception or Exception())
        assert told is not None
        return told

    def rows(self, *words: str) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.said(*words, "--json").splitlines()]


@pytest.fixture
def terminal(settings: Settings) -> Terminal:
    upgrade(settings)
    return Terminal(
        {
            "DATABASE_URL": str(settings.database_url),
            "DATABASE_SCHEMA": settings.database_schema,
            "COLUMNS": "200",
        }
    )


def opens(settings: Settings, key: str) -> bool:
    parsed = tokens.parse_key(key.strip())
    assert parsed is not None
    return asyncio.run(with_accounts(settings, lambda one: sign_ins.of_key(one, parsed))) is not None


def test_a_key_lives_from_its_creation_to_its_end(settings: Settings, terminal: Terminal) -> None:
    assert "Added ada" in terminal.said("users", "add", "ada")
    key = terminal.said("keys", "create", "ada", "--scopes", "read", "--expires", "90d", "--label", "laptop")
    assert opens(settings, key)
    key_id = key.split("_")[1]
    (row,) = terminal.rows("keys", "list", "ada")
    assert (row["key_id"], row["scopes"], row["label"], row["works"]) == (key_id, ["read"], "laptop", True)
    everything = terminal.said("keys", "list") + terminal.said("users", "list")
    assert key_id in everything
    assert key.strip().split("_", 2)[2] not in everything

    rotated = terminal.type("keys", "rotate", key_id, "--overlap", "30m")
    new = rotated.stdout.splitlines()[0]
    assert opens(settings, key)
    assert opens(settings, new)
    assert "was rotated before" in terminal.refused("keys", "rotate", key_id)
    terminal.said("keys", "revoke", key_id)
    assert not opens(settings, key)
    assert "works no more" in terminal.refused("keys", "rotate", key_id)

    terminal.said("users", "disable", "ada")
    assert not opens(settings, new)
    assert "is disabled" in terminal.refused("keys", "create", "ada")
    assert "is disabled" in terminal.refused("users", "link", "ada")
    (user,) = terminal.rows("users", "list")
    assert user["disabled_at"] is not None
    terminal.said("users", "enable", "ada")
    assert opens(settings, new)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("keys create nobody", "There is no user nobody"),
        ("keys revoke nothing", "There is no key nothing"),
        ("keys rotate nothing", "There is no key nothing"),
        ("users disable nobody", "There is no user nobody"),
        ("users add /etc", "A name has"),
        ("users add known", "already"),
        ("keys create known --scopes read,root", "There is no scope root"),
        ("keys create known --scopes ,", "needs a scope"),
        ("keys create known --expires soon", "no length of time"),
        ("keys create known --expires 0d", "no length of time"),
        ("users first-link", "There are users already"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(terminal: Terminal, words: str, why: str) -> None:
    terminal.said("users", "add", "known")
    assert why in terminal.refused(*words.split())


def test_without_tables_the_remedy_is_named(settings: Settings) -> None:
    terminal = Terminal(
        {"DATABASE_URL": str(settings.database_url), "DATABASE_SCHEMA": settings.database_schema}
    )
    assert "polylogue tables upgrade" in terminal.refused("users", "list")


def test_links_sign_in_once_and_signing_out_voids_them(settings: Settings, terminal: Terminal) -> None:
    told = terminal.said("users", "first-link", "--url", "https://polylogue.example/")
    found = re.search(r"https://polylogue\.example/sign-in#(plgl_\S+)", told)
    assert found is not None
    later = terminal.said("users", "link", "admin", "--scopes", "read").strip().partition("#")[2]

    async def use(secret: str) -> sign_ins.SignedIn | None:
        access = Access(settings)
        return await with_accounts(settings, lambda one: sign_ins.use_link(one, secret, access.session_life))

    signed_in = asyncio.run(use(found[1]))
    assert signed_in is not None
    assert signed_in.principal.scopes == {"read", "write", "admin"}
    assert asyncio.run(use(found[1])) is None
    assert terminal.said("users", "sign-out", "admin") == "Ended 1 sessions of admin.\n"
    assert asyncio.run(use(later)) is None


def test_two_processes_that_start_first_make_one_administrator(
    settings: Settings, terminal: Terminal
) -> None:
    async def both() -> list[str | None]:
        return await asyncio.gather(*(with_accounts(settings, accounts.first_link) for _ in range(4)))

    assert len([link for link in asyncio.run(both()) if link]) == 1


@pytest.mark.parametrize("on_a_terminal", [True, False])
def test_the_first_link_is_shown_to_a_terminal_only(
    settings: Settings,
    terminal: Terminal,
    on_a_terminal: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: on_a_terminal)

    async def start() -> None:
        access = Access(keyed(settings))
        async with access.running():
            await first_start.greet(access, 8000)

    asyncio.run(start())
    first = capsys.readouterr().out
    asyncio.run(start())
    assert ("/sign-in#plgl_" in first) is on_a_terminal
    assert "plgl_" not in capsys.readouterr().out.removeprefix(first)
    with psycopg.connect(connection_string(settings)) as connection:
        (users,) = connection.execute("SELECT count(*) FROM users").fetchone() or (None,)
    assert users == int(on_a_terminal)


def test_tables_do_not_go_back_past_users_unless_that_is_meant(terminal: Terminal) -> None:
    assert terminal.refused("tables", "downgrade", "nowhere").startswith("The tables cannot get there: ")
    terminal.said("users", "add", "ada")
    told = terminal.refused("tables", "downgrade", "0006")
    assert told.startswith("Revision 0006 has no table for the 1 users that there are.")
    assert "--drop-accounts" in told
    assert [row["owner_id"] for row in terminal.rows("users", "list")] == ["ada"]
    terminal.said("tables", "downgrade", "0007")
    assert [row["owner_id"] for row in terminal.rows("users", "list")] == ["ada"]
    terminal.said("tables", "downgrade", "0006", "--drop-accounts")
    terminal.said("tables", "upgrade")
    assert terminal.rows("users", "list") == []

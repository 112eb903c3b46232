"""`polylogue users`: who may use the API, where it wants a sign-in."""

from __future__ import annotations

from typing import Annotated

import typer

from polylogue.cli.accounts import carry_out, length_of_time, print_json, print_rows

app = typer.Typer(no_args_is_help=True, help="Say who may use the API (AUTH=keys), and sign browsers in.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user; what they make is theirs by this name.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
_ALL = "read,write"


@app.command()
def add(name: Name) -> None:
    """Add a user; they need a key or a link to get in."""
    from polylogue.api.auth import accounts

    carry_out(lambda connection: accounts.add_user(connection, name))
    print(
        f"Added {name}. Give them a key: polylogue keys create {name}; or a link: polylogue users link {name}"
    )


@app.command("list")
def list_users(*, as_json: AsJson = False) -> None:
    """List the users with the number of keys of theirs that work."""
    from polylogue.api.auth import accounts

    rows = carry_out(accounts.users)
    if as_json:
        print_json(rows)
        return
    print_rows(
        ("user", "since", "keys", "disabled"),
        [(row["owner_id"], row["created_at"], row["keys"], row["disabled_at"]) for row in rows],
    )


@app.command()
def disable(name: Name) -> None:
    """Let nothing of theirs open anything; what they made is kept. Open streams end within 5 seconds."""
    from polylogue.api.auth import accounts

    carry_out(lambda connection: accounts.set_disabled(connection, name, disabled=True))
    print(f"{name} is disabled; take that back with: polylogue users enable {name}")


@app.command()
def enable(name: Name) -> None:
    """Let their keys and sessions work again."""
    from polylogue.api.auth import accounts

    carry_out(lambda connection: accounts.set_disabled(connection, name, disabled=False))
    print(f"{name} is enabled.")


@app.command()
def link(
    name: Name,
    *,
    scopes: Annotated[str, typer.Option(help="What the browser may do: read, write, admin.")] = _ALL,
    within: Annotated[str, typer.Option(help="How long the link waits to be used, for instance 30m.")] = "1h",
    url: Annotated[
        str | None, typer.Option(help="Where browsers find the API [POLYLOGUE_URL, else HOST and PORT].")
    ] = None,
) -> None:
    """Print a link that signs one browser in, once."""
    from polylogue.api.auth import accounts

    life = length_of_time(within)
    chosen = [one.strip() for one in scopes.split(",") if one.strip()]
    made = carry_out(lambda connection: accounts.create_link(connection, name, chosen, life))
    print(accounts.link_address(_base(url), made))


@app.command("first-link")
def first_link(
    url: Annotated[
        str | None, typer.Option(help="Where browsers find the API [POLYLOGUE_URL, else HOST and PORT].")
    ] = None,
) -> None:
    """Make the administrator and print their link, where there is no user at all yet."""
    from polylogue.api.auth import accounts, first_start
    from polylogue.cli.problems import Problem

    made = carry_out(accounts.first_link)
    if made is None:
        raise Problem(
            f"There are users already; use: polylogue users link NAME (the first is {accounts.FIRST_USER})."
        )
    print(first_start.told(_base(url), made))


@app.command("sign-out")
def sign_out(name: Name) -> None:
    """Sign every browser of theirs out and void their links; keys go on working."""
    from polylogue.api.auth import accounts

    ended = carry_out(lambda connection: accounts.end_sessions(connection, name))
    print(f"Ended {ended} sessions of {name}.")


def _base(url: str | None) -> str:
    import os

    from polylogue.api.auth.first_start import base
    from polylogue.infra.settings import load_settings

    given = url or os.environ.get("POLYLOGUE_URL")
    if given:
        return given
    settings = load_settings()
    return base(settings.host, settings.port)

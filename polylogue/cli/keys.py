"""`polylogue keys`: API keys, each shown once and kept by nobody but its owner."""

from __future__ import annotations

from typing import Annotated

import typer

from polylogue.cli.accounts import carry_out, length_of_time, print_json, print_rows
from polylogue.cli.users import AsJson, Name

app = typer.Typer(no_args_is_help=True, help="Make, change and end API keys.")

KeyId = Annotated[
    str, typer.Argument(metavar="ID", help="What stands between the first two underscores of the key.")
]


@app.command()
def create(
    name: Name,
    *,
    scopes: Annotated[
        str, typer.Option(help="What it may do: read, write, admin, metrics; with commas between them.")
    ] = "read,write",
    expires: Annotated[
        str | None, typer.Option(help="How long it works, for instance 90d; for ever where nothing is said.")
    ] = None,
    label: Annotated[str, typer.Option(help="What it is for, to find it again.")] = "",
) -> None:
    """Print a new key for a user; it cannot be shown again."""
    from polylogue.api.auth import accounts

    chosen = [one.strip() for one in scopes.split(",") if one.strip()]
    life = length_of_time(expires) if expires else None
    print(
        carry_out(
            lambda connection: accounts.create_key(connection, name, chosen, label=label[:200], life=life)
        )
    )


@app.command("list")
def list_keys(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Of this user only.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List keys without their secrets."""
    from polylogue.api.auth import accounts

    rows = carry_out(lambda connection: accounts.keys(connection, name))
    if as_json:
        print_json(rows)
        return
    columns = ("key_id", "owner_id", "scopes", "works", "created_at", "expires_at", "successor", "label")
    heads = ("id", "user", "scopes", "works", "since", "until", "rotated to", "label")
    print_rows(heads, [[row[column] for column in columns] for row in rows])


@app.command()
def rotate(
    key_id: KeyId,
    *,
    overlap: Annotated[
        str, typer.Option(help="How long the old key goes on working, for instance 30m.")
    ] = "24h",
) -> None:
    """Print a key that may do the same; the old one ends after the overlap."""
    from polylogue.api.auth import accounts
    from polylogue.cli.accounts import shown

    life = length_of_time(overlap)
    made, ends = carry_out(lambda connection: accounts.rotate_key(connection, key_id, life))
    print(made)
    typer.echo(f"{key_id} ends at {shown(ends)}.", err=True)


@app.command()
def revoke(key_id: KeyId) -> None:
    """End a key, its sessions and its open streams, within 5 seconds."""
    from polylogue.api.auth import accounts

    carry_out(lambda connection: accounts.revoke_key(connection, key_id))
    print(f"{key_id} is revoked.")

"""`polylogue usage`: what was used, from the topic that tells it."""

from __future__ import annotations

import typer

from polylogue.cli.usage_export import export
from polylogue.cli.usage_tail import tail

app = typer.Typer(no_args_is_help=True, help="What media were made: follow it, or take it away as files.")
app.command()(export)
app.command()(tail)

"""`polylogue projections`: writes new ones and looks after those that are there; one file a command."""

from __future__ import annotations

import typer

from polylogue.cli.projections.new import new

app = typer.Typer(no_args_is_help=True, help="Write projections, build them anew, look after them.")
app.command()(new)

"""`polylogue projections`: writes new ones and looks after those that are there; one file a group of commands."""

from __future__ import annotations

import typer

from polylogue.cli.projections.look import list_projections, status, wait
from polylogue.cli.projections.new import new
from polylogue.cli.projections.orders import pause, reset, resume, skip
from polylogue.cli.projections.rebuild import rebuild
from polylogue.cli.projections.swaps import promote, prune, rollback
from polylogue.cli.projections.verify import verify

app = typer.Typer(no_args_is_help=True, help="Write projections, build them anew, look after them.")
app.command()(new)
app.command("list")(list_projections)
for command in (status, wait, rebuild, promote, rollback, prune, verify, pause, resume, skip, reset):
    app.command()(command)

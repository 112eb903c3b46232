"""`polylogue ask`: sends a prompt to several models and shows their answers as they arrive."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polylogue.cli.home import api_url
from polylogue.cli.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polylogue.cli.plain import View

STDIN = "-"

Url = Annotated[
    str | None,
    typer.Option(help="Where the API is [POLYLOGUE_URL, else the one that `polylogue run` started here]."),
]
Key = Annotated[
    str | None,
    typer.Option(
        envvar="POLYLOGUE_API_KEY",
        show_envvar=False,
        help="An API key, where one is needed [POLYLOGUE_API_KEY].",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print every frame's JSON on a line of its own.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours [NO_COLOR].")]
Save = Annotated[
    Path | None, typer.Option(help="Store pictures, sounds and films in this folder.", file_okay=False)
]


def ask(
    prompt: Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")],
    *,
    models: Annotated[str, typer.Option(help="Up to 12 models, separated by commas.")],
    conversation: Annotated[
        str | None, typer.Option(metavar="ID", help="Ask in an earlier conversation.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="A system prompt.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
    save: Save = None,
    no_color: NoColor = False,
) -> None:
    """Ask several models at once, and see their answers side by side.

    Ctrl-C stops the models; a second one leaves without waiting for the end. The exit code is 1 if every model failed, and 2
    if the question could not be asked.
    """
    from polylogue.cli.following import choose_view

    named = [name for name in (part.strip() for part in models.split(",")) if name]
    if not named:
        raise Problem("--models names no model; for instance: --models sim/text,sim/painter")
    text = sys.stdin.read() if prompt == STDIN else prompt
    if not text.strip():
        raise Problem("The prompt is empty.")
    view = choose_view(as_json=as_json, no_color=no_color, measured=True)
    code = run_ask(
        api_url(url), text, named, view, conversation=conversation, system=system, save=save, key=key
    )
    raise typer.Exit(code)


def run_ask(
    url: str,
    prompt: str,
    models: Sequence[str],
    view: View,
    *,
    conversation: str | None,
    system: str | None,
    save: Path | None,
    key: str | None = None,
) -> int:
    """Returns the exit code. Raises Problem where nobody answers, ClientError where the API refuses."""
    import asyncio

    from polylogue.cli.following import Following, save_media
    from polylogue.client import PolylogueClient, UnreachableError

    async def work() -> int:
        async with PolylogueClient(
            url, key=key, on_drop=lambda why: view.say(f"The connection dropped ({why}); resuming.")
        ) as client:
            following = Following(view, stop=client.cancel)
            code = await following.run(
                client.submit(prompt, models, conversation_id=conversation, system=system)
            )
            if save is not None:
                await save_media(client, following.comparison, save, view)
            return code

    try:
        return asyncio.run(work())
    except UnreachableError as error:
        raise Problem(f"{str(error).removesuffix('.')}; is `make run` running?") from error

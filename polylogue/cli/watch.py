"""`polylogue watch`: shows a turn that was started elsewhere, from its start and then live."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from polylogue.cli.ask import AsJson, Key, NoColor, Save, Url
from polylogue.cli.home import api_url
from polylogue.cli.problems import Problem

if TYPE_CHECKING:
    from polylogue.client import PolylogueClient

APPEARS_S = 5.0  # a turn that was submitted a moment ago is not in the tables yet
ASK_EVERY_S = 0.2


def watch(
    conversation: Annotated[str, typer.Argument(metavar="ID", help="The conversation.")],
    *,
    turn: Annotated[
        str | None, typer.Option(metavar="ID", help="One of its turns; by default the last.")
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
    save: Save = None,
    no_color: NoColor = False,
) -> None:
    """Follow a conversation's last turn to its end, or show it if it has ended.

    Ctrl-C ends the watching and stops nothing. The exit code is 1 if every model failed.
    """
    import asyncio

    from polylogue.cli.following import Following, choose_view, save_media
    from polylogue.client import PolylogueClient, UnreachableError

    view = choose_view(as_json=as_json, no_color=no_color, measured=False)

    async def work() -> int:
        async with PolylogueClient(
            api_url(url),
            key=key,
            on_drop=lambda why: view.say(f"The connection dropped ({why}); resuming."),
        ) as client:
            turn_id = turn or await last_turn(client, conversation)
            following = Following(view)
            code = await following.run(client.follow(conversation, turn_id=turn_id))
            if save is not None:
                await save_media(client, following.comparison, save, view)
            return code

    try:
        raise typer.Exit(asyncio.run(work()))
    except UnreachableError as error:
        raise Problem(f"{str(error).removesuffix('.')}; is `make run` running?") from error


async def last_turn(client: PolylogueClient, conversation: str) -> str:
    """The id of the conversation's last turn. Raises Problem where it has none."""
    import asyncio

    deadline = time.monotonic() + APPEARS_S
    while time.monotonic() < deadline:
        found = (await client.conversation(conversation)).get("last_turn_id")
        if isinstance(found, str):
            return found
        await asyncio.sleep(ASK_EVERY_S)
    raise Problem("This conversation has no turn yet.")

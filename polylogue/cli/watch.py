"""`polylogue watch`: shows a turn that was started elsewhere, from its start and then live."""

from __future__ import annotations

from typing import Annotated

import typer

from polylogue.cli.ask import AsJson, NoColor, Save, Url
from polylogue.cli.home import api_url
from polylogue.cli.problems import Problem


def watch(
    conversation: Annotated[str, typer.Argument(metavar="ID", help="The conversation.")],
    *,
    turn: Annotated[
        str | None, typer.Option(metavar="ID", help="One of its turns; by default the last.")
    ] = None,
    url: Url = None,
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
        async with PolylogueClient(api_url(url)) as client:
            turn_id = turn or last_turn(await client.conversation(conversation))
            following = Following(view)
            code = await following.run(client.follow(conversation, turn_id=turn_id))
            if save is not None:
                await save_media(client, following.comparison, save, view)
            return code

    try:
        raise typer.Exit(asyncio.run(work()))
    except UnreachableError as error:
        raise Problem(f"{str(error).removesuffix('.')}; is `make run` running?") from error


def last_turn(conversation: dict[str, object]) -> str:
    """The id of the conversation's last turn. Raises Problem where it has none."""
    found = conversation.get("last_turn_id")
    if not isinstance(found, str):
        raise Problem("This conversation has no turn yet.")
    return found

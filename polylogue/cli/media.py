"""`polylogue media`: what an operator does about media: pause them, try them again, compare bucket and log."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from polylogue.cli.media_audit import audit
from polylogue.cli.media_retry import retry
from polylogue.cli.servers_here import settings_here

app = typer.Typer(no_args_is_help=True, help="Pause media, try failed ones again, compare bucket and log.")
app.command()(retry)
app.command()(audit)


@app.command()
def pause(
    reason: Annotated[str | None, typer.Option(help="Kept with the switch, for other operators.")] = None,
) -> None:
    """Refuse new media everywhere, within seconds and until `resume`; text goes on, and what is under way is finished."""
    from polylogue.schemas.controls import MediaPaused
    from polylogue.streams.media_switch import write_control

    asyncio.run(write_control(settings_here(), MediaPaused(reason=reason)))
    print("Media are paused: every runner refuses new ones. End it with: polylogue media resume")


@app.command()
def resume() -> None:
    """Take media again."""
    from polylogue.schemas.controls import MediaResumed
    from polylogue.streams.media_switch import write_control

    settings = settings_here()
    asyncio.run(write_control(settings, MediaResumed()))
    print("Media are taken again.")
    if not settings.enable_media_responses:
        print("But ENABLE_MEDIA_RESPONSES is false here, and where it is so, none are asked for.")


@app.command()
def status() -> None:
    """Say whether media are paused, and since when."""
    from polylogue.schemas.controls import MediaPaused
    from polylogue.streams.media_switch import latest_control

    control = asyncio.run(latest_control(settings_here()))
    if control is None or not isinstance(control.data, MediaPaused):
        print("Media are not paused.")
        return
    why = f": {control.data.reason}" if control.data.reason else ""
    print(f"Media are paused since {control.issued_at}{why}")

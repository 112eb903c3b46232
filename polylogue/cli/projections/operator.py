"""Gives the API what it needs of the projections: neither of them knows the other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from polylogue.api.admin import Order, OrderRefusedError
from polylogue.api.server import serve as serve_api
from polylogue.cli.projections import described
from polylogue.infra.settings import Settings
from polylogue.projections import operations


class Operator:
    """A `ProjectionOperator`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def status(self, name: str | None, over_s: float) -> list[dict[str, Any]]:
        found = await operations.status(self._settings, name, over_s=over_s)
        return [described.status(one) for one in found]

    async def carry_out(self, order: Order) -> list[int]:
        try:
            return await self._carry_out(order)
        except operations.REFUSALS as error:
            raise OrderRefusedError(str(error)) from error

    async def _carry_out(self, order: Order) -> list[int]:
        settings, name, version = self._settings, order.name, order.version
        match order.action:
            case "pause" | "resume" if order.dry_run:
                found = await operations.status(settings, name, over_s=0)
                return [one.version for one in found if version in (None, one.version)]
            case "pause":
                return await operations.pause(settings, name, version)
            case "resume":
                return await operations.resume(settings, name, version)
            case "skip":
                assert order.partition is not None
                assert order.offset is not None
                skip = await operations.skip(
                    settings,
                    name,
                    partition=order.partition,
                    offset=order.offset,
                    why=order.why or "",
                    version=version,
                    dry_run=order.dry_run,
                )
                return [] if skip.version is None else [skip.version]
            case "promote":
                return [(await operations.promote(settings, name, version, dry_run=order.dry_run)).promoted]
            case "rollback":
                return [(await operations.rollback(settings, name, dry_run=order.dry_run)).promoted]
            case "prune":
                return await operations.prune(settings, name, version, dry_run=order.dry_run)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """The API's process, with access to the projections."""
    await serve_api(settings, stop, operator=Operator(settings), alone=True)


async def serve_beside(settings: Settings, stop: asyncio.Event, *, socket: Path) -> None:
    """The same as one of several processes on one port, whose sockets are in one folder."""
    await serve_api(settings, stop, operator=Operator(settings), worker=socket, alone=True)

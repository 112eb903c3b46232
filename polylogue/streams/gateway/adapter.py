"""What every adapter is: a pure state machine, from frames to gateway events."""

from __future__ import annotations

from typing import Protocol

from polylogue.streams.gateway.events import GatewayEvent, UpstreamError
from polylogue.streams.gateway.framing import Frame


class Adapter(Protocol):
    """Feed frames in order; then `end` for a clean end of input, or `fail` for a broken one.

    The last event is `Finished` or `UpstreamError`; after it nothing more comes.
    """

    @property
    def ended(self) -> bool: ...

    def feed(self, frame: Frame) -> list[GatewayEvent]: ...

    def end(self) -> list[GatewayEvent]: ...

    def fail(self, error: UpstreamError) -> list[GatewayEvent]: ...

"""The gateway's list of models, kept for some minutes; where it cannot be had, nobody is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import aiohttp
import msgspec

from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings

KEPT_S = 300.0
ASK_AGAIN_S = 10.0  # after a failure, so that an absent gateway does not slow every prompt down
TIMEOUT_S = 3.0

log = get_logger("polylogue.api.models")


class _Model(msgspec.Struct):
    id: str


class _Answer(msgspec.Struct):
    data: list[_Model]


class GatewayModels:
    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = f"{str(settings.openrouter_base_url).rstrip('/')}/models"
        self._clock = clock
        self._known: frozenset[str] | None = None
        self._ask_at = 0.0

    async def unknown(self, models: Iterable[str]) -> list[str]:
        """Those that the gateway does not offer; a variant such as `model:free` passes with its model."""
        wanted = list(models)
        if self._clock() >= self._ask_at:
            await self._ask()
        return [model for model in wanted if not self._offered([model])]

    def _offered(self, models: Iterable[str]) -> bool:
        known = self._known
        return known is None or all(model in known or model.split(":")[0] in known for model in models)

    async def _ask(self) -> None:
        now = self._clock()
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), trust_env=True
                ) as session,
                session.get(self._url) as response,
            ):
                response.raise_for_status()
                answer = msgspec.json.decode(await response.read(), type=_Answer)
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
            # The runner asks the gateway itself, and its answer names what is wrong.
            log.warning("the list of models could not be read", error=type(error).__name__)
            self._ask_at = now + ASK_AGAIN_S
            return
        self._known = frozenset(model.id for model in answer.data)
        self._ask_at = now + KEPT_S

"""What the gateway says its models can do; the last answer serves while the gateway is away."""

from __future__ import annotations

import asyncio

from polylogue.infra.logs import get_logger
from polylogue.streams.gateway.catalogue import ModelInfo
from polylogue.streams.gateway.client import Gateway, GatewayRefusedError

FRESH_S = 300.0
RETRY_S = 10.0  # after a refusal; every turn asks, the gateway must not feel it
ANSWER_WITHIN_S = 5.0  # a turn does not wait longer for the list

_log = get_logger(__name__)


class ModelCatalogue:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._models: dict[str, ModelInfo] = {}
        self._ask_after = 0.0
        self._asking = asyncio.Lock()

    async def find(self, model: str) -> ModelInfo | None:
        """The entry of a model, or of the model that it is a variant of (`name:variant`); None where unknown."""
        await self._refresh()
        return self._models.get(model) or self._models.get(model.split(":", 1)[0])

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._ask_after:
            return
        async with self._asking:
            if loop.time() < self._ask_after:
                return
            try:
                models = await asyncio.wait_for(self._gateway.models(), ANSWER_WITHIN_S)
            except (GatewayRefusedError, TimeoutError) as error:
                self._ask_after = loop.time() + RETRY_S
                _log.warning("model_list_unavailable", error=type(error).__name__)
                return
            self._models = {model.id: model for model in models}
            self._ask_after = loop.time() + FRESH_S

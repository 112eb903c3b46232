"""The gateway's list of models, kept for some minutes; while it cannot be had the last one serves, and nobody is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

import aiohttp
import msgspec

from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.schemas.clock import rfc3339
from polylogue.schemas.pricing import price_micros

KEPT_S = 300.0
ASK_AGAIN_S = 10.0  # after a failure, so that an absent gateway does not slow every prompt down
TIMEOUT_S = 3.0
# Prices that are per token; what is billed per request or per picture is none.
PRICES = (
    "prompt",
    "completion",
    "image_output",
    "audio",
    "audio_output",
    "input_cache_read",
    "internal_reasoning",
)

log = get_logger("polylogue.api.models")


class GatewayModel(msgspec.Struct, frozen=True, kw_only=True):
    """Prices are micro-dollars per million tokens."""

    id: str
    name: str
    input_modalities: tuple[str, ...] = ("text",)
    output_modalities: tuple[str, ...] = ("text",)
    prices: dict[str, int] = {}
    context_length: int | None = None
    limits: dict[str, int] = {}

    @property
    def prompt_price(self) -> int | None:
        return self.prices.get("prompt")

    @property
    def completion_price(self) -> int | None:
        return self.prices.get("completion")


class GatewayModels:
    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = f"{str(settings.openrouter_base_url).rstrip('/')}/models"
        self._clock = clock
        self._models: dict[str, GatewayModel] | None = None
        self._ask_at = 0.0
        self._asking = asyncio.Lock()
        self.stale = True  # the last attempt failed
        self.fetched_at: str | None = None

    async def listed(self) -> list[GatewayModel]:
        """What the gateway offers, or offered when it last answered; empty where it never did."""
        await self._refresh()
        return list((self._models or {}).values())

    async def unknown(self, models: Iterable[str]) -> list[str]:
        """Those that the gateway does not offer; a variant such as `model:free` passes with its model."""
        await self._refresh()
        return [] if self._models is None else [model for model in models if self.known(model) is None]

    def known(self, model: str) -> GatewayModel | None:
        """The entry of a model, or of the one that it is a variant of, in the list as it was last read."""
        models = self._models or {}
        return models.get(model) or models.get(model.split(":", 1)[0])

    async def _refresh(self) -> None:
        if self._clock() < self._ask_at:
            return
        async with self._asking:
            if self._clock() >= self._ask_at:
                await self._ask()

    async def _ask(self) -> None:
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), trust_env=True
                ) as session,
                session.get(self._url) as response,
            ):
                response.raise_for_status()
                models = read_models(msgspec.json.decode(await response.read()))
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError, ValueError) as error:
            # The runner asks the gateway itself, and its answer names what is wrong.
            log.warning("the list of models could not be read", error=type(error).__name__)
            self._ask_at = self._clock() + ASK_AGAIN_S
            self.stale = True
            return
        self._models = {model.id: model for model in models}
        self._ask_at = self._clock() + KEPT_S
        self.stale, self.fetched_at = False, rfc3339()


def read_models(document: Any) -> list[GatewayModel]:
    """The entries that have an id. Raises ValueError where the document is no list of models."""
    entries = document.get("data") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise ValueError("not a list of models")  # noqa: TRY004 (a document is data, not an argument)
    return [_model(entry) for entry in entries if isinstance(entry, dict) and _text(entry.get("id"))]


def _model(entry: dict[str, Any]) -> GatewayModel:
    architecture, pricing, provider = (
        _mapping(entry.get(name)) for name in ("architecture", "pricing", "top_provider")
    )
    prices = {name: price_micros(pricing.get(name)) for name in PRICES}
    limits = {"max_completion_tokens": _count(provider.get("max_completion_tokens"))} | {
        name: _count(value) for name, value in _mapping(entry.get("per_request_limits")).items()
    }
    return GatewayModel(
        id=entry["id"],
        name=_text(entry.get("name")) or entry["id"],
        input_modalities=_words(architecture.get("input_modalities")),
        output_modalities=_words(architecture.get("output_modalities")),
        prices={name: price for name, price in prices.items() if price is not None},
        context_length=_count(entry.get("context_length")),
        limits={name: limit for name, limit in limits.items() if limit is not None},
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: Any) -> int | None:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number > 0 else None


def _words(value: Any) -> tuple[str, ...]:
    words = tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()
    return words or ("text",)

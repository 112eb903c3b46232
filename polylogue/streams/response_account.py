"""What one attempt of a response has used so far, in time, text, tokens and money; every end of it says so."""

from __future__ import annotations

import asyncio

from polylogue.schemas.events import (
    CancelReason,
    FailureClass,
    ResponseCancelled,
    ResponseCompleted,
    ResponseFailed,
    Usage,
)
from polylogue.streams import runner_metrics as metrics
from polylogue.streams.cost_meter import ResponseMeter


class ResponseAccount:
    def __init__(self, meter: ResponseMeter) -> None:
        self.text_bytes = 0
        self.first_token_ms: int | None = None
        self._meter = meter
        self._usage: Usage | None = None
        self._cost: int | None = None
        self._began = asyncio.get_running_loop().time()

    def reported(self, usage: Usage, cost_usd_micros: int | None) -> None:
        self._usage, self._cost = usage, cost_usd_micros

    def saw_text(self, text: str) -> None:
        self.saw_token()
        self.text_bytes += len(text.encode())
        self._meter.text(len(text))

    def saw_picture(self) -> None:
        self.saw_token()
        self._meter.picture()

    def saw_token(self) -> None:
        if self.first_token_ms is None:
            self.first_token_ms = self.elapsed_ms()
            metrics.FIRST_TOKEN_S.observe(self.first_token_ms / 1000)

    def elapsed_ms(self) -> int:
        return round((asyncio.get_running_loop().time() - self._began) * 1000)

    def tokens_per_s(self) -> float | None:
        usage = self._final_usage
        if usage is None or not usage.completion_tokens or self.first_token_ms is None:
            return None
        return usage.completion_tokens * 1000 / max(1, self.elapsed_ms() - self.first_token_ms)

    def completed(self, finish_reason: str, native: str | None) -> ResponseCompleted:
        return ResponseCompleted(
            finish_reason=finish_reason,
            native_finish_reason=native,
            usage=self._final_usage,
            cost_usd_micros=self._final_cost,
            cost_estimated=self._cost is None and self._final_cost is not None,
            time_to_first_token_ms=self.first_token_ms,
            duration_ms=self.elapsed_ms(),
        )

    def cancelled(self, reason: CancelReason) -> ResponseCancelled:
        return ResponseCancelled(
            reason=reason,
            usage=self._final_usage,
            cost_usd_micros=self._final_cost,
            duration_ms=self.elapsed_ms(),
        )

    def failed(self, failure_class: FailureClass, message: str, *, retryable: bool) -> ResponseFailed:
        return ResponseFailed(
            failure_class=failure_class,
            message=message,
            retryable=retryable,
            usage=self._usage,
            cost_usd_micros=self._cost,
            duration_ms=self.elapsed_ms(),
        )

    @property
    def _final_usage(self) -> Usage | None:
        """As the gateway reported it; after a stop it reports nothing, and an estimate says that it is one."""
        return self._usage or self._meter.usage

    @property
    def _final_cost(self) -> int | None:
        return self._meter.cost if self._cost is None else self._cost

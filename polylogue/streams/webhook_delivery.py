"""Delivers one notice to the webhook: signed, to an allowed host only, repeated until the receiver says yes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from functools import partial

import aiohttp
import msgspec
import stamina
from prometheus_client import Counter

from polylogue import __version__
from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings, SettingsError
from polylogue.media.addresses import RefusedAddressError, Target, origin_of, target_of
from polylogue.media.outbound import ResolverFactory, asked_wait_s, is_passing, open_session
from polylogue.streams.webhook_plan import TurnNotice

SIGNATURE = "Polylogue-Signature"
CONNECT_S = 10.0
ANSWER_S = 30.0  # the whole of one attempt
CONCURRENT_REQUESTS = 8
WAIT_INITIAL_S, WAIT_MAX_S = 1.0, 60.0

DELIVERIES = Counter("polylogue_webhook_deliveries", "Notices, by what became of them", ["outcome"])

log = get_logger(__name__)


class DeliveryFailed(Exception):  # noqa: N818 (one attempt's, caught by the retry loop)
    """The receiver did not take it; the message names no URL."""

    def __init__(self, message: str, *, final: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.final = final
        self.retry_after_s = retry_after_s


def webhook_target(settings: Settings) -> Target:
    """Where notices go. Raises SettingsError with one sentence where they must not go there."""
    settings.require("webhook_url", "webhook_secret")
    url = str(settings.webhook_url)
    hosts = {host.strip().lower() for host in settings.webhook_allowed_hosts.split(",")}
    try:
        target = target_of(url, {origin_of(url)})
    except (RefusedAddressError, ValueError) as error:
        raise SettingsError(f"WEBHOOK_URL cannot be used: {error}.") from None
    if target.host not in hosts:
        raise SettingsError(
            f"WEBHOOK_URL names {target.host}, which is not among WEBHOOK_ALLOWED_HOSTS; add it there."
        )
    if target.url.scheme != "https" and target.host not in ("localhost", "127.0.0.1", "::1"):
        raise SettingsError("WEBHOOK_URL has to be https, unless it is on this machine itself.")
    return target


def signature(secret: str, body: bytes, at_s: int) -> str:
    """The value of the header: who knows the secret can tell that we sent this body, and when."""
    signed = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256)
    return f"t={at_s},v1={signed.hexdigest()}"


class Deliverer:
    def __init__(self, settings: Settings, *, resolver: ResolverFactory = aiohttp.ThreadedResolver) -> None:
        """Raises SettingsError."""
        self._target = webhook_target(settings)
        self._secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else ""
        self._deadline_s = settings.webhook_deadline_s
        self._resolver = resolver
        self._slots = asyncio.Semaphore(CONCURRENT_REQUESTS)

    async def deliver(self, notice: TurnNotice) -> bool:
        """True when the receiver has it, False when it was given up. The deadline counts from this call."""
        body = msgspec.json.encode(notice)
        deadline = time.monotonic() + self._deadline_s
        number = 0
        try:
            async for attempt in stamina.retry_context(
                on=partial(_wait, deadline),
                attempts=None,
                timeout=self._deadline_s,
                wait_initial=WAIT_INITIAL_S,
                wait_max=WAIT_MAX_S,
            ):
                with attempt:
                    number = attempt.num
                    await self._send(body)
        except DeliveryFailed as error:
            DELIVERIES.labels("given_up").inc()
            log.error("webhook_given_up", notice=notice.id, attempts=number, reason=str(error))
            return False
        DELIVERIES.labels("delivered").inc()
        log.info("webhook_delivered", notice=notice.id, attempts=number)
        return True

    async def _send(self, body: bytes) -> None:
        """One attempt. Raises DeliveryFailed."""
        # The slot is for the request only; those that wait for their next attempt hold none.
        async with self._slots:
            headers = {
                "Content-Type": "application/json",
                "User-Agent": f"polylogue/{__version__}",
                SIGNATURE: signature(self._secret, body, int(time.time())),
            }
            try:
                async with (
                    asyncio.timeout(ANSWER_S),
                    open_session(
                        self._target,
                        connect_timeout_s=CONNECT_S,
                        idle_timeout_s=ANSWER_S,
                        resolver=self._resolver,
                    ) as session,
                    session.post(
                        self._target.url, data=body, headers=headers, allow_redirects=False
                    ) as response,
                ):
                    _judge(response)
            except RefusedAddressError as error:
                raise DeliveryFailed(str(error)) from None
            except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
                raise DeliveryFailed(f"not reached: {type(error).__name__}") from None


def _judge(response: aiohttp.ClientResponse) -> None:
    if 200 <= response.status < 300:
        return
    raise DeliveryFailed(
        f"answered {response.status}",
        final=not is_passing(response.status),
        retry_after_s=asked_wait_s(response.headers.get("Retry-After"), time.time()),
    )


def _wait(deadline: float, error: Exception) -> bool | float:
    """How long to wait before the next attempt; False for none."""
    if not isinstance(error, DeliveryFailed) or error.final:
        return False
    if error.retry_after_s is None:
        return True
    if time.monotonic() + error.retry_after_s > deadline:
        return False
    return max(error.retry_after_s, WAIT_INITIAL_S)

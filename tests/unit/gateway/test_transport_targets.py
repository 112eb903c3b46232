"""Addresses that a gateway names elsewhere are opened only where they are public."""

from __future__ import annotations

import asyncio

import pytest

from polylogue.streams.gateway.transport import Transport


@pytest.mark.parametrize(
    "url",
    [
        "http://media.example/a",
        "https://127.0.0.1/a",
        "https://2130706433/a",
        "https://[::1]/a",
        "https://[::ffff:127.0.0.1]/a",
        "https://169.254.169.254/a",
        "https://localhost:1/a",
        "https://0x7f.1:1/a",
        "https://user@media.example/a",
    ],
)
async def test_a_public_gateway_cannot_send_us_to_private_addresses(url: str) -> None:
    transport = Transport(
        base_url="https://gateway.example/v1", api_key="secret", connect_timeout_s=5, idle_timeout_s=5
    )
    until = asyncio.get_running_loop().time() + 10
    with pytest.raises(OSError, match=r"^the address "):
        await transport.get(url, until=until, limit=10)
    await transport.close()

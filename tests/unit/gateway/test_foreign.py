"""Addresses that a gateway names elsewhere are opened only where they are public."""

from __future__ import annotations

import aiohttp
import pytest
from yarl import URL

from polylogue.streams.gateway.foreign import PublicResolver, is_public, open_foreign_session


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "fd00::1",
        "224.0.0.1",
        "x",
    ],
)
def test_private_addresses_are_not_public(address: str):
    assert not is_public(address)


def test_public_addresses_are():
    assert is_public("8.8.8.8")
    assert is_public("2606:4700::1111")


async def test_a_name_of_this_machine_has_no_public_address():
    resolver = PublicResolver()
    with pytest.raises(OSError, match="no public address"):
        await resolver.resolve("localhost", 80)
    await resolver.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://media.example/a",
        "https://127.0.0.1/a",
        "https://2130706433/a",
        "https://[::1]/a",
        "https://[::ffff:127.0.0.1]/a",
        "https://localhost:1/a",
        "https://0x7f.1:1/a",
    ],
)
async def test_a_public_gateway_cannot_send_us_to_private_addresses(url: str):
    async with open_foreign_session(URL("https://gateway.example"), connect_timeout_s=5) as session:
        with pytest.raises((aiohttp.InvalidURL, aiohttp.ClientConnectorError)) as refused:
            await session.get(url)
    assert "Connect call failed" not in str(refused.value)

"""Which URLs and addresses may be opened: every form in which a private one can be written."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.media.addresses import (
    RefusedAddressError,
    is_public,
    is_reachable,
    origin_of,
    origins,
    target_of,
)

NOT_PUBLIC = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.127.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused_in_an_answer_and_in_a_url(address: str) -> None:
    assert not is_public(address)
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(RefusedAddressError, match="not a public one"):
        target_of(f"https://{host}/picture.png")


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111"])
def test_a_public_address_is_admitted(address: str) -> None:
    assert is_public(address)
    host = f"[{address}]" if ":" in address else address
    assert target_of(f"https://{host}/").admits(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://2130706433/",  # 127.0.0.1 as one number
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://0/",
        "https://127.0.0.1./",
        "https://1.2.3.4.5/",
        "https://127.0.0.0x1/",
        "https://①②⑦.0.0.1/",
        "https://127。0。0。1/",
        "https://[::1%25lo]/",
        "https://[fe80::1%eth0]/",
        "https://[::1/",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com\\@127.0.0.1/",
        "https://exa mple.com/",
        "https://example.com\n/",
        "https://127.0.0.1%00.example.com/",
        "https://%31%32%37.0.0.1/",
        "https:///picture.png",
        "https://.example.com/",
        "https://example..com/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:port/",
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "gopher://example.com/",
        "//example.com/",
        "example.com/picture.png",
        "",
    ],
)
def test_a_url_in_a_form_that_hides_something_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(RefusedAddressError) as refused:
        target_of(url, origins("http://example.org"))
    assert str(refused.value).startswith("the address ")
    assert not url or url not in str(refused.value)


def test_a_name_is_judged_when_it_is_resolved() -> None:
    target = target_of("https://Media.Example.COM./a%2Fb?sig=%2b#part")
    assert target.host == "media.example.com"
    assert str(target.url).endswith("/a%2Fb?sig=%2b")  # as signed
    assert target.admits("8.8.8.8")
    assert not target.admits("127.0.0.1")


def test_only_exactly_the_origin_that_is_trusted_may_be_plain_and_private() -> None:
    trusted = origins("http://localhost:8089, https://media.test")
    target = target_of("http://LOCALHOST:8089/x.png", trusted)
    assert target.admits("127.0.0.1")
    assert target.admits("::1")
    assert target.admits("10.0.0.1")
    assert not target.admits("169.254.169.254")
    assert target_of("https://media.test:443/", trusted).trusted
    assert not target_of("https://localhost:8089/", trusted).trusted
    for other in (
        "http://localhost:8090/",
        "http://localhost/",
        "http://localhost.:80/",
        "http://media.test/",
    ):
        with pytest.raises(RefusedAddressError, match="not https"):
            target_of(other, trusted)
    with pytest.raises(RefusedAddressError, match="not a public one"):
        target_of("http://169.254.169.254/", origins("http://169.254.169.254"))


def test_an_origin_always_has_its_port() -> None:
    assert origin_of("https://A.example./x") == "https://a.example:443"
    assert origin_of("http://[::1]:80/") == "http://[::1]:80"
    assert origins(" ,") == frozenset()
    with pytest.raises(ValueError, match="no origin"):
        origins("localhost")


@given(st.ip_addresses(v=4))
def test_what_is_public_is_reachable_and_never_special(address: IPv4Address) -> None:
    special = ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12")
    if any(address in IPv4Network(network) for network in (*special, "192.168.0.0/16", "224.0.0.0/3")):
        assert not is_public(str(address))
    if is_public(str(address)):
        assert is_reachable(str(address))


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_is_public_in_ipv6_clothes(address: IPv4Address) -> None:
    number = int(address)
    for prefix in (0, 0xFFFF << 32, 0x64FF9B << 96):
        assert not is_public(str(IPv6Address(prefix | number)))
        assert not is_reachable(str(IPv6Address(prefix | number))) or prefix | number == 1  # ::1
    assert not is_public(str(IPv6Address((0x2002 << 112) | (number << 80))))


@given(st.text(max_size=60))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://{text}/", f"https://example.com/{text}"):
        try:
            target = target_of(url)
        except RefusedAddressError:
            continue
        assert target.url.scheme == "https"
        assert target.host
        assert not target.trusted

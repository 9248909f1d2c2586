"""Which addresses webhooks may be sent to."""

from __future__ import annotations

import pytest

from graphql_api.adapters.webhook_sender import open_webhook_sender
from graphql_api.adapters.webhook_sender.addresses import AddressRule

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:82b::200e",
    "2001:4860:4860::8888",
]
NOT_PUBLIC = {
    "unspecified": "0.0.0.0",
    "this network": "0.1.2.3",
    "loopback": "127.0.0.1",
    "any loopback": "127.255.255.254",
    "private 10": "10.0.0.1",
    "private 172": "172.31.255.255",
    "private 192": "192.168.1.1",
    "cloud metadata": "169.254.169.254",
    "metadata of tasks": "169.254.170.2",
    "metadata of Alibaba": "100.100.100.200",
    "metadata of Oracle": "192.0.0.192",
    "agent of Azure": "168.63.129.16",
    "carrier": "100.64.0.1",
    "end of carrier": "100.127.255.255",
    "protocol assignments": "192.0.0.8",
    "documentation 1": "192.0.2.1",
    "documentation 2": "198.51.100.1",
    "documentation 3": "203.0.113.1",
    "benchmarking": "198.19.255.255",
    "6to4 relay": "192.88.99.1",
    "multicast": "224.0.0.1",
    "end of multicast": "239.255.255.255",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "unspecified 6": "::",
    "loopback 6": "::1",
    "link-local 6": "fe80::1",
    "link-local with zone": "fe80::1%eth0",
    "public with zone": "2606:4700:4700::1111%1",
    "site-local": "fec0::1",
    "unique-local": "fd12:3456::1",
    "metadata of AWS 6": "fd00:ec2::254",
    "multicast 6": "ff02::1",
    "documentation 6": "2001:db8::1",
    "new documentation 6": "3fff::1",
    "benchmarking 6": "2001:2::1",
    "ORCHID": "2001:20::1",
    "discard": "100::1",
    "segment routing": "5f00::1",
    "unassigned": "4000::1",
    "mapped loopback": "::ffff:127.0.0.1",
    "mapped metadata": "::ffff:a9fe:a9fe",
    "compatible loopback": "::127.0.0.1",
    "compatible private": "::10.0.0.1",
    "translated loopback": "::ffff:0:127.0.0.1",
    "6to4 loopback": "2002:7f00:1::",
    "6to4 private": "2002:a00:1::1",
    "NAT64 loopback": "64:ff9b::127.0.0.1",
    "NAT64 metadata": "64:ff9b::a9fe:a9fe",
    "local NAT64": "64:ff9b:1::a00:1",
    "local NAT64 of a public address": "64:ff9b:1::8.8.8.8",
    "Teredo from a private server": "2001:0:a00:1::f7f7:f7f7",
    "Teredo to loopback": "2001:0:808:808::80ff:fffe",
    "no address": "localhost",
    "decimal": "2130706433",
    "nothing": "",
}
STANDS_FOR_PUBLIC = {
    "mapped": "::ffff:8.8.8.8",
    "compatible": "::8.8.8.8",
    "6to4": "2002:808:808::1",
    "NAT64": "64:ff9b::8.8.8.8",
    "Teredo": "2001:0:808:808::f7f7:f7f7",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert AddressRule().allows(address)
    assert not AddressRule().names(address)


@pytest.mark.parametrize("address", NOT_PUBLIC.values(), ids=NOT_PUBLIC.keys())
def test_other_addresses_are_refused(address: str) -> None:
    assert not AddressRule().allows(address)


@pytest.mark.parametrize("address", STANDS_FOR_PUBLIC.values(), ids=STANDS_FOR_PUBLIC.keys())
def test_an_ipv6_address_that_stands_for_an_ipv4_address_is_judged_by_that(address: str) -> None:
    assert AddressRule().allows(address)


def test_named_networks_are_allowed_and_their_neighbours_are_not() -> None:
    rule = AddressRule(["10.1.0.0/16", "fd00:1::/64", "127.0.0.2"])

    for address in ("10.1.255.255", "fd00:1::5", "127.0.0.2", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3"):
        assert rule.allows(address), address
        assert rule.names(address), address
    for address in ("10.2.0.1", "fd00:2::5", "127.0.0.1", "::ffff:10.2.0.1", "::1"):
        assert not rule.allows(address), address


def test_public_addresses_stay_allowed_beside_named_networks() -> None:
    rule = AddressRule(["10.1.0.0/16"])

    assert rule.allows("8.8.8.8")
    assert not rule.names("8.8.8.8")


@pytest.mark.parametrize("network", ["10.0.0.1/8", "example.com", "10.0.0.0/33", "10.0.0.0/8/8"])
async def test_a_bad_network_is_named_with_its_setting(network: str) -> None:
    with pytest.raises(ValueError, match="TEXT2IMAGE_WEBHOOK_NETWORKS"):
        async with open_webhook_sender(["10.0.0.0/8", network]):
            pass

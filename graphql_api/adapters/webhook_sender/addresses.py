"""Which network addresses webhooks may be sent to: public ones, and those of networks that the operator has named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_Rule = Callable[[Address], bool]

# The registries rather than `is_global`, whose meaning has changed between patch releases of Python:
# https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/iana-ipv6-special-registry
_NOT_PUBLIC_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by the customers of a carrier
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local: the metadata of cloud instances
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        # Looks public, and is the agent of the host on Azure.
        "168.63.129.16/32",
    )
)
_UNICAST_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
# An IPv4-mapped, an IPv4-compatible and a NAT64 address end with the IPv4 address that they stand for.
_ENDING_WITH_V4 = (IPv6Network("::ffff:0:0/96"), IPv6Network("::/96"), IPv6Network("64:ff9b::/96"))


class AddressRule:
    """Tells which addresses may be sent to."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        """`networks` may be sent to although they are not public, such as `10.1.0.0/16`, `fd00:1::/64` or a single
        address. Raises ValueError."""
        self._named = tuple(_network(text) for text in networks)

    def allows(self, address: str) -> bool:
        """Whether an address, in its text form, is public or in a named network."""
        return self._is_all(address, lambda each: self._is_named(each) or _is_public(each))

    def names(self, address: str) -> bool:
        """Whether an address is in a named network."""
        return self._is_all(address, self._is_named)

    def _is_named(self, address: Address) -> bool:
        return any(address in network for network in self._named)

    @staticmethod
    def _is_all(text: str, rule: _Rule) -> bool:
        address = _parsed(text)
        return address is not None and (rule(address) or _all_embedded(address, rule))


def _all_embedded(address: Address, rule: _Rule) -> bool:
    """Whether packets to the address end up at IPv4 addresses, and the rule holds for them."""
    embedded = _embedded(address)
    return bool(embedded) and all(rule(each) for each in embedded)


def _embedded(address: Address) -> Sequence[IPv4Address]:
    if isinstance(address, IPv4Address):
        return ()
    if any(address in network for network in _ENDING_WITH_V4):
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    return address.teredo or ()


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    # What stands for an IPv4 address is judged by that. All else is public only in the part that is given out. That
    # leaves out 64:ff9b:1::/48, behind which a NAT64 of the own network lies, at a place that only this network knows.
    is_unicast = address in _UNICAST_V6 and not _embedded(address)
    return is_unicast and not any(address in network for network in _NOT_PUBLIC_V6)


def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A zone (`fe80::1%eth0`) names a link of this machine.
    return None if isinstance(address, IPv6Address) and address.scope_id is not None else address


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(
            f"TEXT2IMAGE_WEBHOOK_NETWORKS needs networks such as 10.1.0.0/16 or fd00:1::/64, not {text!r}."
        ) from error

"""Who is at the other end of a connection, as far as its address tells, and how much of something is open there."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IPV6_PREFIX = 64
"""A customer gets at least so much of IPv6 (RFC 6177): single addresses of it cost nothing."""

Network = IPv4Network | IPv6Network


def place_of(host: str) -> str:
    """What counts as one address: an IPv4 address, a /64 network of IPv6. What is no address stands for itself."""
    if ":" not in host:
        return host
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((int(address), IPV6_PREFIX), strict=False))
    return host


class OpenByAddress:
    """Counts what is open at each address, `most` at a time. Addresses that have nothing open take no memory."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[str, int] = {}

    def __len__(self) -> int:
        """How many addresses have something open."""
        return len(self._open)

    def enter(self, place: str) -> bool:
        """Count one more, unless there are as many as there may be. What was counted is given back by `leave`."""
        count = self._open.get(place, 0)
        if count >= self._most:
            return False
        self._open[place] = count + 1
        return True

    def leave(self, place: str) -> None:
        """Count one less."""
        left = self._open[place] - 1
        if left:
            self._open[place] = left
        else:
            del self._open[place]


class TrustedProxies:
    """The proxies in front, whose word about addresses is believed."""

    def __init__(self, proxies: Sequence[str]) -> None:
        """Raises ValueError for what is neither an address nor a network, which would be believed never or always."""
        self.names = [str(_network(proxy)) for proxy in proxies]
        self._networks: Sequence[Network] = [_network(proxy) for proxy in proxies]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, host: str) -> bool:
        if not self._networks:
            return False
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(
            "TEXT2IMAGE_TRUSTED_PROXIES names proxies by address or by network, such as 10.0.0.7 or 10.0.0.0/16, "
            f"and not by {text!r}."
        ) from None

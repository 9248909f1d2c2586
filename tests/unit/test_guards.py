"""What counts as one address, and how many messages are too many."""

from __future__ import annotations

import sys

import pytest

from graphql_api.http.addresses import OpenByAddress, TrustedProxies, place_of
from graphql_api.http.guards import BURST_SECONDS, MessageMeter


class Clock:
    """Time that moves when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:0db8:0001:0002::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("not:an:address", "not:an:address"),
        ("", ""),
    ],
)
def test_one_address_is_one_of_ipv4_or_a_network_of_ipv6(host: str, place: str) -> None:
    assert place_of(host) == place


def test_addresses_are_counted_each_for_itself_and_forgotten_when_nothing_is_open() -> None:
    counter = OpenByAddress(2)

    assert [counter.enter(place) for place in ("a", "a", "a", "b")] == [True, True, False, True]
    counter.leave("a")
    assert counter.enter("a")
    for place in ("a", "a", "b"):
        counter.leave(place)
    assert len(counter) == 0


def test_proxies_are_known_by_address_and_by_network() -> None:
    proxies = TrustedProxies(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"])

    assert all(each in proxies for each in ("10.255.0.1", "192.0.2.1", "2001:db8:ffff::1"))
    assert not any(each in proxies for each in ("11.0.0.1", "192.0.2.2", "2001:db9::1", "", "unknown", "10.0.0.1:80"))
    assert not TrustedProxies([])


@pytest.mark.parametrize("name", ["*", "proxy.example", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", ""])
def test_proxy_that_is_no_address_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="TEXT2IMAGE_TRUSTED_PROXIES"):
        TrustedProxies([name])


def test_meter_admits_ten_seconds_of_messages_at_once_and_then_as_many_as_time_allows() -> None:
    clock = Clock()
    meter = MessageMeter(100, clock=clock)

    assert sum(meter.admits() for _ in range(5000)) == 100 * BURST_SECONDS
    clock.now += 0.5
    assert sum(meter.admits() for _ in range(5000)) == 50
    clock.now += 3600
    assert sum(meter.admits() for _ in range(5000)) == 100 * BURST_SECONDS


def test_meter_never_refuses_who_keeps_to_the_rate() -> None:
    clock = Clock()
    meter = MessageMeter(10, clock=clock)

    for _ in range(10_000):
        assert meter.admits()
        clock.now += 0.1


@pytest.mark.parametrize("per_second", [1, 3, 7, 1000])
def test_meter_admits_whole_bursts_at_any_rate(per_second: int) -> None:
    meter = MessageMeter(per_second, clock=Clock())

    assert sum(meter.admits() for _ in range(20 * BURST_SECONDS * per_second)) == BURST_SECONDS * per_second


def test_meter_takes_little_memory() -> None:
    meter = MessageMeter(100)

    assert not hasattr(meter, "__dict__")
    assert sys.getsizeof(meter) < 100

"""Event brokers, chosen by URL scheme."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from graphql_api.ports import EventBroker


@asynccontextmanager
async def open_event_broker(url: str, *, password: str = "") -> AsyncIterator[EventBroker]:
    """Open the broker that a URL names: `memory:`, or `valkey://[user:password@]host[:port][/db]`, which need not be
    there yet. Its password may be given apart from the URL. Raises ValueError, saying what to write, when the URL names
    no broker."""
    match url.partition(":")[0]:
        case "memory":
            from graphql_api.adapters.event_broker.memory import MemoryEventBroker

            yield MemoryEventBroker()
        case "valkey" | "valkeys" | "redis" | "rediss":
            from graphql_api.adapters.event_broker.valkey import open_valkey_event_broker
            from graphql_api.adapters.valkey_url import parse_valkey_url

            async with open_valkey_event_broker(parse_valkey_url(url, password=password)) as broker:
                yield broker
        case scheme:
            raise ValueError(
                f"'{scheme}:' is no event broker; known are memory:, valkey:// and valkeys:// (with TLS), "
                "and redis:// and rediss:// in their place."
            )

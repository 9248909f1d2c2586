"""Event brokers, chosen by URL scheme."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from graphql_api.ports import EventBroker


@asynccontextmanager
async def open_event_broker(url: str) -> AsyncIterator[EventBroker]:
    """Open the broker that a URL names. Raises ValueError for a scheme that is not known."""
    match url.partition(":")[0]:
        case "memory":
            from graphql_api.adapters.event_broker.memory import MemoryEventBroker

            yield MemoryEventBroker()
        case scheme:
            raise ValueError(f"'{scheme}:' is no event broker; known is memory:")

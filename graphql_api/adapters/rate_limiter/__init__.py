"""Rate limiters, chosen by URL scheme."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from graphql_api.ports import RateLimiter


@asynccontextmanager
async def open_rate_limiter(url: str, *, password: str = "") -> AsyncIterator[RateLimiter]:
    """Open the limiter that a URL names, in the form that event brokers have: `memory:`, which counts for one process,
    or `valkey://[user:password@]host[:port][/db]`, which need not be there yet. Its password may be given apart from
    the URL. Raises ValueError, saying what to write, when the URL names no limiter."""
    match url.partition(":")[0]:
        case "memory":
            from graphql_api.adapters.rate_limiter.memory import MemoryRateLimiter

            yield MemoryRateLimiter()
        case "valkey" | "valkeys" | "redis" | "rediss":
            from graphql_api.adapters.rate_limiter.valkey import open_valkey_rate_limiter
            from graphql_api.adapters.valkey_url import parse_valkey_url

            async with open_valkey_rate_limiter(parse_valkey_url(url, password=password)) as limiter:
                yield limiter
        case scheme:
            raise ValueError(
                f"'{scheme}:' is no rate limiter; known are memory:, valkey:// and valkeys:// (with TLS), "
                "and redis:// and rediss:// in their place."
            )

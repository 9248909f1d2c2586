"""GraphQL over Server-Sent Events, in distinct connections mode."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True)
class Event:
    """One event. `data` is None where the server sent none."""

    kind: str
    data: dict[str, Any] | None


class EventStream:
    """An answer that is read event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.comments = 0
        self.retry_hints: list[int] = []

    async def events(self) -> AsyncIterator[Event]:
        """Every event, as the HTML standard says to read them; comments are counted, and hints to reconnect kept."""
        kind, data = "message", ""
        async for line in self.response.aiter_lines():
            if not line:
                if kind != "message" or data:
                    yield Event(kind, json.loads(data) if data else None)
                kind, data = "message", ""
            elif line.startswith(":"):
                self.comments += 1
            elif line.startswith("event:"):
                kind = line.removeprefix("event:").strip()
            elif line.startswith("data:"):
                data += line.removeprefix("data:").removeprefix(" ")
            elif line.startswith("retry:"):
                self.retry_hints.append(int(line.removeprefix("retry:")))
            else:
                raise AssertionError(f"not a line of an event: {line!r}")


@asynccontextmanager
async def open_events(
    http: httpx.AsyncClient, query: str, variables: dict[str, Any] | None = None
) -> AsyncIterator[EventStream]:
    """POST an operation and read its events."""
    body = {"query": query, "variables": variables or {}}
    async with http.stream("POST", "/graphql", json=body, headers={"Accept": EVENT_STREAM}) as response:
        yield EventStream(response)


async def all_events(http: httpx.AsyncClient, query: str, variables: dict[str, Any] | None = None) -> list[Event]:
    """Every event of an operation that ends by itself."""
    async with open_events(http, query, variables) as stream:
        return [event async for event in stream.events()]

"""Waiting for a condition, never for a time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 30.0
"""How long a test waits for what must come. Long, since it costs nothing unless the test fails."""


async def eventually(condition: Callable[[], object], *, within: float = PATIENCE_SECONDS) -> Any:
    """The first true result of `condition`, which may be a coroutine function. Fails when none comes within so many
    seconds."""
    deadline = time.monotonic() + within
    while True:
        result = condition()
        found = await result if inspect.isawaitable(result) else result
        if found:
            return found
        assert time.monotonic() < deadline, f"{inspect.getsource(condition).strip()} was not true within {within} s"
        await asyncio.sleep(0.02)

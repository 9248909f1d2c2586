"""Rates, which are counted by the minute of the clock."""

from __future__ import annotations

import asyncio
import time

MINUTE_SECONDS = 60
ENOUGH_SECONDS = 10.0
"""What a test of a rate takes at most, on a busy machine."""


async def minute_with_time_left() -> None:
    """Wait for the next minute if this one is about to end: from its end on, some requests are let through again."""
    left = MINUTE_SECONDS - time.time() % MINUTE_SECONDS
    if left < ENOUGH_SECONDS:
        await asyncio.sleep(left)

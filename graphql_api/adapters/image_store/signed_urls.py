"""Signed URLs: each key is signed once an hour, however often it is asked for.

All URLs of an hour end together, `valid_seconds` behind the end of the hour. So a URL is valid for at least that long
whenever it is handed out, and stays the same for the whole hour, by which browsers and caches know it again.

Those of S3 and of CloudFront are kept, since their signatures take a while. Those of a folder are not: HMAC takes
microseconds.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

HOUR_SECONDS = 3600
PRESIGNED_SECONDS = 24 * 3600.0
"""How long presigned URLs are valid unless told otherwise."""

MOST_KEPT = 10_000
MOST_KEYS_AT_ONCE = 100
"""How many keys are signed before others get their turn. A page of 100 jobs asks for some 200 URLs at once."""

LEAST_SECRET_CHARS = 32

_EXPIRES = re.compile(r"[1-9][0-9]{0,11}")
_SIGNATURE_BYTES = 16


def end_of_hour(at: float) -> int:
    """When the hour of an instant ends. Instants are seconds of Unix time."""
    return (int(at // HOUR_SECONDS) + 1) * HOUR_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """One URL for each key, in the order of the keys, and the instant until which they may be handed out."""

    urls: Sequence[str]
    fresh_until: float


class UrlSigner(Protocol):
    """Signs URLs without holding up the event loop."""

    async def sign(self, keys: Sequence[str], *, at: float) -> Signed:
        """The URLs of these keys as they are from `at` to the end of its hour."""
        ...


@dataclass(frozen=True, slots=True)
class _Kept:
    url: str
    fresh_until: float


class SignedUrls:
    """Keeps the URLs that were used last. Keys that are asked for together are signed together; concurrent requests for
    one key share its signature."""

    def __init__(
        self, signer: UrlSigner, *, clock: Callable[[], float] = time.time, most_kept: int = MOST_KEPT
    ) -> None:
        self._signer = signer
        self._clock = clock
        self._most_kept = most_kept
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[Mapping[str, str]]] = {}
        self._waiting: list[str] = []
        self._waiting_task: asyncio.Task[Mapping[str, str]] | None = None
        self._turn = asyncio.Lock()

    async def url_for(self, key: str) -> str:
        """The URL of a key. Raises what the signer raises; a failure is not kept."""
        kept = self._kept.get(key)
        if kept is not None and self._clock() < kept.fresh_until:
            self._kept.move_to_end(key)
            return kept.url
        batch = self._under_way.get(key) or self._join_batch(key)
        # Others may wait for the same signature, so nobody takes it along when giving up.
        urls = await asyncio.shield(batch)
        return urls[key]

    async def close(self) -> None:
        """Give up what is not signed yet."""
        tasks = set(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _join_batch(self, key: str) -> asyncio.Task[Mapping[str, str]]:
        if self._waiting_task is None or len(self._waiting) >= MOST_KEYS_AT_ONCE:
            self._waiting = []
            # It does not start before everybody who is running now has joined.
            self._waiting_task = asyncio.create_task(self._sign(self._waiting))
        self._waiting.append(key)
        self._under_way[key] = self._waiting_task
        return self._waiting_task

    async def _sign(self, keys: list[str]) -> Mapping[str, str]:
        try:
            async with self._turn:
                if keys is self._waiting:
                    self._waiting_task = None
                signed = await self._signer.sign(keys, at=self._clock())
            urls = dict(zip(keys, signed.urls, strict=True))
            for key, url in urls.items():
                self._keep(key, _Kept(url, signed.fresh_until))
            return urls
        finally:
            if keys is self._waiting:
                self._waiting_task = None
            for key in keys:
                self._under_way.pop(key, None)

    def _keep(self, key: str, kept: _Kept) -> None:
        self._kept[key] = kept
        self._kept.move_to_end(key)
        if len(self._kept) > self._most_kept:
            self._kept.popitem(last=False)


class FolderSigning:
    """Signs the URLs of images that this program hands out itself, and checks them. HMAC-SHA256, cut to 128 bits, over
    key and expiry. Equal secrets, keys and hours give equal URLs, in every process."""

    def __init__(self, secret: str, *, valid_seconds: float, clock: Callable[[], float] = time.time) -> None:
        """URLs are valid for at least `valid_seconds` when they are handed out. Raises ValueError for a secret that is
        too short to be one."""
        if len(secret) < LEAST_SECRET_CHARS:
            raise ValueError(
                f"TEXT2IMAGE_URL_SECRET must have at least {LEAST_SECRET_CHARS} characters, "
                "such as `openssl rand -hex 32` makes."
            )
        self._secret = secret.encode()
        self._valid_seconds = math.ceil(valid_seconds)
        self._clock = clock

    def query_of(self, key: str) -> str:
        """What follows the key in its URL: `expires`, in seconds of Unix time, and `signature`."""
        expires = str(end_of_hour(self._clock()) + self._valid_seconds)
        return f"expires={expires}&signature={self._signature(key, expires)}"

    def seconds_left(self, key: str, *, expires: str, signature: str) -> int | None:
        """How long a URL is valid still, at least 1; None when it is not, for whatever reason."""
        # Compared in full also when it is over, so that the time tells nothing of the signature.
        is_ours = hmac.compare_digest(signature.encode(), self._signature(key, expires).encode())
        if not is_ours or not _EXPIRES.fullmatch(expires):
            return None
        left = math.ceil(int(expires) - self._clock())
        return left if left > 0 else None

    def _signature(self, key: str, expires: str) -> str:
        signed = hmac.digest(self._secret, f"{key}?expires={expires}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(signed[:_SIGNATURE_BYTES]).rstrip(b"=").decode()

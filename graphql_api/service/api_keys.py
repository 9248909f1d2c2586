"""API keys: made, rotated, revoked, and told from what is none.

A token is `t2i_<ID of the key: 12 hex>_<secret: 48 hex>`. Of the secret only the SHA-256 is kept. It is 192 bits of
chance, which nobody finds by trying, so that a hash that is slow on purpose would cost time and gain nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import re
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any

from graphql_api.domain.api_key import ApiKey
from graphql_api.domain.caller import MAX_NAME_CHARS, UNLIMITED, Caller, CallerLimits, CallerRole
from graphql_api.domain.errors import InvalidInput, NotAuthenticated, ServiceUnavailable
from graphql_api.domain.ids import CallerId
from graphql_api.ports import MAX_BUDGET, MAX_LIMIT, KeyStore
from graphql_api.service.clock import Clock, utc_now

GRACE_SECONDS = 24 * 3600.0
"""How long a key that was rotated goes on, unless told otherwise."""

MAX_GRACE_SECONDS = 366 * 24 * 3600.0

FRESH_SECONDS = 10.0
"""How long a key counts without another look at the store: what a revocation takes to work everywhere."""

STALE_SECONDS = 60.0
"""How long it counts while the store does not answer."""

MAX_KNOWN = 10_000
MAX_UNKNOWN = 4_096
"""How many tokens are remembered that are keys, and that are none. Apart, so that guesses drive no key out."""

_LOOKUP_SECONDS = 3.0
_RETRY_SECONDS = 2.0
_NEW_LOOKUPS = 8
"""Lookups at a time of tokens that were not seen before. Those of callers who are known do not queue behind them."""

_KEY_ID = re.compile(r"[0-9a-f]{12}")
_TOKEN = re.compile(r"t2i_([0-9a-f]{12})_([0-9a-f]{48})")
_FINGERPRINT = re.compile(r"([0-9a-f]{12}):([0-9a-f]{64})")
_TOKEN_CHARS = 65
_CALLER_ID = re.compile(r"[A-Za-z0-9._:@|-]{1,200}")
_NO_SECRET = hashlib.sha256(b"").hexdigest()


class KeyNotFound(InvalidInput):
    """There is no such key."""

    def __init__(self) -> None:
        super().__init__("There is no key with this ID.", path=("id",))


class KeyEnded(InvalidInput):
    """The key has expired or was revoked."""

    def __init__(self) -> None:
        super().__init__("This key has ended; create another.", path=("id",))


@dataclass(frozen=True, slots=True)
class DrawnKey:
    """A token that no server knows yet, and what a server has to know of it: `<ID of the key>:<SHA-256 of the secret>`,
    which may be shown to anybody."""

    token: str = field(repr=False)
    fingerprint: str


def draw_key() -> DrawnKey:
    """Draw a token by chance."""
    key_id, secret = secrets.token_hex(6), secrets.token_hex(24)
    secret_sha256 = hashlib.sha256(secret.encode()).hexdigest()
    return DrawnKey(token=f"t2i_{key_id}_{secret}", fingerprint=f"{key_id}:{secret_sha256}")


class ApiKeys:
    """What is done with keys by those who run the server."""

    def __init__(self, store: KeyStore, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self,
        caller_id: str | None,
        name: str,
        *,
        role: CallerRole = CallerRole.MEMBER,
        limits: CallerLimits = UNLIMITED,
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key, and return it with its token, which cannot be had again. Without a caller it is a new one's.

        Raises InvalidInput, ServiceUnavailable.
        """
        drawn = draw_key()
        key = await self.admit(drawn.fingerprint, caller_id, name, role=role, limits=limits, expires_at=expires_at)
        return key, drawn.token

    async def admit(
        self,
        fingerprint: str,
        caller_id: str | None,
        name: str,
        *,
        role: CallerRole = CallerRole.MEMBER,
        limits: CallerLimits = UNLIMITED,
        expires_at: datetime | None = None,
    ) -> ApiKey:
        """As `create`, but the key was drawn elsewhere, and its token is not known here.

        Raises InvalidInput, also where the key is there already, ServiceUnavailable.
        """
        now = self._clock()
        match = _FINGERPRINT.fullmatch(fingerprint)
        if match is None:
            raise InvalidInput(
                "A fingerprint is <ID of the key: 12 hex>:<SHA-256 of its secret: 64 hex>, as `keys draw` prints it.",
                path=("fingerprint",),
            )
        key_id, secret_sha256 = match.groups()
        _check_name(name)
        _check_limits(limits)
        if caller_id is not None and not _CALLER_ID.fullmatch(caller_id):
            raise InvalidInput("A caller ID is 1 to 200 letters, digits and . _ : @ | - signs.", path=("callerId",))
        if expires_at is not None and expires_at <= now:
            raise InvalidInput("A key must end in the future.", path=("expiresAt",))
        own = f"key-{key_id}"
        key = ApiKey(
            id=key_id,
            caller_id=CallerId(caller_id or own),
            name=name,
            account=own,
            secret_sha256=secret_sha256,
            created_at=now,
            role=role,
            limits=limits,
            expires_at=expires_at,
        )
        try:
            await self._store.add(key)
        except ValueError as error:
            raise InvalidInput("This key is there already.", path=("fingerprint",)) from error
        return key

    async def rotate(self, key_id: str, grace_seconds: float = GRACE_SECONDS) -> tuple[ApiKey, str]:
        """Make a key in the place of another, and return it with its token. The other ends after the grace time.

        The new one has the other's caller, account, role, limits and name, and as long a life as the other was given.
        Raises KeyNotFound, KeyEnded, InvalidInput, ServiceUnavailable.
        """
        if not 0 <= grace_seconds <= MAX_GRACE_SECONDS:
            raise InvalidInput("The grace time is 0 to 366 days.", path=("graceSeconds",))
        old = await self._find(key_id)
        now = self._clock()
        if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
            raise KeyEnded
        drawn = draw_key()
        key_id, _, secret_sha256 = drawn.fingerprint.partition(":")
        new = replace(
            old,
            id=key_id,
            secret_sha256=secret_sha256,
            created_at=now,
            expires_at=None if old.expires_at is None else now + (old.expires_at - old.created_at),
        )
        # The new one first: whatever happens in between, there is one that works.
        await self._store.add(new)
        ends_at = now + timedelta(seconds=grace_seconds)
        if old.expires_at is None or old.expires_at > ends_at:
            await self._store.update(replace(old, expires_at=ends_at))
        return new, drawn.token

    async def revoke(self, key_id: str) -> ApiKey:
        """End a key, for good. One that was revoked before stays as it is. Raises KeyNotFound, ServiceUnavailable."""
        key = await self._find(key_id)
        if key.revoked_at is not None:
            return key
        revoked = replace(key, revoked_at=self._clock())
        if not await self._store.update(revoked):
            raise KeyNotFound
        return revoked

    async def all(self) -> Sequence[ApiKey]:
        """Every key, also those that have ended, by the time of their creation. Raises ServiceUnavailable."""
        return await self._store.all()

    async def _find(self, key_id: str) -> ApiKey:
        key = await self._store.find(key_id) if _KEY_ID.fullmatch(key_id) else None
        if key is None:
            raise KeyNotFound
        return key


@dataclass(slots=True)
class _Known:
    """A token that is a key's. Times are of the monotonic clock."""

    caller: Caller
    checked_at: float
    look_at: float
    """From when on the store is asked again."""
    is_in_doubt: bool = False
    """Whether the store did not answer when it was asked again."""


class KeyAuthenticator:
    """An Authenticator for API keys. It remembers what the store said of a token by the SHA-256 of the token."""

    def __init__(
        self, store: KeyStore, *, clock: Clock = utc_now, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._known: dict[bytes, _Known] = {}
        self._unknown: dict[bytes, float] = {}
        self._lookups: dict[bytes, asyncio.Task[Caller | None]] = {}
        self._new_lookups = asyncio.Semaphore(_NEW_LOOKUPS)

    async def authenticate(self, token: str | None) -> Caller:
        """Who shows this key. Raises NotAuthenticated, and ServiceUnavailable for a key that was not seen lately while
        the store does not answer."""
        # The length first: it costs nothing, however long the token.
        if token is None or len(token) != _TOKEN_CHARS or not token.isascii():
            raise NotAuthenticated
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._monotonic() < known.look_at:
            return self._unless_expired(known.caller)
        caller = await self._look_up(digest, token, known)
        if caller is None:
            raise NotAuthenticated
        return self._unless_expired(caller)

    def _unless_expired(self, caller: Caller) -> Caller:
        if caller.expires_at is not None and caller.expires_at <= self._clock():
            raise NotAuthenticated("Token expired", is_expired=True)
        return caller

    async def _look_up(self, digest: bytes, token: str, known: _Known | None) -> Caller | None:
        """Whose token it is, None for nobody's. All who ask for the same one share a lookup."""
        if self._monotonic() < self._unknown.get(digest, -math.inf):
            return None
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        lookup = self._lookups.get(digest)
        if lookup is None:
            asking = self._ask(digest, *match.groups(), is_new=known is None)
            lookup = self._lookups[digest] = asyncio.create_task(asking)
            lookup.add_done_callback(lambda done: self._forget_lookup(digest, done))
        if known is not None and known.is_in_doubt and self._still_counts(known):
            # Nobody waits again for a store that is away; the answer counts when it comes.
            return known.caller
        try:
            # Who gives up does not take the answer from the others.
            return await asyncio.shield(lookup)
        except ServiceUnavailable:
            if known is None or not self._still_counts(known):
                raise
            known.is_in_doubt = True
            return known.caller

    def _still_counts(self, known: _Known) -> bool:
        """Whether a key that was seen lately counts while the store is away; if so, for a moment without a look."""
        now = self._monotonic()
        if now - known.checked_at > STALE_SECONDS:
            return False
        known.look_at = now + _RETRY_SECONDS
        return True

    def _forget_lookup(self, digest: bytes, done: asyncio.Task[Caller | None]) -> None:
        del self._lookups[digest]
        if not done.cancelled():
            # Told to whoever waited, if anybody still did.
            done.exception()

    async def _ask(self, digest: bytes, key_id: str, secret: str, *, is_new: bool) -> Caller | None:
        now = self._monotonic()
        key = await self._find(key_id, is_new=is_new)
        # The same work whether there is such a key or not.
        shown = hashlib.sha256(secret.encode()).hexdigest()
        is_right = hmac.compare_digest(shown, _NO_SECRET if key is None else key.secret_sha256)
        if key is None or not is_right or key.revoked_at is not None:
            self._known.pop(digest, None)
            self._unknown.pop(digest, None)
            _make_room(self._unknown, MAX_UNKNOWN)
            self._unknown[digest] = now + FRESH_SECONDS
            return None
        caller = key.caller
        # Taken out and put in again, so that the one that was not asked about for the longest time is the first.
        self._known.pop(digest, None)
        _make_room(self._known, MAX_KNOWN)
        self._known[digest] = _Known(caller, checked_at=now, look_at=now + FRESH_SECONDS)
        return caller

    async def _find(self, key_id: str, *, is_new: bool) -> ApiKey | None:
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS), self._new_lookups if is_new else nullcontext():
                return await self._store.find(key_id)
        except TimeoutError as error:
            raise ServiceUnavailable from error


def _make_room(entries: dict[bytes, Any], most: int) -> None:
    while len(entries) >= most:
        del entries[next(iter(entries))]


def _check_name(name: str) -> None:
    # Printable: a name goes to logs and terminals, where control characters and line ends would forge what others say.
    if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable() or not name.strip():
        raise InvalidInput(f"A name is 1 to {MAX_NAME_CHARS} printable characters.", path=("name",))


def _check_limits(limits: CallerLimits) -> None:
    for limit in fields(limits):
        value = getattr(limits, limit.name)
        most = MAX_BUDGET if limit.name == "dollars_per_month" else MAX_LIMIT
        if value is not None and not 0 <= value <= most:
            first, *rest = limit.name.split("_")
            raise InvalidInput(
                f"A limit is a number that is not negative, here at most {most:.0f}.",
                path=("limits", first + "".join(part.capitalize() for part in rest)),
            )

"""The public keys of an issuer of tokens: fetched, kept, and fetched again when they change (RFC 7517)."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from graphql_api.domain.errors import ServiceUnavailable

logger = logging.getLogger(__name__)

FRESH_SECONDS = 600.0
"""How long keys count before they are fetched again."""

KEPT_SECONDS = 24 * 3600.0
"""How much longer they count while that fails."""

PAUSE_SECONDS = 10.0
"""Least time from one fetch to the next, whoever asks for what key."""

FETCH_SECONDS = 5.0
MAX_BYTES = 1024 * 1024
MAX_KEYS = 100

MAX_TRIES = 10
"""How many keys a token is tried with that does not say which is its own."""

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Mapping[str, str] = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_PUBLIC = ("kty", "n", "e", "crv", "x", "y")
"""What a public key is made of. Private parts, which somebody may publish by mistake, are left out."""

_LEAST_RSA_BITS = 2048


class NotFetched(Exception):
    """The issuer gave no keys. The text is for the log."""


@dataclass(frozen=True, slots=True, eq=False)
class IssuerKey:
    """A key of the issuer. Only tokens with one of its algorithms can be its: a public key is never an HMAC secret."""

    kid: str | None
    algorithms: Sequence[str]
    key: Any
    source: Mapping[str, object]


class IssuerKeys:
    """The keys of an issuer. One fetch at a time, for everybody who waits for it."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        issuer: str,
        jwks_url: str = "",
        monotonic: Callable[[], float] = time.monotonic,
        fetch_seconds: float = FETCH_SECONDS,
    ) -> None:
        self._client = client
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._monotonic = monotonic
        self._fetch_seconds = fetch_seconds
        self._keys: Sequence[IssuerKey] = ()
        self._fetch_at = float("-inf")
        self._again_at = float("-inf")
        self._end_at = float("-inf")
        self._is_failing = False
        self._fetching: asyncio.Task[None] | None = None

    def holds(self, key: IssuerKey) -> bool:
        """Whether a key counts, without a look at the issuer; False too when it is time to look."""
        return key in self._keys and self._monotonic() < self._fetch_at

    async def candidates(
        self, kid: str | None, algorithm: str, *, beyond: Collection[IssuerKey] = ()
    ) -> Sequence[IssuerKey]:
        """The keys that may have signed a token with this header, except those that were tried already (`beyond`).
        Empty when the issuer has none.

        Raises ServiceUnavailable when nobody knows, because the keys cannot be fetched.
        """
        if self._monotonic() >= self._fetch_at:
            await self._look(waits=not (self._is_failing and self._is_any))
        found = self._matching(kid, algorithm, beyond)
        if found:
            return found
        # Perhaps the key is new.
        await self._look(waits=True)
        found = self._matching(kid, algorithm, beyond)
        if not found and self._is_failing:
            raise ServiceUnavailable
        return found

    async def refresh(self) -> None:
        """Fetch the keys, unless that was done lately. Does not raise."""
        await self._look(waits=True)

    async def close(self) -> None:
        """Stop fetching."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    @property
    def count(self) -> int:
        """How many keys count."""
        return len(self._keys) if self._is_any else 0

    @property
    def _is_any(self) -> bool:
        return bool(self._keys) and self._monotonic() < self._end_at

    def _matching(self, kid: str | None, algorithm: str, beyond: Collection[IssuerKey]) -> Sequence[IssuerKey]:
        if not self._is_any:
            return ()
        named = (key for key in self._keys if kid is None or key.kid == kid)
        return [key for key in named if algorithm in key.algorithms and key not in beyond][:MAX_TRIES]

    async def _look(self, *, waits: bool) -> None:
        """See to it that the keys are fetched, at most every PAUSE_SECONDS."""
        now = self._monotonic()
        if self._fetching is None:
            if now < self._again_at:
                return
            self._again_at = now + PAUSE_SECONDS
            if self._is_failing:
                # Nobody with an old key waits for this one.
                self._fetch_at = self._again_at
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._end)
        if waits:
            # Who gives up does not take the keys from the others.
            await asyncio.shield(self._fetching)

    def _end(self, _: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._fetch_seconds):
                found = _keys_in(await self._get(self._jwks_url or await self._discover()))
        except (NotFetched, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
            logger.warning("the keys of the issuer of tokens could not be fetched: %s", reason)
            self._is_failing = True
            self._fetch_at = self._monotonic() + PAUSE_SECONDS
            if not self._is_any:
                self._keys = ()
            return
        if self._is_failing:
            logger.info("the keys of the issuer of tokens were fetched")
        now = self._monotonic()
        self._is_failing = False
        self._fetch_at = now + FRESH_SECONDS
        self._end_at = now + FRESH_SECONDS + KEPT_SECONDS
        # Keys that stay are the same objects, so that what was verified with them stays verified.
        self._keys = [next((old for old in self._keys if old.source == key.source), key) for key in found]

    async def _discover(self) -> str:
        """Where the keys are, as the issuer's OpenID configuration says (OpenID Connect Discovery 1.0, section 4)."""
        configuration = await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if configuration.get("issuer") != self._issuer:
            raise NotFetched(
                f"its OpenID configuration is that of {configuration.get('issuer')!r}; TEXT2IMAGE_JWT_ISSUER must be "
                "the same, to the last slash"
            )
        url = configuration.get("jwks_uri")
        if not isinstance(url, str) or not is_safe_url(url):
            raise NotFetched("its OpenID configuration has no jwks_uri that is https")
        return url

    async def _get(self, url: str) -> dict[str, Any]:
        """A JSON object. Redirects are not followed: whoever could make the issuer redirect would sign for it."""
        async with self._client.stream("GET", url) as response:
            if response.status_code != 200:
                raise NotFetched(f"{url} answers {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise NotFetched(f"{url} answers with more than {MAX_BYTES} bytes")
        try:
            found = json.loads(bytes(body))
        except (ValueError, RecursionError):
            raise NotFetched(f"{url} does not answer with JSON") from None
        if not isinstance(found, dict):
            raise NotFetched(f"{url} does not answer with a JSON object")
        return found


def open_client() -> httpx.AsyncClient:
    """A client for fetching keys."""
    return httpx.AsyncClient(
        timeout=FETCH_SECONDS,
        follow_redirects=False,
        # Not compressed, so that the limit of size is one of what is unpacked too.
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "text2image"},
    )


def is_safe_url(url: str) -> bool:
    """Whether nobody on the way can change what comes from a URL: https, or this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _keys_in(jwks: Mapping[str, Any]) -> list[IssuerKey]:
    """The keys of a set that can verify tokens; what else is in it is passed over."""
    listed = jwks.get("keys")
    if not isinstance(listed, list):
        raise NotFetched("its JWKS has no list of keys")
    found = [key for key in map(_key_of, listed[:MAX_KEYS]) if key is not None]
    if not found:
        raise NotFetched("its JWKS has no key that can be used")
    return found


def _key_of(source: object) -> IssuerKey | None:
    if not isinstance(source, dict) or not _is_for_signatures(source):
        return None
    public = {name: source[name] for name in _PUBLIC if isinstance(source.get(name), str)}
    algorithms = _algorithms_of(public, source.get("alg"))
    if not algorithms:
        return None
    try:
        key = jwt.PyJWK(public, algorithms[0]).key
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError):
        return None
    if isinstance(key, RSAPublicKey) and key.key_size < _LEAST_RSA_BITS:
        return None
    kid = source.get("kid")
    return IssuerKey(kid if isinstance(kid, str) else None, algorithms, key, source)


def _is_for_signatures(source: Mapping[str, object]) -> bool:
    operations = source.get("key_ops", ["verify"])
    return source.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _algorithms_of(public: Mapping[str, str], named: object) -> Sequence[str]:
    """The algorithms that tokens of a key may have: the one that it names, if it is one of its kind."""
    algorithms: Sequence[str] = ()
    match public.get("kty"), public.get("crv", ""):
        case "RSA", _:
            algorithms = _RSA
        case "EC", curve if curve in _CURVES:
            algorithms = (_CURVES[curve],)
        case "OKP", "Ed25519":
            algorithms = ("EdDSA",)
    return algorithms if named is None else tuple(each for each in algorithms if each == named)

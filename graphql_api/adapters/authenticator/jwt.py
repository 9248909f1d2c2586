"""Callers whom an identity provider knows: JSON Web Tokens (RFC 7519), verified as RFC 8725 advises."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, TypeGuard

import jwt

from graphql_api.adapters.authenticator.jwks import FETCH_SECONDS, IssuerKey, IssuerKeys, is_safe_url, open_client
from graphql_api.domain.caller import MAX_NAME_CHARS, UNLIMITED, Caller, CallerLimits, CallerRole
from graphql_api.domain.errors import NotAuthenticated, ServiceUnavailable
from graphql_api.domain.ids import CallerId
from graphql_api.ports import MAX_BUDGET, MAX_LIMIT

logger = logging.getLogger(__name__)

MAX_TOKEN_CHARS = 8 * 1024
"""Longer ones are not read."""

LEEWAY_SECONDS = 30.0
"""How far the clocks of the issuer and of this machine may be apart."""

MAX_REMEMBERED = 10_000
MAX_CALLER_ID_CHARS = 200
MAX_SETTING_CHARS = 2_000

_NAME_CLAIMS = ("name", "client_id", "azp")
_WHOLE_LIMITS = frozenset(field.name for field in fields(CallerLimits)) - {"dollars_per_month"}


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtOptions:
    """Which tokens count, and what they say. Raises ValueError, with the name of the setting, for what makes no sense.

    `audience` must be in the claim `audience_claim`; `jwks_url` is empty where the issuer's OpenID configuration tells.
    """

    issuer: str
    audience: str
    audience_claim: str = "aud"
    jwks_url: str = ""
    caller_claim: str = "sub"
    limits_claim: str = "text2image"

    def __post_init__(self) -> None:
        if not is_safe_url(self.issuer) or "?" in self.issuer or not _is_plain(self.issuer):
            raise ValueError(
                "TEXT2IMAGE_JWT_ISSUER must be the issuer of the tokens, such as https://login.example.com/, exactly "
                "as their `iss` says it; http:// is for this machine only."
            )
        if self.jwks_url and not (is_safe_url(self.jwks_url) and _is_plain(self.jwks_url)):
            raise ValueError(
                "TEXT2IMAGE_JWT_JWKS_URL must be where the issuer's keys are, an https:// URL; http:// is for this "
                "machine only."
            )
        required = {
            "AUDIENCE": self.audience,
            "AUDIENCE_CLAIM": self.audience_claim,
            "CALLER_CLAIM": self.caller_claim,
            "LIMITS_CLAIM": self.limits_claim,
        }
        for name, value in required.items():
            if not _is_plain(value):
                raise ValueError(f"TEXT2IMAGE_JWT_{name} must be given, without spaces around it.")


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A token that was verified, until its end in seconds since 1970."""

    caller: Caller
    key: IssuerKey
    ends_at: float


class JwtAuthenticator:
    """An Authenticator for tokens of an issuer. It remembers tokens that it has verified by their SHA-256."""

    def __init__(self, options: JwtOptions, keys: IssuerKeys, *, clock: Callable[[], float] = time.time) -> None:
        self._options = options
        self._keys = keys
        self._clock = clock
        self._remembered: dict[bytes, _Remembered] = {}
        self._has_warned = False

    async def authenticate(self, token: str | None) -> Caller:
        """Who shows this token. Raises NotAuthenticated, and ServiceUnavailable when the issuer's keys are not there.

        A stream ends with the token, at its `exp`; requests have LEEWAY_SECONDS more, for clocks that differ.
        """
        if token is None or len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise NotAuthenticated
        digest = hashlib.sha256(token.encode()).digest()
        seen = self._remembered.get(digest)
        if seen is not None and self._keys.holds(seen.key):
            if self._clock() < seen.ends_at:
                return seen.caller
            del self._remembered[digest]
            raise NotAuthenticated("Token expired", is_expired=True)
        seen = await self._verify(token)
        self._remembered.pop(digest, None)
        while len(self._remembered) >= MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[digest] = seen
        return seen.caller

    async def check(self) -> int:
        """How many keys the issuer has. Raises ServiceUnavailable when they cannot be had."""
        await self._keys.refresh()
        if not self._keys.count:
            raise ServiceUnavailable("The issuer's keys cannot be fetched.")
        return self._keys.count

    async def _verify(self, token: str) -> _Remembered:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise NotAuthenticated from error
        kid, algorithm = header.get("kid"), header.get("alg")
        if not isinstance(algorithm, str) or not (kid is None or isinstance(kid, str)):
            raise NotAuthenticated
        tried = await self._keys.candidates(kid, algorithm)
        verified = self._verified_by(tried, token)
        if verified is None and kid is None:
            # It does not name its key, which may be a new one.
            verified = self._verified_by(await self._keys.candidates(kid, algorithm, beyond=tried), token)
        if verified is None:
            raise NotAuthenticated
        return verified

    def _verified_by(self, keys: Sequence[IssuerKey], token: str) -> _Remembered | None:
        """What a token says that one of these keys has signed. Several are tried where a token does not name its key,
        or two keys have one name."""
        for key in keys:
            claims = self._claims_by(key, token)
            if claims is not None:
                return self._understood(claims, key)
        return None

    def _claims_by(self, key: IssuerKey, token: str) -> Mapping[str, Any] | None:
        """What a token says, None when it was not signed with this key. Raises NotAuthenticated when it was and does
        not count."""
        try:
            return jwt.decode(
                token,
                key.key,
                algorithms=list(key.algorithms),
                issuer=self._options.issuer,
                leeway=LEEWAY_SECONDS,
                # The audience may be in another claim, see `_is_for_us`.
                options={"require": ["exp", "iss"], "verify_aud": False},
            )
        except jwt.ExpiredSignatureError as error:
            raise NotAuthenticated("Token expired", is_expired=True) from error
        except jwt.InvalidSignatureError:
            return None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise NotAuthenticated from error

    def _understood(self, claims: Mapping[str, Any], key: IssuerKey) -> _Remembered:
        options = self._options
        caller_id = _caller_id(claims.get(options.caller_claim))
        ends_at = claims["exp"]
        if caller_id is None or not self._is_for_us(claims) or not _is_number(ends_at):
            raise NotAuthenticated
        try:
            role, limits = _limits_in(claims.get(options.limits_claim))
            expires_at = datetime.fromtimestamp(ends_at, UTC)
        except ClaimNotUnderstood as error:
            if not self._has_warned:
                self._has_warned = True
                logger.warning("a token is refused because %s of its claim %s", error, options.limits_claim)
            raise NotAuthenticated from error
        except (ValueError, OverflowError, OSError) as error:
            raise NotAuthenticated from error
        caller = Caller(
            id=caller_id,
            name=_name_in(claims, caller_id),
            account=caller_id,
            role=role,
            limits=limits,
            expires_at=expires_at,
        )
        return _Remembered(caller, key, ends_at + LEEWAY_SECONDS)

    def _is_for_us(self, claims: Mapping[str, Any]) -> bool:
        audience = claims.get(self._options.audience_claim)
        return self._options.audience in audience if isinstance(audience, list) else audience == self._options.audience


@asynccontextmanager
async def open_jwt_authenticator(
    options: JwtOptions,
    *,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    fetch_seconds: float = FETCH_SECONDS,
) -> AsyncIterator[JwtAuthenticator]:
    """An authenticator for tokens of an issuer, whose keys it begins to fetch. It opens whether they come or not."""
    async with open_client() as client:
        keys = IssuerKeys(
            client,
            issuer=options.issuer,
            jwks_url=options.jwks_url,
            monotonic=monotonic,
            fetch_seconds=fetch_seconds,
        )
        first = asyncio.create_task(keys.refresh())
        try:
            yield JwtAuthenticator(options, keys, clock=clock)
        finally:
            first.cancel()
            await keys.close()
            await asyncio.wait([first])


class ClaimNotUnderstood(Exception):
    """A member of the claim with role and limits has the wrong type. The text names it, and never what is in it."""


def _limits_in(claim: object) -> tuple[CallerRole, CallerLimits]:
    if claim is None:
        return CallerRole.MEMBER, UNLIMITED
    if not isinstance(claim, dict):
        raise ClaimNotUnderstood(f"the type ({type(claim).__name__})")
    role = claim.get("role")
    if role is not None and (not isinstance(role, str) or role.upper() not in CallerRole.__members__):
        raise ClaimNotUnderstood("the member role")
    limits: dict[str, Any] = {}
    for field in fields(CallerLimits):
        value = claim.get(field.name)
        if value is not None and not _is_limit(value, is_whole=field.name in _WHOLE_LIMITS):
            raise ClaimNotUnderstood(f"the member {field.name}")
        limits[field.name] = value
    return CallerRole.MEMBER if role is None else CallerRole[role.upper()], CallerLimits(**limits)


def _name_in(claims: Mapping[str, Any], otherwise: str) -> str:
    """A name that can be shown, and put into a line of a log."""
    for claim in _NAME_CLAIMS:
        value = claims.get(claim)
        name = "".join(filter(str.isprintable, value)).strip() if isinstance(value, str) else ""
        if name:
            return name[:MAX_NAME_CHARS]
    return otherwise[:MAX_NAME_CHARS]


def _caller_id(value: object) -> CallerId | None:
    if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value) <= MAX_CALLER_ID_CHARS:
        return None
    return CallerId(value)


def _is_limit(value: object, *, is_whole: bool) -> bool:
    if not _is_number(value) or (is_whole and not isinstance(value, int)):
        return False
    return 0 <= value <= (MAX_LIMIT if is_whole else MAX_BUDGET)


def _is_number(value: object) -> TypeGuard[int | float]:
    # Whole numbers of hundreds of digits, which JSON may hold, are too much for `isfinite`.
    if isinstance(value, int):
        return not isinstance(value, bool)
    return isinstance(value, float) and math.isfinite(value)


def _is_plain(value: str) -> bool:
    return 0 < len(value) <= MAX_SETTING_CHARS and value == value.strip() and value.isprintable()

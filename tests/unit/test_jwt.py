"""Tokens of an identity provider, which is a real server of keys."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

import pytest

from graphql_api.adapters.authenticator.jwks import FRESH_SECONDS, KEPT_SECONDS, MAX_BYTES, PAUSE_SECONDS
from graphql_api.adapters.authenticator.jwt import (
    LEEWAY_SECONDS,
    MAX_TOKEN_CHARS,
    JwtAuthenticator,
    JwtOptions,
    open_jwt_authenticator,
)
from graphql_api.domain.caller import UNLIMITED, CallerLimits, CallerRole
from graphql_api.domain.errors import NotAuthenticated, ServiceUnavailable
from tests.clients.jwks_server import CONFIGURATION_PATH, JWKS_PATH, JwksServer, SigningKey
from tests.clients.waiting import eventually

AUDIENCE = "https://pictures.example.com"


class Hands:
    """The hands of a clock, which a test turns."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def key() -> SigningKey:
    """The key that the issuer signs with."""
    return SigningKey()


@pytest.fixture
def issuer(key: SigningKey) -> Iterator[JwksServer]:
    """An issuer that answers."""
    server = JwksServer(key).start()
    yield server
    server.stop()


@pytest.fixture
def monotonic() -> Hands:
    """What the age of keys is measured with."""
    return Hands()


@pytest.fixture
def wall() -> Hands:
    """What the end of tokens that are remembered is measured with."""
    return Hands(time.time())


Open = Callable[..., AbstractAsyncContextManager[JwtAuthenticator]]


@pytest.fixture
def open_authenticator(issuer: JwksServer, monotonic: Hands, wall: Hands) -> Open:
    """Opens an authenticator for tokens of the issuer: `open_authenticator(audience_claim="client_id")`."""

    def opens(*, fetch_seconds: float = 5.0, **options: str) -> AbstractAsyncContextManager[JwtAuthenticator]:
        return open_jwt_authenticator(
            JwtOptions(**{"issuer": issuer.issuer, "audience": AUDIENCE, **options}),
            clock=wall,
            monotonic=monotonic,
            fetch_seconds=fetch_seconds,
        )

    return opens


@pytest.fixture
async def authenticator(open_authenticator: Open) -> AsyncIterator[JwtAuthenticator]:
    """An authenticator for tokens of the issuer."""
    async with open_authenticator() as opened:
        yield opened


@pytest.fixture
def claims(issuer: JwksServer) -> dict[str, Any]:
    """What a good token says."""
    return {"iss": issuer.issuer, "aud": AUDIENCE, "sub": "user|1", "exp": int(time.time()) + 3600}


def spelled(header: dict[str, Any], claims: dict[str, Any], secret: bytes = b"") -> str:
    """A token that no library would make: signed with HMAC, or not at all."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = hmac.digest(secret, b".".join(parts), hashlib.sha256) if secret else b""
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


# --- what a token says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA"])
async def test_token_of_the_issuer_tells_who_asks(
    authenticator: JwtAuthenticator, issuer: JwksServer, claims: dict[str, Any], algorithm: str
) -> None:
    key = SigningKey(algorithm)
    issuer.keys = [key]
    caller = await authenticator.authenticate(key.sign({**claims, "name": "Ada"}))
    assert (caller.id, caller.account, caller.name) == ("user|1", "user|1", "Ada")
    assert (caller.role, caller.limits) == (CallerRole.MEMBER, UNLIMITED)
    assert caller.expires_at == datetime.fromtimestamp(claims["exp"], UTC)


async def test_role_and_limits_come_from_their_claim(
    authenticator: JwtAuthenticator, key: SigningKey, claims: dict[str, Any]
) -> None:
    said = {"role": "reader", "jobs_per_minute": 10, "dollars_per_month": 2.5, "sockets": None, "colour": "red"}
    caller = await authenticator.authenticate(key.sign({**claims, "text2image": said}))
    assert caller.role is CallerRole.READER
    assert caller.limits == CallerLimits(jobs_per_minute=10, dollars_per_month=2.5)


async def test_other_claims_can_say_it(open_authenticator: Open, key: SigningKey, claims: dict[str, Any]) -> None:
    options = {
        "audience": "client-7",
        "audience_claim": "client_id",
        "caller_claim": "username",
        "limits_claim": "https://example.com/text2image",
    }
    said = {**claims, "client_id": "client-7", "username": "ada", "https://example.com/text2image": {"role": "READER"}}
    del said["aud"]
    async with open_authenticator(**options) as authenticator:
        caller = await authenticator.authenticate(key.sign(said))
    assert (caller.id, caller.name, caller.role) == ("ada", "client-7", CallerRole.READER)


async def test_audience_may_be_one_of_several(
    authenticator: JwtAuthenticator, key: SigningKey, claims: dict[str, Any]
) -> None:
    assert await authenticator.authenticate(key.sign({**claims, "aud": ["account", AUDIENCE]}))


async def test_name_is_made_fit_to_be_shown(
    authenticator: JwtAuthenticator, key: SigningKey, claims: dict[str, Any]
) -> None:
    caller = await authenticator.authenticate(
        key.sign({**claims, "name": "Ada\r\nSet-Cookie: a=b\x1b[31m" + "x" * 200})
    )
    assert caller.name.startswith("AdaSet-Cookie: a=b[31m")
    assert len(caller.name) == 100
    assert caller.name.isprintable()


@pytest.mark.parametrize(
    "said",
    [
        "reader",
        ["reader"],
        {"role": "admin"},
        {"role": 1},
        {"jobs_per_minute": "10"},
        {"jobs_per_minute": -1},
        {"jobs_per_minute": 1.5},
        {"jobs_per_minute": True},
        {"dollars_per_month": float("nan")},
        {"dollars_per_month": float("inf")},
        {"dollars_per_month": 1.1e9},
        {"dollars_per_month": 10**400},
        {"jobs_in_flight": 2**53 + 1},
        {"jobs_per_minute": 10**400},
    ],
    ids=lambda said: str(said)[:60],
)
async def test_limits_that_make_no_sense_are_not_taken_for_none(
    authenticator: JwtAuthenticator,
    key: SigningKey,
    claims: dict[str, Any],
    said: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for subject in ("one", "two"):
        with pytest.raises(NotAuthenticated):
            await authenticator.authenticate(key.sign({**claims, "sub": subject, "text2image": said}))
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "text2image" in warnings[0].getMessage()


# --- what is no token of ours ----------------------------------------------------------------------------------------


async def test_nobody_without_a_token(authenticator: JwtAuthenticator) -> None:
    with pytest.raises(NotAuthenticated):
        await authenticator.authenticate(None)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example.com"},
        {"iss": None},
        {"aud": "another"},
        {"aud": []},
        {"aud": None},
        {"aud": {AUDIENCE: 1}},
        {"aud": AUDIENCE + "/"},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a\nb"},
        {"sub": "x" * 201},
        # In the year 2100.
        {"nbf": 4_102_444_800},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"exp": 1e300},
        {"exp": 10**400},
        {"nbf": 10**400},
        {"nbf": float("inf")},
        {"iat": 10**400},
        {"iat": float("inf")},
    ],
    ids=lambda change: str(change)[:60],
)
async def test_claims_that_are_wrong_are_refused(
    authenticator: JwtAuthenticator, key: SigningKey, claims: dict[str, Any], change: dict[str, Any]
) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        await authenticator.authenticate(key.sign({**claims, **change}))
    assert not refused.value.is_expired


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "exp"])
async def test_claims_that_are_missing_are_refused(
    authenticator: JwtAuthenticator, key: SigningKey, claims: dict[str, Any], missing: str
) -> None:
    del claims[missing]
    with pytest.raises(NotAuthenticated):
        await authenticator.authenticate(key.sign(claims))


async def test_expired_token_says_so(authenticator: JwtAuthenticator, key: SigningKey, claims: dict[str, Any]) -> None:
    token = key.sign({**claims, "exp": time.time() - LEEWAY_SECONDS - 1})
    with pytest.raises(NotAuthenticated) as refused:
        await authenticator.authenticate(token)
    assert refused.value.is_expired


async def test_clocks_may_differ_a_little(
    authenticator: JwtAuthenticator, key: SigningKey, claims: dict[str, Any]
) -> None:
    now = time.time()
    assert await authenticator.authenticate(key.sign({**claims, "exp": now - LEEWAY_SECONDS / 2}))
    assert await authenticator.authenticate(key.sign({**claims, "nbf": now + LEEWAY_SECONDS / 2}))


async def test_token_that_is_remembered_expires_too(
    authenticator: JwtAuthenticator, key: SigningKey, claims: dict[str, Any], wall: Hands
) -> None:
    token = key.sign(claims)
    assert await authenticator.authenticate(token)
    wall.now = claims["exp"] + LEEWAY_SECONDS
    with pytest.raises(NotAuthenticated) as refused:
        await authenticator.authenticate(token)
    assert refused.value.is_expired


async def test_token_without_signature_is_refused(
    authenticator: JwtAuthenticator, key: SigningKey, claims: dict[str, Any]
) -> None:
    for algorithm in ("none", "None", "NONE", "", None):
        with pytest.raises(NotAuthenticated):
            await authenticator.authenticate(spelled({"alg": algorithm, "kid": key.kid}, claims))


async def test_public_key_is_no_secret_to_sign_with(
    authenticator: JwtAuthenticator, issuer: JwksServer, claims: dict[str, Any]
) -> None:
    key = SigningKey("RS256")
    issuer.keys = [key]
    for secret in (key.public_pem, key.public_pem.strip(), json.dumps(key.jwk).encode(), key.jwk["n"].encode()):
        with pytest.raises(NotAuthenticated):
            await authenticator.authenticate(spelled({"alg": "HS256", "kid": key.kid}, claims, secret))


async def test_secret_that_is_published_is_no_key(
    authenticator: JwtAuthenticator, issuer: JwksServer, key: SigningKey, claims: dict[str, Any]
) -> None:
    secret = b"a secret of 32 bytes, or of more"
    published = {"kty": "oct", "kid": "oct", "alg": "HS256", "k": base64.urlsafe_b64encode(secret).decode()}
    issuer.answers[JWKS_PATH] = (200, json.dumps({"keys": [published, key.jwk]}).encode())
    with pytest.raises(NotAuthenticated):
        await authenticator.authenticate(spelled({"alg": "HS256", "kid": "oct"}, claims, secret))
    assert await authenticator.authenticate(key.sign(claims))


async def test_key_signs_with_its_own_algorithm_only(
    authenticator: JwtAuthenticator, issuer: JwksServer, claims: dict[str, Any]
) -> None:
    key = SigningKey("RS256")
    issuer.keys = [key]
    assert await authenticator.authenticate(key.sign(claims))
    key.algorithm = "PS256"
    with pytest.raises(NotAuthenticated):
        await authenticator.authenticate(key.sign({**claims, "sub": "other"}))


async def test_tampered_token_is_refused(
    authenticator: JwtAuthenticator, key: SigningKey, claims: dict[str, Any]
) -> None:
    header, _, signature = key.sign(claims).split(".")
    _, payload, _ = key.sign({**claims, "sub": "user|2"}).split(".")
    for token in (f"{header}.{payload}.{signature}", f"{header}.{payload}.", f"{header}.{payload}"):
        with pytest.raises(NotAuthenticated):
            await authenticator.authenticate(token)


async def test_token_of_another_key_is_refused(
    authenticator: JwtAuthenticator, key: SigningKey, claims: dict[str, Any]
) -> None:
    with pytest.raises(NotAuthenticated):
        await authenticator.authenticate(SigningKey(kid=key.kid).sign(claims))


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b.c", "bearer", "ключ", "\ud800", "\0" * 20, "e30.e30.e30", "W10.W10.W10", "%" * 500],
    ids=range(11),
)
async def test_garbage_is_refused(authenticator: JwtAuthenticator, token: str) -> None:
    with pytest.raises(NotAuthenticated):
        await authenticator.authenticate(token)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "ES256", "kid": 7},
        {"alg": ["ES256"]},
        {"alg": {}},
        {},
        {"alg": "ES256", "crit": ["exp"]},
        {"alg": "ES256", "b64": False, "crit": ["b64"]},
        {"alg": "ES256", "jku": "https://evil.example.com/jwks.json", "x5u": "https://evil.example.com/"},
    ],
    ids=str,
)
async def test_strange_headers_are_refused(
    authenticator: JwtAuthenticator, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    with pytest.raises(NotAuthenticated):
        await authenticator.authenticate(spelled(header, claims, b"some signature"))


async def test_huge_token_is_not_read(
    authenticator: JwtAuthenticator, issuer: JwksServer, key: SigningKey, claims: dict[str, Any]
) -> None:
    assert await authenticator.authenticate(key.sign(claims))
    token = key.sign({**claims, "padding": "x" * MAX_TOKEN_CHARS})
    with pytest.raises(NotAuthenticated):
        await authenticator.authenticate(token)


async def test_deep_token_is_refused(authenticator: JwtAuthenticator, key: SigningKey) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=")
    with pytest.raises(NotAuthenticated):
        await authenticator.authenticate(f"{deep}.e30.e30")


# --- keys ------------------------------------------------------------------------------------------------------------


async def test_keys_are_where_the_setting_says(
    open_authenticator: Open, issuer: JwksServer, key: SigningKey, claims: dict[str, Any]
) -> None:
    async with open_authenticator(jwks_url=issuer.jwks_url) as authenticator:
        assert await authenticator.authenticate(key.sign(claims))
    assert issuer.requests == [JWKS_PATH]


async def test_keys_are_fetched_once_for_everybody(
    authenticator: JwtAuthenticator, issuer: JwksServer, key: SigningKey, claims: dict[str, Any]
) -> None:
    tokens = [key.sign({**claims, "sub": f"user-{number}"}) for number in range(50)]
    callers = await asyncio.gather(*map(authenticator.authenticate, tokens))
    assert len({caller.id for caller in callers}) == 50
    assert issuer.requests == [CONFIGURATION_PATH, JWKS_PATH]


async def test_key_that_is_new_is_found_at_once(
    authenticator: JwtAuthenticator, issuer: JwksServer, key: SigningKey, claims: dict[str, Any], monotonic: Hands
) -> None:
    assert await authenticator.authenticate(key.sign(claims))
    monotonic.now += PAUSE_SECONDS
    new = SigningKey()
    issuer.keys = [key, new]
    assert await authenticator.authenticate(new.sign(claims))
    assert await authenticator.authenticate(key.sign(claims))
    assert issuer.fetches == 2


async def test_key_that_is_gone_counts_no_more_once_keys_are_fetched_again(
    authenticator: JwtAuthenticator, issuer: JwksServer, key: SigningKey, claims: dict[str, Any], monotonic: Hands
) -> None:
    token = key.sign({**claims, "exp": time.time() + 10 * FRESH_SECONDS})
    assert await authenticator.authenticate(token)
    issuer.keys = [SigningKey()]
    monotonic.now += FRESH_SECONDS - 1
    assert await authenticator.authenticate(token)
    monotonic.now += 1
    with pytest.raises(NotAuthenticated):
        await authenticator.authenticate(token)


async def test_token_without_key_id_is_tried_with_every_key(
    authenticator: JwtAuthenticator, issuer: JwksServer, key: SigningKey, claims: dict[str, Any], monotonic: Hands
) -> None:
    second = SigningKey()
    issuer.keys = [key, SigningKey("EdDSA"), second]
    assert await authenticator.authenticate(second.sign(claims, header={"kid": None}))
    third = SigningKey()
    issuer.keys = [third]
    monotonic.now += PAUSE_SECONDS
    assert await authenticator.authenticate(third.sign(claims, header={"kid": None}))
    with pytest.raises(NotAuthenticated):
        await authenticator.authenticate(SigningKey().sign(claims, header={"kid": None}))
    assert issuer.fetches == 2


async def test_keys_may_share_an_id(
    authenticator: JwtAuthenticator, issuer: JwksServer, key: SigningKey, claims: dict[str, Any]
) -> None:
    twin = SigningKey(kid=key.kid)
    issuer.keys = [key, twin]
    assert await authenticator.authenticate(key.sign(claims))
    assert await authenticator.authenticate(twin.sign({**claims, "sub": "other"}))
    with pytest.raises(NotAuthenticated):
        await authenticator.authenticate(SigningKey(kid=key.kid).sign(claims))


async def test_flood_of_unknown_keys_causes_one_fetch_in_ten_seconds(
    authenticator: JwtAuthenticator, issuer: JwksServer, key: SigningKey, claims: dict[str, Any], monotonic: Hands
) -> None:
    assert await authenticator.authenticate(key.sign(claims))
    stranger = SigningKey()
    flood = [stranger.sign(claims, header={"kid": f"{number}"}) for number in range(100)]
    for fetches in (1, 2, 3):
        answers = await asyncio.gather(*map(authenticator.authenticate, flood), return_exceptions=True)
        assert {type(answer) for answer in answers} == {NotAuthenticated}
        assert issuer.fetches == fetches
        monotonic.now += PAUSE_SECONDS


async def test_weak_and_foreign_keys_are_passed_over(
    authenticator: JwtAuthenticator, issuer: JwksServer, key: SigningKey, claims: dict[str, Any]
) -> None:
    weak = SigningKey("RS256", rsa_bits=1024)
    encrypts = SigningKey()
    listed = [
        weak.jwk,
        {**encrypts.jwk, "use": "enc"},
        {**SigningKey().jwk, "key_ops": ["encrypt"]},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "broken"},
        {"kty": ["RSA"]},
        {"kty": "RSA", "n": 5, "e": "AQAB"},
        {"kty": "RSA", "n": "AQAB"},
        {"kty": "RSA", "n": "", "e": ""},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": "EC", "crv": ["P-256"]},
        None,
        "key",
        key.jwk,
    ]
    issuer.answers[JWKS_PATH] = (200, json.dumps({"keys": listed}).encode())
    assert await authenticator.authenticate(key.sign(claims))
    with pytest.warns(match="below the minimum"):
        token = weak.sign(claims)
    for refused in (token, encrypts.sign(claims)):
        with pytest.raises(NotAuthenticated):
            await authenticator.authenticate(refused)


# --- an issuer that does not answer ----------------------------------------------------------------------------------


async def test_issuer_that_is_down_at_the_start_is_no_fault_of_callers(
    issuer: JwksServer, open_authenticator: Open, key: SigningKey, claims: dict[str, Any], monotonic: Hands
) -> None:
    issuer.stop()
    async with open_authenticator() as authenticator:
        with pytest.raises(ServiceUnavailable):
            await authenticator.authenticate(key.sign(claims))
        issuer.start()
        with pytest.raises(ServiceUnavailable):
            await authenticator.authenticate(key.sign(claims))
        monotonic.now += PAUSE_SECONDS
        assert await authenticator.authenticate(key.sign(claims))


async def test_old_keys_count_for_a_day_while_the_issuer_is_down(
    authenticator: JwtAuthenticator, issuer: JwksServer, key: SigningKey, claims: dict[str, Any], monotonic: Hands
) -> None:
    token = key.sign(claims)
    assert await authenticator.authenticate(token)
    issuer.stop()
    monotonic.now += FRESH_SECONDS + KEPT_SECONDS - 1
    assert await authenticator.authenticate(token)
    assert await authenticator.authenticate(key.sign({**claims, "sub": "other"}))
    # It may be a new key's, nobody knows.
    with pytest.raises(ServiceUnavailable):
        await authenticator.authenticate(SigningKey().sign(claims))
    monotonic.now += PAUSE_SECONDS
    with pytest.raises(ServiceUnavailable):
        await authenticator.authenticate(token)
    issuer.start()
    monotonic.now += PAUSE_SECONDS
    assert await authenticator.authenticate(token)


async def test_issuer_that_hangs_holds_up_nobody_whose_key_is_known(
    open_authenticator: Open, issuer: JwksServer, key: SigningKey, claims: dict[str, Any], monotonic: Hands
) -> None:
    async with open_authenticator(fetch_seconds=0.2) as authenticator:
        token = key.sign(claims)
        assert await authenticator.authenticate(token)
        issuer.hang()
        monotonic.now += FRESH_SECONDS
        assert await authenticator.authenticate(token)
        asked = len(issuer.requests)
        monotonic.now += PAUSE_SECONDS
        assert await authenticator.authenticate(token)
        await eventually(lambda: len(issuer.requests) > asked)
        issuer.resume()


async def test_issuer_that_hangs_at_the_start_is_given_up(
    open_authenticator: Open, issuer: JwksServer, key: SigningKey, claims: dict[str, Any]
) -> None:
    issuer.hang()
    async with open_authenticator(fetch_seconds=0.2) as authenticator:
        with pytest.raises(ServiceUnavailable):
            await authenticator.authenticate(key.sign(claims))


async def test_closing_does_not_wait_for_an_issuer_that_hangs(open_authenticator: Open, issuer: JwksServer) -> None:
    issuer.hang()
    async with open_authenticator(fetch_seconds=3600):
        await eventually(lambda: issuer.requests)


async def test_caller_who_gives_up_does_not_stop_the_fetch_of_others(
    open_authenticator: Open, issuer: JwksServer, key: SigningKey, claims: dict[str, Any]
) -> None:
    issuer.hang()
    async with open_authenticator() as authenticator:
        gone, stays = (asyncio.create_task(authenticator.authenticate(key.sign(claims))) for _ in range(2))
        await eventually(lambda: issuer.requests)
        gone.cancel()
        await asyncio.wait([gone])
        issuer.resume()
        assert await stays
        assert issuer.fetches == 1


@pytest.mark.parametrize(
    "answer",
    [
        (500, b"{}"),
        (200, b"not JSON"),
        (200, b"[]"),
        (200, b"[" * 50_000),
        (200, b"{}"),
        (200, b'{"keys": []}'),
        (200, b'{"keys": {"a": 1}}'),
        (200, b'{"keys": [{"kty": "RSA"}]}'),
        (200, b" " * (MAX_BYTES + 1)),
        (302, b"{}"),
    ],
    ids=range(10),
)
async def test_nonsense_from_the_issuer_counts_as_no_answer(
    issuer: JwksServer, open_authenticator: Open, key: SigningKey, claims: dict[str, Any], answer: tuple[int, bytes]
) -> None:
    issuer.answers[JWKS_PATH] = answer
    issuer.headers["Location"] = "/elsewhere"
    async with open_authenticator() as authenticator:
        with pytest.raises(ServiceUnavailable):
            await authenticator.authenticate(key.sign(claims))
    assert "/elsewhere" not in issuer.requests


@pytest.mark.parametrize(
    "configuration",
    [
        {"issuer": "https://evil.example.com"},
        {"issuer": "{issuer}/"},
        {"jwks_uri": "http://keys.example.com/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": 7},
        {"jwks_uri": None},
    ],
    ids=str,
)
async def test_configuration_must_be_that_of_the_issuer(
    issuer: JwksServer,
    open_authenticator: Open,
    key: SigningKey,
    claims: dict[str, Any],
    configuration: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = json.dumps({"issuer": issuer.issuer, "jwks_uri": issuer.jwks_url, **configuration})
    issuer.answers[CONFIGURATION_PATH] = (200, said.replace("{issuer}", issuer.issuer).encode())
    async with open_authenticator() as authenticator:
        with pytest.raises(ServiceUnavailable):
            await authenticator.authenticate(key.sign(claims))
    assert "OpenID configuration" in caplog.text


async def test_log_never_holds_a_token(
    authenticator: JwtAuthenticator,
    key: SigningKey,
    claims: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    token = key.sign({**claims, "text2image": {"jobs_per_minute": "a secret"}})
    with pytest.raises(NotAuthenticated) as refused:
        await authenticator.authenticate(token)
    for text in (caplog.text, str(refused.value)):
        assert token.split(".")[2] not in text
        assert "a secret" not in text


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"issuer": ""}, "ISSUER"),
        ({"issuer": "login.example.com"}, "ISSUER"),
        ({"issuer": "http://login.example.com"}, "ISSUER"),
        ({"issuer": "http://127.0.0.1.example.com"}, "ISSUER"),
        ({"issuer": "https://"}, "ISSUER"),
        ({"issuer": "https://[::1"}, "ISSUER"),
        ({"issuer": "https://a:x/"}, "ISSUER"),
        ({"issuer": "https://user:password@example.com/"}, "ISSUER"),
        ({"issuer": "https://example.com/?a=b"}, "ISSUER"),
        ({"issuer": "https://example.com/#a"}, "ISSUER"),
        ({"issuer": "ftp://example.com/"}, "ISSUER"),
        ({"issuer": "https://example.com/\n"}, "ISSUER"),
        ({"jwks_url": "http://example.com/jwks"}, "JWKS_URL"),
        ({"jwks_url": "example"}, "JWKS_URL"),
        ({"audience": ""}, "AUDIENCE"),
        ({"audience": " "}, "AUDIENCE"),
        ({"audience_claim": ""}, "AUDIENCE_CLAIM"),
        ({"caller_claim": ""}, "CALLER_CLAIM"),
        ({"limits_claim": ""}, "LIMITS_CLAIM"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_named(options: dict[str, str], setting: str) -> None:
    with pytest.raises(ValueError, match=f"TEXT2IMAGE_JWT_{setting} must"):
        JwtOptions(**{"issuer": "https://login.example.com/", "audience": AUDIENCE, **options})


@pytest.mark.parametrize(
    "issuer", ["https://login.example.com/", "http://localhost:8080/realms/a", "http://127.0.0.1:1", "http://[::1]:1"]
)
def test_issuers_are_https_or_on_this_machine(issuer: str) -> None:
    assert JwtOptions(issuer=issuer, audience=AUDIENCE).issuer == issuer

"""Callers whom an identity provider knows, through a real server that asks a real one for its keys."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.graphql_http import Api
from tests.clients.graphql_socket import open_socket
from tests.clients.jwks_server import JwksServer, SigningKey
from tests.clients.keys import bearer
from tests.clients.server_process import ServerProcess, StartServer
from tests.clients.waiting import eventually

AUDIENCE = "text2image"
VIEWER = "{ viewer { id name role expiresAt limits { kind limit } } }"
FOLLOW = "subscription { jobsUpdated { kind } }"


def claims(issuer: JwksServer, **more: Any) -> dict[str, Any]:
    return {"iss": issuer.issuer, "aud": AUDIENCE, "sub": "alice", "exp": round(time.time()) + 600, **more}


def settings_for(issuer: JwksServer) -> dict[str, str]:
    return {"auth": "jwt", "jwt_issuer": issuer.issuer, "jwt_audience": AUDIENCE, "endpoint": "sketch:"}


@pytest.fixture(scope="module")
def key() -> SigningKey:
    """What the identity provider signs with."""
    return SigningKey("RS256")


@pytest.fixture(scope="module")
def issuer(key: SigningKey) -> Iterator[JwksServer]:
    """The identity provider."""
    running = JwksServer(key).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def server(issuer: JwksServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that believes it."""
    folder = tmp_path_factory.mktemp("jwt-server")
    running = ServerProcess(folder / "data", folder, settings_for(issuer)).start()
    yield running
    running.stop()


async def viewer_of(server: ServerProcess, token: str) -> dict[str, Any]:
    async with Api(server.origin) as api:
        api.http.headers.update(bearer(token))
        viewer: dict[str, Any] = (await api.data(VIEWER))["viewer"]
        return viewer


def unsigned(content: dict[str, Any]) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(content)}."


async def test_claims_say_who_the_caller_is_and_what_they_may_use(
    server: ServerProcess, issuer: JwksServer, key: SigningKey
) -> None:
    limits = {"role": "reader", "jobs_per_minute": 7}
    viewer = await viewer_of(server, key.sign(claims(issuer, name="Alice", text2image=limits)))
    assert (viewer["name"], viewer["role"]) == ("Alice", "READER")
    assert {"kind": "JOBS_PER_MINUTE", "limit": 7} in viewer["limits"]
    assert viewer["expiresAt"] is not None


async def test_callers_are_kept_apart(server: ServerProcess, issuer: JwksServer, key: SigningKey) -> None:
    async with Api(server.origin) as alice, Api(server.origin) as bob:
        alice.http.headers.update(bearer(key.sign(claims(issuer))))
        bob.http.headers.update(bearer(key.sign(claims(issuer, sub="bob"))))
        job = await alice.generate()
        assert await bob.job(job["id"]) is None
        assert await alice.job(job["id"]) is not None


@pytest.mark.parametrize(
    "spoiled",
    ["alg none", "expired", "not yet", "another issuer", "another audience", "another key", "no expiry", "tampered"],
)
async def test_bad_token_is_refused_over_each_transport(
    server: ServerProcess, issuer: JwksServer, key: SigningKey, spoiled: str
) -> None:
    now = round(time.time())
    good = key.sign(claims(issuer))
    token = {
        "alg none": unsigned(claims(issuer)),
        "expired": key.sign(claims(issuer, exp=now - 120)),
        "not yet": key.sign(claims(issuer, nbf=now + 3600)),
        "another issuer": key.sign(claims(issuer, iss="https://evil.example")),
        "another audience": key.sign(claims(issuer, aud="something else")),
        "another key": SigningKey("RS256", kid=key.kid).sign(claims(issuer)),
        "no expiry": key.sign({"iss": issuer.issuer, "aud": AUDIENCE, "sub": "alice"}),
        "tampered": good[:-6] + ("AAAAAA" if good[-6:] != "AAAAAA" else "BBBBBB"),
    }[spoiled]
    async with Api(server.origin) as api:
        for accept in ("application/json", "text/event-stream"):
            answer = await api.post({"query": VIEWER}, accept=accept, headers=bearer(token))
            assert answer.status_code == 401
            assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
            assert ("expired" in answer.headers["WWW-Authenticate"]) == (spoiled == "expired")
    async with open_socket(server.socket_url, init=False) as socket:
        await socket.send({"type": "connection_init", "payload": bearer(token)})
        expected = (4403, "Token expired") if spoiled == "expired" else (4401, "Unauthorized")
        assert await socket.closed() == expected
    assert token not in server.log


async def test_token_that_ends_ends_its_streams_and_a_new_one_goes_on(
    server: ServerProcess, issuer: JwksServer, key: SigningKey
) -> None:
    # The clock of the issuer may be 30 s behind ours: a token counts that long beyond its end.
    ends_in_two = round(time.time()) - 28
    token = key.sign(claims(issuer, exp=ends_in_two))
    async with open_socket(server.socket_url, headers=bearer(token)) as socket:
        await socket.subscribe(FOLLOW)
        assert await socket.closed() == (4403, "Token expired")
    async with open_socket(server.socket_url, headers=bearer(key.sign(claims(issuer)))) as socket:
        (result,) = await socket.all_results(VIEWER)
        assert result["viewer"]["name"]


async def test_keys_are_rotated_without_a_restart(server: ServerProcess, issuer: JwksServer) -> None:
    successor = SigningKey("ES256")
    issuer.keys.append(successor)
    token = successor.sign(claims(issuer, sub="carol"))

    async def is_let_in() -> bool:
        async with Api(server.origin) as api:
            return (await api.post({"query": VIEWER}, headers=bearer(token))).status_code == 200

    # Unknown keys make the server ask at most every ten seconds, whoever shows them.
    assert await eventually(is_let_in)


async def test_server_starts_and_waits_while_the_identity_provider_is_down(start_server: StartServer) -> None:
    key = SigningKey("ES256")
    issuer = JwksServer(key)
    server = start_server(**settings_for(issuer))
    token = key.sign(claims(issuer))
    async with Api(server.origin) as api:
        answer = await api.post({"query": VIEWER}, headers=bearer(token))
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert answer.json()["errors"][0]["extensions"]["code"] == "SERVICE_UNAVAILABLE"
        async with open_socket(server.socket_url, init=False) as socket:
            await socket.send({"type": "connection_init", "payload": bearer(token)})
            code, _ = await socket.closed()
            assert code == 1013
        issuer.start()
        try:

            async def is_let_in() -> bool:
                return (await api.post({"query": VIEWER}, headers=bearer(token))).status_code == 200

            assert await eventually(is_let_in)
            issuer.stop()
            assert await is_let_in()
        finally:
            issuer.stop()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"jwt_issuer": ""}, "TEXT2IMAGE_JWT_ISSUER"),
        ({"jwt_issuer": "http://idp.example"}, "TEXT2IMAGE_JWT_ISSUER"),
        ({"jwt_audience": ""}, "TEXT2IMAGE_JWT_AUDIENCE"),
        ({"jwt_jwks_url": "ftp://idp.example/keys"}, "TEXT2IMAGE_JWT_JWKS_URL"),
    ],
    ids=str,
)
def test_wrong_setting_is_named_at_the_start(
    start_server: StartServer, issuer: JwksServer, changed: dict[str, str], named: str
) -> None:
    with pytest.raises(AssertionError, match=named):
        start_server(**{**settings_for(issuer), **changed})

"""Who comes in, over each transport, and how what is open ends with its credential."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.clients.graphql_http import GENERATE, JSON, SMALL, Api, new_key
from tests.clients.graphql_socket import open_socket
from tests.clients.keys import bearer, create_key, describe_new_key, run_keys
from tests.clients.server_process import ServerProcess, clean_environment
from tests.clients.waiting import PATIENCE_SECONDS, eventually

VIEWER = "{ viewer { id name role expiresAt limits { kind limit used } } }"
FOLLOW = "subscription { jobsUpdated { kind cursor job { id status } } }"
EVENTS = {"Accept": "text/event-stream", "Content-Type": JSON}


@pytest.fixture(scope="module")
def keys_server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server that asks for API keys."""
    folder = tmp_path_factory.mktemp("keys-server")
    server = ServerProcess(folder / "data", folder, {"auth": "keys", "endpoint": "sketch:?step_seconds=0.02"}).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def token(keys_server: ServerProcess) -> str:
    """The token of a member."""
    return create_key(keys_server, "web frontend", "--caller", "web")


@pytest.fixture
async def api(keys_server: ServerProcess, token: str) -> AsyncIterator[Api]:
    """A client that shows the token. The log holds it at no time."""
    async with Api(keys_server.origin) as client:
        client.http.headers.update(bearer(token))
        yield client
    assert token not in keys_server.log
    assert "Traceback" not in keys_server.log


async def test_caller_learns_who_they_are(api: Api) -> None:
    viewer = (await api.data(VIEWER))["viewer"]
    assert (viewer["name"], viewer["role"], viewer["expiresAt"]) == ("web frontend", "MEMBER", None)
    assert {use["kind"] for use in viewer["limits"]} >= {"REQUESTS_PER_MINUTE", "JOBS_PER_MINUTE", "DOLLARS_PER_MONTH"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer not-a-key"},
        {"Authorization": "Bearer t2i_000000000000_" + "0" * 48},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": "Bearer " + "x" * 20_000},
        {"Cookie": "Authorization=Bearer x"},
        {"X-Api-Key": "x"},
    ],
    ids=str,
)
@pytest.mark.parametrize("accept", [JSON, "text/event-stream", "application/graphql-response+json"])
async def test_request_without_a_good_token_is_unauthorized(
    keys_server: ServerProcess, headers: dict[str, str], accept: str
) -> None:
    async with Api(keys_server.origin) as client:
        answer = await client.post({"query": VIEWER}, accept=accept, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    assert "data" not in answer.json()


async def test_token_in_the_query_string_or_a_cookie_does_not_count(keys_server: ServerProcess, token: str) -> None:
    async with Api(keys_server.origin) as client:
        given = {"query": VIEWER, "Authorization": f"Bearer {token}", "access_token": token}
        assert (await client.get(given)).status_code == 401
        client.http.cookies.set("Authorization", f"Bearer {token}")
        assert (await client.post({"query": VIEWER})).status_code == 401


@pytest.mark.parametrize(
    "spelling",
    ["Bearer {}", "bearer {}", "BEARER  {}"],
)
async def test_scheme_may_be_spelled_in_any_case(keys_server: ServerProcess, token: str, spelling: str) -> None:
    async with Api(keys_server.origin) as client:
        answer = await client.post({"query": VIEWER}, headers={"Authorization": spelling.format(token)})
    assert answer.status_code == 200 and answer.json()["data"]["viewer"]["name"] == "web frontend"


@pytest.mark.parametrize(
    "payload",
    [
        {"Authorization": "Bearer {}"},
        {"authorization": "bearer {}"},
        {"headers": {"Authorization": "Bearer {}"}},
        {"Authorization": "{}"},
    ],
    ids=str,
)
async def test_socket_comes_in_by_the_payload_of_connection_init(
    keys_server: ServerProcess, token: str, payload: dict[str, Any]
) -> None:
    filled = json.loads(json.dumps(payload).replace("{}", token))
    async with open_socket(keys_server.socket_url, init=False) as socket:
        await socket.send({"type": "connection_init", "payload": filled})
        assert await socket.receive() == {"type": "connection_ack"}
        (result,) = await socket.all_results(VIEWER)
        assert result["viewer"]["name"] == "web frontend"


async def test_socket_comes_in_by_the_header_of_the_handshake(keys_server: ServerProcess, token: str) -> None:
    async with open_socket(keys_server.socket_url, headers=bearer(token)) as socket:
        (result,) = await socket.all_results(VIEWER)
        assert result["viewer"]["name"] == "web frontend"


@pytest.mark.parametrize(
    "message",
    [
        {"type": "connection_init"},
        {"type": "connection_init", "payload": None},
        {"type": "connection_init", "payload": {}},
        {"type": "connection_init", "payload": {"Authorization": None}},
        {"type": "connection_init", "payload": {"Authorization": ["Bearer x"]}},
        {"type": "connection_init", "payload": {"Authorization": "Bearer wrong"}},
        {"type": "connection_init", "payload": {"headers": {"Authorization": "Bearer wrong"}}},
        {"type": "connection_init", "payload": {"headers": "Bearer wrong"}},
    ],
    ids=str,
)
async def test_bad_token_closes_a_socket_with_4401(keys_server: ServerProcess, message: dict[str, Any]) -> None:
    async with open_socket(keys_server.socket_url, init=False) as socket:
        await socket.send(message)
        assert await socket.closed() == (4401, "Unauthorized")


async def test_operation_before_the_token_closes_a_socket_with_4401(keys_server: ServerProcess) -> None:
    async with open_socket(keys_server.socket_url, init=False) as socket:
        await socket.subscribe(VIEWER)
        assert await socket.closed() == (4401, "Unauthorized")


async def test_socket_that_says_nothing_is_closed_with_4408(keys_server: ServerProcess) -> None:
    async with open_socket(keys_server.socket_url, init=False) as socket:
        code, _ = await socket.closed()
        assert code == 4408


async def test_rest_needs_a_token(keys_server: ServerProcess, token: str) -> None:
    async with httpx.AsyncClient(base_url=keys_server.origin, timeout=PATIENCE_SECONDS) as client:
        body = {"text": "a forest", "steps": 1, "width": 64, "height": 64}
        for answer in (
            await client.post("/text2image", json=body),
            await client.get("/text2image", params={"prompt": "a forest"}),
            await client.get("/text2image/jobs/0199c0de-0000-7000-8000-000000000001"),
        ):
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert (await client.post("/text2image", json=body, headers=bearer(token))).status_code == 200


async def test_probes_need_no_token(keys_server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=keys_server.origin) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/graphiql")).status_code == 200


async def test_reader_may_look_but_not_change_anything(keys_server: ServerProcess, api: Api) -> None:
    job = await api.generate()
    reading = create_key(keys_server, "dashboard", "--caller", "web", "--role", "reader")
    async with Api(keys_server.origin) as reader:
        reader.http.headers.update(bearer(reading))
        assert (await reader.job(job["id"])) is not None
        viewer = (await reader.data("{ viewer { id role webhookSecret } }"))["viewer"]
        assert (viewer["role"], viewer["webhookSecret"]) == ("READER", None)
        for query, variables in (
            (GENERATE, {"input": {"prompt": "p", "size": SMALL, "steps": 1}}),
            ("mutation ($id: ID!) { cancelJob(input: {id: $id}) { job { id } } }", {"id": job["id"]}),
            ("mutation ($id: ID!) { deleteJob(input: {id: $id}) { deletedJobId } }", {"id": job["id"]}),
            ("mutation ($id: ID!) { replayDelivery(input: {id: $id}) { delivery { id } } }", {"id": job["id"]}),
        ):
            answer = await reader.graphql(query, variables)
            assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
        answer_of_rest = await reader.http.post("/text2image", json={"text": "p"})
        assert answer_of_rest.status_code == 403
    async with open_socket(keys_server.socket_url, headers=bearer(reading)) as socket:
        one_shot = "subscription ($input: GenerateImageInput!) { generateImage(input: $input) { kind } }"
        variables = {"input": {"prompt": "p", "idempotencyKey": new_key()}}
        operation = await socket.subscribe(one_shot, variables)
        message = await socket.receive()
        assert (message["id"], message["type"]) == (operation, "error")
        assert message["payload"][0]["extensions"]["code"] == "FORBIDDEN"
    assert (await api.job(job["id"])) is not None


# --- the end of a credential ---


async def test_revoked_key_closes_its_sockets_with_4401(keys_server: ServerProcess) -> None:
    key = describe_new_key(keys_server)
    async with open_socket(keys_server.socket_url, headers=bearer(key["token"])) as socket:
        await socket.subscribe(FOLLOW)
        assert run_keys(keys_server, "revoke", key["id"]).returncode == 0
        assert await socket.closed() == (4401, "Unauthorized")

    async def is_refused() -> bool:
        async with Api(keys_server.origin) as client:
            return (await client.post({"query": VIEWER}, headers=bearer(key["token"]))).status_code == 401

    assert await eventually(is_refused)


async def test_revoked_key_ends_its_event_streams_without_complete(keys_server: ServerProcess) -> None:
    key = describe_new_key(keys_server)
    async with (
        Api(keys_server.origin) as client,
        client.http.stream(
            "POST", "/graphql", json={"query": FOLLOW}, headers={**EVENTS, **bearer(key["token"])}
        ) as answer,
    ):
        assert answer.status_code == 200
        assert run_keys(keys_server, "revoke", key["id"]).returncode == 0
        told = [line async for line in answer.aiter_lines()]
    assert told and "event: complete" not in told
    assert told[0].startswith("retry:")


async def test_key_that_expires_closes_its_socket_so_that_a_client_renews(keys_server: ServerProcess) -> None:
    ends = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    token = create_key(keys_server, "expiring", "--expires", ends)
    async with open_socket(keys_server.socket_url, headers=bearer(token)) as socket:
        await socket.subscribe(FOLLOW)
        assert await socket.closed() == (4403, "Token expired")
    async with open_socket(keys_server.socket_url, init=False) as socket:
        await socket.send({"type": "connection_init", "payload": bearer(token)})
        assert await socket.closed() == (4403, "Token expired")
    async with Api(keys_server.origin) as client:
        answer = await client.post({"query": VIEWER}, headers=bearer(token))
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


async def test_rotated_key_and_its_successor_are_the_same_caller(keys_server: ServerProcess) -> None:
    key = describe_new_key(keys_server)
    async with Api(keys_server.origin) as client:
        client.http.headers.update(bearer(key["token"]))
        job = await client.generate()
        successor = json.loads(run_keys(keys_server, "rotate", key["id"], "--grace", "1h", "--json").stdout)
        assert (await client.job(job["id"])) is not None
        client.http.headers.update(bearer(successor["token"]))
        assert (await client.job(job["id"])) is not None


async def test_socket_survives_other_callers_revocations(keys_server: ServerProcess, token: str) -> None:
    async with open_socket(keys_server.socket_url, headers=bearer(token)) as socket:
        await socket.subscribe(FOLLOW)
        key = describe_new_key(keys_server)
        async with open_socket(keys_server.socket_url, headers=bearer(key["token"])) as other:
            run_keys(keys_server, "revoke", key["id"])
            with pytest.raises(ConnectionClosed):
                while True:
                    await other.receive()
        (result,) = await socket.all_results(VIEWER)
        assert result["viewer"]["name"] == "web frontend"


# --- without sign-in ---


async def test_without_sign_in_a_token_is_not_looked_at(shared_server: ServerProcess) -> None:
    async with Api(shared_server.origin) as client:
        answer = await client.post({"query": VIEWER}, headers={"Authorization": "Bearer nonsense"})
    assert answer.json()["data"]["viewer"]["name"] == "local"


# --- the command line ---


def generate(server: ServerProcess, folder: Path, *, token: str) -> subprocess.CompletedProcess[str]:
    command = ["generate", "a small lighthouse", "-o", str(folder / "image.jpg"), "--server", server.origin]
    return subprocess.run(
        [sys.executable, "-m", "graphql_api", *command, "--width", "64", "--height", "64", "--steps", "1"],
        env={**clean_environment(token=token), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_command_shows_its_token(keys_server: ServerProcess, token: str, tmp_path: Path) -> None:
    assert generate(keys_server, tmp_path, token=token).returncode == 0
    assert (tmp_path / "image.jpg").stat().st_size > 0


def test_command_without_a_token_says_what_to_do(keys_server: ServerProcess, tmp_path: Path) -> None:
    refused = generate(keys_server, tmp_path, token="")
    assert refused.returncode == 5
    assert "TEXT2IMAGE_TOKEN" in refused.stderr

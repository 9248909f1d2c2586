"""What callers may use, over each transport: refused with words and a time, and told beforehand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.graphql_events import all_events
from tests.clients.graphql_http import SMALL, Api, new_key
from tests.clients.graphql_socket import Refused, open_socket
from tests.clients.keys import bearer, create_key
from tests.clients.rates import minute_with_time_left
from tests.clients.server_process import ServerProcess, StartServer
from tests.clients.waiting import eventually

SLOW = "sketch:?step_seconds=0.05"
GENERATE = """
mutation ($input: GenerateImageInput!) {
  generateImage(input: $input) {
    job { id status cost }
    errors {
      __typename
      ... on UserError { message path }
      ... on RateLimitedError { retryAfterSeconds }
      ... on BudgetExceededError { retryAfterSeconds }
    }
  }
}
"""
LIMITS = "{ viewer { limits { kind limit used resetsAt } } }"
FOLLOW = "subscription { jobsUpdated { kind } }"
ESTIMATE = """
query ($input: GenerateImageInput!) {
  estimate(input: $input) {
    estimate { seconds cost jobsAhead }
    errors { __typename ... on UserError { message path } }
  }
}
"""
PRICED = """
[[model]]
name = "priced"
endpoint = "sketch:?step_seconds=0.05"
codec = "jumpstart-sd"
price_per_second = 1.0
defaults = { width = 64, height = 64, steps = 4, guidance_scale = 7.5 }
limits = { max_count = 4, max_dimension = 512, max_prompt_length = 500, max_steps = 50, size_multiple = 8 }
"""


@pytest.fixture
def start_priced(start_server: StartServer, tmp_path: Path) -> Callable[..., ServerProcess]:
    """Starts a server whose model costs a dollar a second."""
    models = tmp_path / "models.toml"
    models.write_text(PRICED)
    return lambda **settings: start_server(models=str(models), endpoint="sketch:", **settings)


@asynccontextmanager
async def client_of(server: ServerProcess, *options: str, name: str = "caller") -> AsyncIterator[Api]:
    """A client with a new key."""
    async with Api(server.origin) as api:
        if server.settings.get("auth") == "keys":
            api.http.headers.update(bearer(create_key(server, name, *options)))
        yield api


def wanted(**fields: Any) -> dict[str, Any]:
    return {"input": {"prompt": "a lighthouse", "size": SMALL, "steps": 1, **fields}}


async def submit(api: Api, **fields: Any) -> dict[str, Any]:
    payload: dict[str, Any] = (await api.data(GENERATE, wanted(**fields)))["generateImage"]
    return payload


async def use_of(api: Api, kind: str) -> dict[str, Any]:
    limits = (await api.data(LIMITS))["viewer"]["limits"]
    return next(each for each in limits if each["kind"] == kind)


async def test_requests_beyond_the_limit_are_answered_429(start_server: StartServer) -> None:
    server = start_server(requests_per_minute="6")
    # Its connection_init is a request too.
    await minute_with_time_left()
    async with client_of(server) as api, open_socket(server.socket_url) as socket:
        answers = [await api.post({"query": "{ __typename }"}) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        refused = answers[-1]
        (error,) = refused.json()["errors"]
        assert error["extensions"]["code"] == "RATE_LIMITED"
        assert 0 < error["extensions"]["retryAfterSeconds"] <= 120
        assert int(refused.headers["Retry-After"]) >= error["extensions"]["retryAfterSeconds"] - 1
        assert (await api.post({"query": "{ __typename }"}, accept="text/event-stream")).status_code == 429
        assert (await api.http.post("/text2image", json={"text": "p"})).status_code == 429
        with pytest.raises(Refused) as told:
            await socket.all_results("{ __typename }")
        assert told.value.codes == ["RATE_LIMITED"]
        assert told.value.errors[0]["extensions"]["retryAfterSeconds"] > 0
    async with open_socket(server.socket_url, init=False) as another:
        await another.send({"type": "connection_init"})
        code, reason = await another.closed()
        assert (code, reason) == (1013, "You send more requests a minute than you may.")


async def test_jobs_beyond_the_limit_are_refused_as_data(start_server: StartServer) -> None:
    server = start_server(jobs_per_minute="2")
    await minute_with_time_left()
    async with client_of(server) as api:
        key = new_key()
        first = await submit(api, idempotencyKey=key)
        assert (await submit(api))["errors"] == []
        answer = await api.post({"query": GENERATE, "variables": wanted()})
        payload = answer.json()["data"]["generateImage"]
        assert payload["job"] is None
        (error,) = payload["errors"]
        assert error["__typename"] == "RateLimitedError"
        assert error["retryAfterSeconds"] > 0
        # The answer has data: it is no 429, which clients take for the loss of the whole answer.
        assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (200, True)
        # What was acknowledged stays so: a repeat is never refused.
        assert (await submit(api, idempotencyKey=key))["job"]["id"] == first["job"]["id"]
        refused = await api.http.post("/text2image", json={"text": "p", "steps": 1})
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
        used = await use_of(api, "JOBS_PER_MINUTE")
        assert (used["limit"], used["used"]) == (2, 2)
        assert used["resetsAt"] is not None
    async with open_socket(server.socket_url) as socket:
        one_shot = "subscription ($input: GenerateImageInput!) { generateImage(input: $input) { job { id } } }"
        with pytest.raises(Refused) as told:
            await socket.all_results(one_shot, wanted(idempotencyKey=new_key()))
        assert told.value.codes == ["RATE_LIMITED"]
        results = await socket.all_results(one_shot, wanted(idempotencyKey=key))
        assert results[-1]["generateImage"]["job"]["id"] == first["job"]["id"]


async def test_jobs_in_flight_are_limited_until_one_ends(start_server: StartServer) -> None:
    server = start_server(jobs_in_flight="2")
    async with client_of(server) as api:
        jobs = [(await submit(api, steps=100))["job"] for _ in range(2)]
        refused = await submit(api)
        assert [error["__typename"] for error in refused["errors"]] == ["RateLimitedError"]
        used = await use_of(api, "JOBS_IN_FLIGHT")
        assert (used["limit"], used["used"]) == (2, 2)
        await api.cancel(jobs[0]["id"])
        assert (await submit(api))["errors"] == []
        await api.cancel_everything()


async def test_pixels_a_day_are_limited(start_server: StartServer) -> None:
    server = start_server(pixels_per_day=str(3 * 64 * 64))
    await minute_with_time_left()
    async with client_of(server) as api:
        assert (await submit(api, count=2))["errors"] == []
        refused = await submit(api, count=2)
        assert [error["__typename"] for error in refused["errors"]] == ["RateLimitedError"]
        assert (await submit(api))["errors"] == []
        used = await use_of(api, "PIXELS_PER_DAY")
        assert used["used"] == 3 * 64 * 64


async def test_sockets_and_streams_of_a_caller_are_limited(start_server: StartServer) -> None:
    server = start_server(sockets_per_caller="2", streams_per_caller="2")
    async with client_of(server) as api, open_socket(server.socket_url) as first:
        async with open_socket(server.socket_url) as second:
            async with open_socket(server.socket_url, init=False) as third:
                await third.send({"type": "connection_init"})
                code, _ = await third.closed()
                assert code == 1013
            for _ in range(2):
                await second.subscribe(FOLLOW)
            with pytest.raises(Refused) as told:
                await first.all_results(FOLLOW)
            assert told.value.codes == ["RATE_LIMITED"]
            refused = await all_events(api.http, FOLLOW)
            assert "RATE_LIMITED" in str(refused)
            assert (await use_of(api, "STREAMS"))["used"] == 2
            assert (await use_of(api, "SOCKETS"))["used"] == 2

        # What was open is given back with the socket.
        async def has_left() -> bool:
            return bool((await use_of(api, "STREAMS"))["used"] == 0)

        assert await eventually(has_left)
        async with open_socket(server.socket_url) as again:
            assert await again.all_results("{ __typename }") == [{"__typename": "Query"}]


async def test_limits_of_a_key_count_for_its_caller_alone(start_server: StartServer) -> None:
    server = start_server(auth="keys", jobs_per_minute="1")
    async with (
        client_of(server, "--jobs-per-minute", "3", name="large") as large,
        client_of(server, name="small") as small,
    ):
        await minute_with_time_left()
        assert [(await submit(large))["errors"] for _ in range(3)] == [[]] * 3
        assert (await submit(large))["errors"] != []
        assert (await submit(small))["errors"] == []
        assert (await submit(small))["errors"] != []
        assert (await use_of(large, "JOBS_PER_MINUTE"))["limit"] == 3
        assert (await use_of(small, "JOBS_PER_MINUTE"))["limit"] == 1


async def test_cost_is_told_before_and_after(start_priced: Callable[..., ServerProcess]) -> None:
    server = start_priced()
    async with client_of(server) as api:
        before = (await api.data(ESTIMATE, wanted(steps=20)))["estimate"]
        assert before == {"estimate": {"seconds": None, "cost": None, "jobsAhead": 0}, "errors": []}
        job = (await submit(api, steps=20))["job"]
        assert job["cost"] is None
        await api.finished(job["id"])
        cost = (await api.data("query ($id: ID!) { job(id: $id) { cost } }", {"id": job["id"]}))["job"]["cost"]
        assert 0.9 < cost < 10
        after = (await api.data(ESTIMATE, wanted(steps=20)))["estimate"]["estimate"]
        assert after["cost"] == pytest.approx(cost, rel=0.5)
        assert after["seconds"] == pytest.approx(cost, rel=0.5)
        half = (await api.data(ESTIMATE, wanted(steps=10)))["estimate"]["estimate"]
        assert half["cost"] == pytest.approx(after["cost"] / 2, rel=0.01)
        used = await use_of(api, "DOLLARS_PER_MONTH")
        assert used["used"] == pytest.approx(cost, rel=0.01)


async def test_estimate_refuses_what_a_mutation_would(start_priced: Callable[..., ServerProcess]) -> None:
    server = start_priced()
    async with client_of(server) as api:
        for fields, kind in (
            ({"prompt": ""}, "InvalidInputError"),
            ({"modelId": "no such model"}, "ModelNotFoundError"),
            ({"style": "no such style"}, "StyleNotFoundError"),
            ({"steps": 51}, "InvalidInputError"),
        ):
            payload = (await api.data(ESTIMATE, wanted(**fields)))["estimate"]
            assert payload["estimate"] is None
            assert [error["__typename"] for error in payload["errors"]] == [kind]
        assert await api.total() == 0


async def test_budget_of_a_key_is_enforced_when_a_job_is_submitted(start_priced: Callable[..., ServerProcess]) -> None:
    server = start_priced(auth="keys")
    async with client_of(server, "--dollars-per-month", "3", name="careful") as api:
        job = (await submit(api, steps=20))["job"]
        await api.finished(job["id"])
        accepted, payload = 0, await submit(api, steps=20)
        while not payload["errors"]:
            accepted += 1
            assert accepted < 4, "a budget of three dollars pays for three jobs of about one"
            payload = await submit(api, steps=20)
        (error,) = payload["errors"]
        assert error["__typename"] == "BudgetExceededError"
        assert error["retryAfterSeconds"] > 0
        # What is reserved is given back: a job that never ran costs nothing.
        await api.cancel_everything()
        used = await use_of(api, "DOLLARS_PER_MONTH")
        assert used["limit"] == 3
        assert used["used"] <= 3
        assert (await submit(api, steps=1))["errors"] == []
        await api.cancel_everything()
    async with client_of(server, name="another") as other:
        assert (await submit(other, steps=20))["errors"] == []
        await other.cancel_everything()


async def test_job_that_is_deleted_while_it_runs_is_charged_with_what_it_took(
    start_priced: Callable[..., ServerProcess],
) -> None:
    server = start_priced()
    async with client_of(server) as api:
        job = (await submit(api, steps=50))["job"]
        await api.job_when(job["id"], lambda now: now["progress"]["step"] >= 10)
        await api.delete(job["id"])
        used = await use_of(api, "DOLLARS_PER_MONTH")
        assert 0.4 < used["used"] < 2.6


async def test_places_of_a_page_are_those_of_the_jobs_one_by_one(start_server: StartServer) -> None:
    server = start_server(concurrency="1")
    async with client_of(server) as api:
        jobs = [(await submit(api, steps=100))["job"]["id"] for _ in range(6)]
        await api.running(jobs[0])
        page = await api.data("{ jobs(first: 10) { edges { node { id queuePosition progress { etaSeconds } } } } }")
        together = {edge["node"]["id"]: edge["node"]["queuePosition"] for edge in page["jobs"]["edges"]}
        one_by_one = {}
        for job_id in jobs:
            found = await api.job(job_id)
            assert found is not None
            one_by_one[job_id] = found["queuePosition"]
        assert together == one_by_one == dict(zip(jobs, [None, 0, 1, 2, 3, 4], strict=True))
        await api.cancel_everything()

"""Apollo Client and urql, as a frontend sets them up: a cache by ID, sockets for subscriptions, HTTP for the rest."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.node import javascript, run_javascript
from tests.clients.programs import TENTH_OF_A_SECOND, check_over_a_restart
from tests.clients.server_process import ServerProcess, StartServer

PROGRAMS = ["apollo.mjs", "urql.mjs"]
Seen = dict[str, Any]


@pytest.fixture(scope="module", params=PROGRAMS)
def seen(request: pytest.FixtureRequest, shared_server: ServerProcess) -> Seen:
    """What a client saw in a session."""
    found: Seen = run_javascript(request.param, f"{shared_server.origin}/graphql", "session")
    return found


def events_are_whole(events: list[Seen]) -> bool:
    """Whether a subscription began with the state of the job, and ended with its success."""
    return (events[0]["kind"], events[-1]["job"]["status"]) == ("SNAPSHOT", "SUCCEEDED")


def test_queries_are_answered(seen: Seen) -> None:
    assert [model["name"] for model in seen["models"]] == ["sketch"]


def test_mutation_tells_its_problems_as_data(seen: Seen) -> None:
    assert seen["made"]["errors"] == []
    assert seen["refused"]["job"] is None
    (problem,) = seen["refused"]["errors"]
    assert problem["__typename"] == "InvalidInputError"
    assert problem["path"] == ["prompt"]


def test_request_error_has_its_code(seen: Seen) -> None:
    assert seen["invalid"] == "GRAPHQL_VALIDATION_FAILED"


def test_subscription_runs_to_its_end(seen: Seen) -> None:
    assert events_are_whole(seen["events"])


def test_events_move_the_job_in_the_cache(seen: Seen) -> None:
    assert seen["shown"]["id"] == seen["made"]["job"]["id"]
    assert seen["shown"]["status"] == "SUCCEEDED"
    assert seen["shown"]["images"][0]["url"] == seen["events"][-1]["job"]["images"][0]["url"]


def test_fragments_match_by_type_over_the_network_and_in_the_cache(seen: Seen) -> None:
    names = [node and node["__typename"] for node in seen["nodes"]]
    assert names == ["GenerationJob", "Model", "Style", "Image", None]
    job, model, style, image, _ = seen["nodes"]
    assert (job["status"], model["name"], image["format"]) == ("SUCCEEDED", "sketch", "JPEG")
    assert style["keywords"]
    assert seen["nodesInCache"] == seen["nodes"]


def test_urql_follows_a_job_over_server_sent_events(shared_server: ServerProcess) -> None:
    seen = run_javascript("urql.mjs", f"{shared_server.origin}/graphql", "session")
    assert events_are_whole(seen["eventsByFetch"])


@pytest.mark.parametrize("program", PROGRAMS)
async def test_subscription_goes_on_behind_a_restart(start_server: StartServer, program: str) -> None:
    server = start_server(endpoint=TENTH_OF_A_SECOND, drain="0.5")
    await check_over_a_restart(server, [*javascript(program), f"{server.origin}/graphql", "follow"])

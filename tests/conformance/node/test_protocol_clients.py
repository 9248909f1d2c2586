"""The reference clients of both protocols, graphql-ws and graphql-sse from npm, in a session of everything they do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.node import run_javascript
from tests.clients.server_process import ServerProcess

Seen = dict[str, Any]

REFUSALS = {
    "syntaxError": "GRAPHQL_PARSE_FAILED",
    "validationError": "GRAPHQL_VALIDATION_FAILED",
    "coercionError": "BAD_USER_INPUT",
    "unknownOperation": "OPERATION_RESOLUTION_FAILURE",
    "noSuchJob": "NOT_FOUND",
}


@pytest.fixture(scope="module")
def over_websocket(shared_server: ServerProcess) -> Seen:
    """What graphql-ws saw."""
    seen: Seen = run_javascript("graphql_ws.mjs", shared_server.socket_url)
    return seen


@pytest.fixture(scope="module")
def over_events(shared_server: ServerProcess) -> Seen:
    """What graphql-sse saw."""
    seen: Seen = run_javascript("graphql_sse.mjs", f"{shared_server.origin}/graphql")
    return seen


@pytest.fixture(params=["over_websocket", "over_events"])
def seen(request: pytest.FixtureRequest) -> Seen:
    """What either of them saw."""
    found: Seen = request.getfixturevalue(request.param)
    return found


def data(outcome: Seen) -> Any:
    """The data of an operation that has one result."""
    assert "error" not in outcome
    (result,) = outcome["results"]
    assert "errors" not in result
    return result["data"]


def test_query_and_mutation_have_one_result_each(seen: Seen) -> None:
    assert data(seen["query"]) == {"models": [{"name": "sketch"}]}
    assert data(seen["mutation"])["generateImage"]["errors"] == []


def test_refused_input_is_data(seen: Seen) -> None:
    refused = {"generateImage": {"job": None, "errors": [{"__typename": "InvalidInputError"}]}}
    assert data(seen["refusedMutation"]) == refused


def test_subscription_completes_behind_the_last_event_though_the_first_one_of_the_job_was_left(seen: Seen) -> None:
    assert seen["leftEarly"]["data"]["jobUpdated"]["kind"] == "SNAPSHOT"
    assert "error" not in seen["subscription"]
    events = [result["data"]["jobUpdated"] for result in seen["subscription"]["results"]]
    assert events[0]["kind"] == "SNAPSHOT"
    assert [event["job"]["status"] for event in events].count("SUCCEEDED") == 1
    assert events[-1]["job"]["status"] == "SUCCEEDED"


@pytest.mark.parametrize(("operation", "code"), REFUSALS.items())
def test_socket_refuses_an_operation_with_an_error_message(over_websocket: Seen, operation: str, code: str) -> None:
    outcome = over_websocket[operation]
    assert outcome["results"] == []
    assert [error["extensions"]["code"] for error in outcome["error"]] == [code]


@pytest.mark.parametrize(("operation", "code"), REFUSALS.items())
def test_stream_refuses_an_operation_with_a_result_of_errors(over_events: Seen, operation: str, code: str) -> None:
    outcome = over_events[operation]
    assert "error" not in outcome
    (result,) = outcome["results"]
    assert result.get("data") is None
    assert [error["extensions"]["code"] for error in result["errors"]] == [code]


def test_operations_beside_refused_ones_go_on(seen: Seen) -> None:
    assert data(seen["otherQuery"]) == data(seen["query"])
    assert data(seen["afterwards"]) == data(seen["query"])


def test_one_socket_carried_everything_and_answered_pings(over_websocket: Seen) -> None:
    assert over_websocket["sockets"] == 1
    assert over_websocket["pongs"] > 0

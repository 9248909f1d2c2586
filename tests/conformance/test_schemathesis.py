"""Random operations made from the schema alone, by schemathesis: no answer may be a fault, or refuse what it allows."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from graphql import GraphQLSchema, build_client_schema, get_introspection_query, parse, validate
from hypothesis import HealthCheck, given, settings, strategies
from schemathesis.core.result import Ok
from schemathesis.graphql import nodes

from tests.clients.server_process import ServerProcess, StartServer

# Whatever is sent to them stays on this machine.
URLS = (
    "https://127.0.0.1:9/hook",
    "https://[::1]:9/",
    "http://localhost:9/?a=b",
    "ftp://127.0.0.1/",
    "/hook",
    "no URL",
    "",
)
schemathesis.graphql.scalar("URL", strategies.sampled_from(URLS).map(nodes.String))

EXAMPLES = 100
"""Of each field of Query and Mutation."""


@pytest.fixture
def server(start_server: StartServer) -> ServerProcess:
    """A server of its own: some of what is made up is worth an image."""
    return start_server()


def schema_of(url: str) -> GraphQLSchema:
    """The schema, as the server tells it."""
    answer = httpx.post(url, json={"query": get_introspection_query(one_of=True)}).json()
    return build_client_schema(answer["data"])


def test_every_field_answers_whatever_the_schema_allows(server: ServerProcess) -> None:
    url = f"{server.origin}/graphql"
    schema = schema_of(url)

    def is_allowed(case: schemathesis.Case[Any]) -> bool:
        # The generator does not know @oneOf.
        return not validate(schema, parse(str(case.body)))

    found = schemathesis.graphql.from_url(url).get_all_operations()
    operations = [operation.ok() for operation in found if isinstance(operation, Ok)]
    assert {"Query.jobs", "Query.node", "Mutation.generateImage"} <= {operation.label for operation in operations}
    for operation in operations:

        @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy().filter(is_allowed))
        def check(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate()

        check()
    assert "Traceback" not in server.log

"""A client that somebody else wrote: gql from PyPI, over HTTP, WebSocket, and both."""

from __future__ import annotations

from typing import Any

import pytest
from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

from tests.clients.graphql_http import SMALL, Api, new_key
from tests.clients.server_process import ServerProcess

GENERATE = """
mutation Generate($input: GenerateImageInput!) {
  generateImage(input: $input) { job { id status } errors { __typename } }
}
"""
FOLLOW = "subscription Follow($id: ID!) { jobUpdated(id: $id) { kind job { status } } }"
ONE_SHOT = "subscription One($input: GenerateImageInput!) { generateImage(input: $input) { job { status } } }"


def request(query: str, **variables: Any) -> GraphQLRequest:
    """An operation with its variables."""
    return GraphQLRequest(query, variable_values=variables)


@pytest.mark.parametrize("transport_class", [AIOHTTPTransport, HTTPXAsyncTransport])
async def test_introspection_query_and_mutation_over_http(
    api: Api, shared_server: ServerProcess, transport_class: Any
) -> None:
    transport = transport_class(url=f"{shared_server.origin}/graphql")
    async with Client(transport=transport, fetch_schema_from_transport=True) as session:
        assert session.client.schema is not None
        assert session.client.schema.get_type("GenerationJob") is not None
        assert (await session.execute(request("{ models { name } }"))) == {"models": [{"name": "sketch"}]}
        given = {"prompt": "a lighthouse", "steps": 1, "size": SMALL}
        answer = await session.execute(request(GENERATE, input=given))
        assert answer["generateImage"]["errors"] == []
        assert answer["generateImage"]["job"]["status"] == "QUEUED"
        refused = await session.execute(request(GENERATE, input={"prompt": ""}))
        assert refused["generateImage"]["errors"] == [{"__typename": "InvalidInputError"}]


async def test_request_error_is_raised_with_its_code(api: Api, shared_server: ServerProcess) -> None:
    async with Client(transport=AIOHTTPTransport(url=f"{shared_server.origin}/graphql")) as session:
        with pytest.raises(TransportQueryError) as raised:
            await session.execute(request("{ notThere }"))
    assert raised.value.errors is not None
    assert raised.value.errors[0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_subscription_over_websocket_with_pings(api: Api, shared_server: ServerProcess) -> None:
    job = await api.generate(steps=15)
    transport = WebsocketsTransport(url=shared_server.socket_url, ping_interval=0.1, pong_timeout=5)
    async with Client(transport=transport) as session:
        events = [event["jobUpdated"] async for event in session.subscribe(request(FOLLOW, id=job["id"]))]
        assert events[0]["kind"] == "SNAPSHOT"
        assert events[-1]["job"]["status"] == "SUCCEEDED"
        # The same socket carries queries too.
        assert (await session.execute(request("{ __typename }"))) == {"__typename": "Query"}


async def test_one_shot_subscription_over_websocket(api: Api, shared_server: ServerProcess) -> None:
    given = {"prompt": "a tower", "steps": 2, "size": SMALL, "idempotencyKey": new_key()}
    async with Client(transport=WebsocketsTransport(url=shared_server.socket_url)) as session:
        events = [event async for event in session.subscribe(request(ONE_SHOT, input=given))]
    assert events[-1] == {"generateImage": {"job": {"status": "SUCCEEDED"}}}


async def test_subscription_that_is_refused_raises_and_the_socket_goes_on(
    api: Api, shared_server: ServerProcess
) -> None:
    async with Client(transport=WebsocketsTransport(url=shared_server.socket_url)) as session:
        with pytest.raises(TransportQueryError) as raised:
            async for _ in session.subscribe(request(FOLLOW, id="x")):
                raise AssertionError("there is no such job")
        assert raised.value.errors is not None
        assert raised.value.errors[0]["extensions"]["code"] == "NOT_FOUND"
        assert (await session.execute(request("{ __typename }"))) == {"__typename": "Query"}

"""Follows a job to its end, whatever happens to the connection in between, and prints its events.

python gql_watch.py ws://127.0.0.1:8000/graphql <ID of the job>
"""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator
from typing import Any

from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportConnectionFailed
from gql.transport.websockets import WebsocketsTransport
from websockets.exceptions import ConnectionClosed

QUERY = """
subscription Watch($id: ID!, $after: String) {
  jobUpdated(id: $id, after: $after) {
    kind
    cursor
    job { status progress { fraction } images { url } failure { message } }
  }
}
"""
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0

# After these, the same request would only fail again. 4403 may be worth a try with a new token.
FATAL_CLOSE_CODES = (4400, 4401, 4403, 4406, 4409, 4429, 4500)


def is_fatal(error: TransportConnectionFailed) -> bool:
    """Whether the server says that it is no use to come back."""
    cause = error.__cause__
    return isinstance(cause, ConnectionClosed) and cause.rcvd is not None and cause.rcvd.code in FATAL_CLOSE_CODES


def wait_before(attempt: int) -> float:
    """Exponential backoff; half of it is chance, so that not all clients of a server come back at once."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0**attempt)
    return random.uniform(longest / 2, longest)


async def follow(url: str, job_id: str) -> AsyncIterator[dict[str, Any]]:
    """Every event of a job. A new subscription takes the place of one that was cut, from the last event on."""
    after: str | None = None
    attempt = 0
    while True:
        try:
            async with Client(transport=WebsocketsTransport(url=url)) as session:
                request = GraphQLRequest(QUERY, variable_values={"id": job_id, "after": after})
                async for result in session.subscribe(request):
                    event = result["jobUpdated"]
                    after, attempt = event["cursor"], 0
                    yield event
            return  # completed by the server: the job has ended
        except TransportConnectionFailed as error:
            if is_fatal(error):
                raise
        await asyncio.sleep(wait_before(attempt))
        attempt += 1


async def main() -> None:
    """Print the events, one a line."""
    url, job_id = sys.argv[1:]
    async for event in follow(url, job_id):
        print(json.dumps(event), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())

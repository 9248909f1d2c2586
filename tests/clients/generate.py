"""Generates an image and follows the job to its end, whatever happens to the connection in between. Prints its events.

python generate.py http://127.0.0.1:8000/graphql generate '{"prompt": "a lighthouse"}'
python generate.py http://127.0.0.1:8000/graphql follow <ID of the job>

TEXT2IMAGE_TOKEN_FILE names a file with the token, where the server wants one.
"""

import asyncio
import json
import os
import random
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportConnectionFailed
from gql.transport.websockets import WebsocketsTransport
from websockets.exceptions import ConnectionClosed

GENERATE = """
mutation Generate($input: GenerateImageInput!) {
  generateImage(input: $input) {
    job { id }
    errors { __typename ... on UserError { message path } }
  }
}
"""
FOLLOW = """
subscription Follow($id: ID!, $after: String) {
  jobUpdated(id: $id, after: $after) {
    kind
    cursor
    job { status progress { fraction } images { url } failure { message } }
  }
}
"""
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
MOST_REQUESTS = 8

# After these the same again would only fail again.
FATAL_CLOSE_CODES = (4400, 4401, 4406, 4409, 4429, 4500)
TOKEN_EXPIRED = 4403

# These may be over soon.
PASSING_STATUSES = (408, 425, 429, 500, 502, 503, 504)


def sign_in() -> dict[str, str]:
    """What signs a request or a socket in. The token is read each time: whoever renews it writes a new one."""
    file = os.environ.get("TEXT2IMAGE_TOKEN_FILE")
    return {"Authorization": f"Bearer {Path(file).read_text().strip()}"} if file else {}


def wait_before(attempt: int) -> float:
    """Exponential backoff; half of it is chance, so that not all clients of a server come back at once."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0**attempt)
    return random.uniform(longest / 2, longest)


async def post(url: str, body: dict[str, Any]) -> Any:
    """The answer to a request that may be repeated; it is when the server is away or busy, or wants a newer token."""
    async with httpx.AsyncClient(timeout=30) as http:
        for attempt in range(MOST_REQUESTS):
            is_last = attempt + 1 == MOST_REQUESTS
            try:
                response = await http.post(url, json=body, headers=sign_in())
            except httpx.TransportError:
                if is_last:
                    raise
                wait = wait_before(attempt)
            else:
                is_worth_it = response.status_code in PASSING_STATUSES or (response.status_code == 401 and attempt == 0)
                if is_last or not is_worth_it:
                    return response.json()
                wait = float(response.headers.get("Retry-After", wait_before(attempt)))
            await asyncio.sleep(wait)


async def generate(url: str, given: dict[str, Any]) -> str:
    """Queue a job; its ID. The key makes it safe to send the request again when its answer was lost."""
    variables = {"input": {"idempotencyKey": str(uuid.uuid4()), **given}}
    answer = await post(url, {"query": GENERATE, "variables": variables})
    problems = answer.get("errors") or answer["data"]["generateImage"]["errors"]
    if problems:
        raise ValueError(problems)
    job_id: str = answer["data"]["generateImage"]["job"]["id"]
    return job_id


def close_code(error: TransportConnectionFailed) -> int | None:
    """Why the server closed the socket, if it did."""
    cause = error.__cause__
    return cause.rcvd.code if isinstance(cause, ConnectionClosed) and cause.rcvd is not None else None


async def follow(url: str, job_id: str) -> AsyncIterator[dict[str, Any]]:
    """Every event of a job. A new subscription takes the place of one that was cut, from the last event on."""
    after: str | None = None
    attempt, is_refused = 0, False
    while True:
        transport = WebsocketsTransport(url=url.replace("http", "ws", 1), init_payload=sign_in())
        try:
            async with Client(transport=transport) as session:
                request = GraphQLRequest(FOLLOW, variable_values={"id": job_id, "after": after})
                async for result in session.subscribe(request):
                    event = result["jobUpdated"]
                    after, attempt, is_refused = event["cursor"], 0, False
                    yield event
            return  # completed by the server: the job has ended
        except TransportConnectionFailed as error:
            code = close_code(error)
            # A token that has expired is worth one more try, with a new one.
            if code in FATAL_CLOSE_CODES or (code == TOKEN_EXPIRED and is_refused):
                raise
            is_refused = code == TOKEN_EXPIRED
        await asyncio.sleep(wait_before(attempt))
        attempt += 1


async def main() -> None:
    """Print the events, one a line."""
    url, action, argument = sys.argv[1:]
    job_id = argument if action == "follow" else await generate(url, json.loads(argument))
    async for event in follow(url, job_id):
        print(json.dumps(event), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())

"""The cheapest possible SageMaker Runtime and S3: canned answers after a set time, puts that are thrown away.

Both sides of a benchmark talk to it, so what it costs is in neither of their differences.

`python -m bench.stub_aws --port 9000 --seconds 0.5 --side 768`
"""

from __future__ import annotations

import argparse
import asyncio
import itertools

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.answers import jpeg_answer


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--side", type=int, default=768)
    asked = parser.parse_args()
    answer = jpeg_answer(asked.side)
    # Not all at once: answers of a real endpoint do not come in step either. But the same times for every contender.
    delays = itertools.cycle([asked.seconds * (0.8 + 0.4 * step / 16) for step in range(17)])

    async def invoke(request: Request) -> Response:
        await request.body()
        await asyncio.sleep(next(delays))
        return Response(answer.body, media_type=answer.content_type)

    async def put(request: Request) -> Response:
        await request.body()
        return Response(headers={"ETag": '"0"'})

    routes = [
        Route("/endpoints/{name}/invocations", invoke, methods=["POST"]),
        Route("/{bucket}/{key:path}", put, methods=["PUT", "GET", "DELETE"]),
    ]
    uvicorn.run(
        Starlette(routes=routes), host="127.0.0.1", port=asked.port, http="httptools", loop="uvloop", log_level="error"
    )


if __name__ == "__main__":
    main()

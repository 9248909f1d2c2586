"""`python -m tests.cluster.serve_callers --port N`: the server without a worker, which takes a header's word for who
asks. It stands in for a sign-in, so that a test can have many callers."""

from __future__ import annotations

import sys

from starlette.requests import HTTPConnection

from graphql_api.commands.serve import serve
from graphql_api.domain.ids import CallerId
from graphql_api.settings import Settings

HEADER = "x-test-caller"


def caller_of(connection: HTTPConnection) -> CallerId:
    """Who asks, as they say themselves."""
    return CallerId(connection.headers[HEADER])


if __name__ == "__main__":
    sys.exit(serve(Settings(), host="127.0.0.1", port=int(sys.argv[2]), with_worker=False, identify=caller_of))

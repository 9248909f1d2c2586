"""`python -m tests.cluster.serve_callers --port N`: the server without a worker, which takes a token's word for who
asks. It stands in for a sign-in, so that a test can have many callers."""

from __future__ import annotations

import sys

from graphql_api.commands.serve import serve
from graphql_api.domain.caller import Caller
from graphql_api.domain.errors import NotAuthenticated
from graphql_api.domain.ids import CallerId
from graphql_api.settings import Settings


class WhoTheySay:
    """An Authenticator for which a token is the ID of its caller."""

    async def authenticate(self, token: str | None) -> Caller:
        """Who asks, as they say themselves."""
        if token is None:
            raise NotAuthenticated
        return Caller(id=CallerId(token), name=token, account=token)


def credential(caller: str) -> dict[str, str]:
    """The headers by which a caller says who they are."""
    return {"Authorization": f"Bearer {caller}"}


if __name__ == "__main__":
    port = int(sys.argv[2])
    sys.exit(serve(Settings(), host="127.0.0.1", port=port, with_worker=False, authenticator=WhoTheySay()))

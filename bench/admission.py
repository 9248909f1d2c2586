"""What it costs to know who asks and how much: acknowledged mutations of one process without sign-in and limits, with
limits, with API keys, with tokens.

All sides run in rotation. The limits are counted at each request and never reached.

`python -m bench.admission --rounds 5 --seconds 5`
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack

from bench.acknowledgements import acknowledgements, requests
from bench.harness import PRODUCT, ROOT, Contender, Figures, Server, Target, in_rotation, report
from tests.clients.jwks_server import JwksServer, SigningKey

AUDIENCE = "text2image"
NO_LIMIT_IS_REACHED = {
    "TEXT2IMAGE_REQUESTS_PER_MINUTE": "100000000",
    "TEXT2IMAGE_JOBS_PER_MINUTE": "100000000",
    "TEXT2IMAGE_JOBS_IN_FLIGHT": "100000000",
    "TEXT2IMAGE_PIXELS_PER_DAY": "1000000000000000",
    "TEXT2IMAGE_DOLLARS_PER_MONTH": "1000000",
}
TARGETS = tuple(
    Target(
        text=f"rate with {side} over the rate without: at least {limit}",
        figure=f"{side}_per_second",
        limit=limit,
        at_least=True,
        ratio_to="per_second",
        against="product",
    )
    for side, limit in (("limits", 0.95), ("keys", 0.95), ("jwt", 0.9))
)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=32)
    asked = parser.parse_args()
    with ExitStack() as stack:
        signing = SigningKey("RS256")
        issuer = JwksServer(signing)
        stack.callback(issuer.stop)
        issuer.start()
        headers: Mapping[str, Callable[[Server], str]] = {
            "keys": new_key,
            "jwt": lambda _: signing.sign(
                {"iss": issuer.issuer, "aud": AUDIENCE, "sub": "bench", "exp": round(time.time()) + 3600}
            ),
        }

        def measured(side: str) -> Callable[[Server], Awaitable[Figures]]:
            async def measure(server: Server) -> Figures:
                token = headers[side](server) if side in headers else None
                header = b"" if token is None else b"Authorization: Bearer %s\r\n" % token.encode()
                return await acknowledgements(
                    server, seconds=asked.seconds, connections=asked.connections, next_request=requests(header)
                )

            return measure

        sides = {
            "product": PRODUCT,
            "limits": _named("limits", **NO_LIMIT_IS_REACHED),
            "keys": _named("keys", TEXT2IMAGE_AUTH="keys"),
            "jwt": _named(
                "jwt",
                TEXT2IMAGE_AUTH="jwt",
                TEXT2IMAGE_JWT_ISSUER=issuer.issuer,
                TEXT2IMAGE_JWT_AUDIENCE=AUDIENCE,
            ),
        }
        figures: dict[str, list[Figures]] = {}
        for _ in range(asked.rounds):
            for name, contender in sides.items():
                figures.setdefault(name, []).extend(in_rotation((contender,), measured(name), rounds=1)[name])
    for name in ("limits", "keys", "jwt"):
        figures["product"] = [
            {**bare, f"{name}_per_second": other["per_second"]}
            for bare, other in zip(figures["product"], figures[name], strict=True)
        ]
    report("admission", figures, TARGETS, seconds=asked.seconds, connections=asked.connections)


def _named(name: str, **environment: str) -> Contender:
    return Contender(name=name, command=PRODUCT.command, environment={**PRODUCT.environment, **environment})


def new_key(server: Server, *options: str) -> str:
    """The token of an API key, made as an operator makes it."""
    command = [sys.executable, "-m", "graphql_api", "keys", "create", "bench", *options]
    made = subprocess.run(command, cwd=ROOT, env=server.process.environ(), capture_output=True, text=True, check=True)
    return made.stdout.strip()


if __name__ == "__main__":
    main()

"""API keys, made as an operator makes them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.clients.server_process import ServerProcess, clean_environment


def run_keys(server: ServerProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`text2image keys ...` with the settings of a server, which may be running."""
    return subprocess.run(
        [sys.executable, "-m", "graphql_api", "keys", *arguments],
        env={**clean_environment(**server.settings), **server.environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def describe_new_key(server: ServerProcess, *options: str, name: str = "somebody") -> dict[str, Any]:
    """What the command prints of a new key: its token, and all that may be known."""
    made = run_keys(server, "create", name, "--json", *options)
    assert made.returncode == 0, made.stderr
    described: dict[str, Any] = json.loads(made.stdout)
    return described


def create_key(server: ServerProcess, name: str, *options: str) -> str:
    """The token of a new key."""
    made = run_keys(server, "create", name, *options)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token}"}

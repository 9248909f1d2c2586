"""API keys for the tests, made as an operator makes them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.clients.server_process import ServerProcess, clean_environment


def create_key(server: ServerProcess, *options: str) -> dict[str, Any]:
    """What `text2image keys create` prints of a new key of a server: its token, and all that may be known."""
    command = [sys.executable, "-m", "graphql_api", "keys", "create", "somebody", "--json", *options]
    environment = {**clean_environment(**server.settings), **server.environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    created: dict[str, Any] = json.loads(done.stdout)
    return created

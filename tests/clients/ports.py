"""Ports for servers that must be told theirs."""

from __future__ import annotations

import random
import socket


def free_port() -> int:
    """A port that nobody listens on. It is not one of those that the system gives to outgoing connections: one of them
    could take it before the server does, or while the server is being restarted."""
    while True:
        port = random.randrange(10_000, 30_000)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue

"""A caller with a key of its own who does what the limits are for, in loops without a pause, until it is ended.

It runs as a process of its own, at low priority: what it costs to attack must not be taken for what it costs to be
attacked. Prints how often each attack was made.

`python -m bench.hostile_client --port 8000 --token t2i_... --each 4`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

PROTOCOL = Subprotocol("graphql-transport-ws")
NICENESS = 19
LARGE = "{dimensions: {width: 128, height: 128}}"
MUTATION = (
    f'mutation {{ generateImage(input: {{prompt: "x", size: {LARGE}}}) {{ job {{ id }} errors {{ __typename }} }} }}'
)
FRAGMENTS = "".join(f"fragment F{n} on GenerationJob {{ id ...F{n + 1} ...F{n + 1} }} " for n in range(60))
DOCUMENTS: Mapping[str, str] = {
    "aliases": "{" + " ".join(f"a{n}: __typename" for n in range(10_000)) + "}",
    "duplicates": "{ jobs { edges { node { " + "id " * 10_000 + "} } } }",
    "duplicates under the limit": "{ jobs { edges { node { " + "model { id } " * 100 + "} } } }",
    "fragments": "{ jobs { edges { node { ...F0 } } } } " + FRAGMENTS + "fragment F60 on GenerationJob { id }",
    "depth": "{ a " * 5_000 + "}" * 5_000,
    "unknown fields": "{" + " ".join(f"unknown{n}" for n in range(400)) + "}",
    "expensive list": "{ jobs(first: 100) { edges { node { id parameters { prompt } images { url } } } } }",
    "introspection": "{ __schema { types { name fields { name type { name ofType { name } } } } } }",
    "submit": MUTATION,
}
Attack = Callable[[], Awaitable[None]]


class Hostile:
    """The attacks."""

    def __init__(self, port: int, token: str) -> None:
        self.done: Counter[str] = Counter()
        self._port = port
        self._headers = {"Authorization": f"Bearer {token}"}
        limits = httpx.Limits(max_connections=200)
        origin = f"http://127.0.0.1:{port}"
        self._http = httpx.AsyncClient(base_url=origin, headers=self._headers, timeout=30, limits=limits)

    def attacks(self) -> Mapping[str, Attack]:
        """Each by its name."""
        return {
            **{name: self._document(text) for name, text in DOCUMENTS.items()},
            "large body": self._large_body,
            "slow body": self._slow_body,
            "wrong token": self._wrong_token,
            "socket without init": self._silent_socket,
            "socket flood": self._message_flood,
            "reconnect": self._reconnect,
            "event streams": self._event_streams,
        }

    async def repeat(self, name: str, attack: Attack) -> None:
        """Make one attack again and again."""
        while True:
            try:
                await attack()
            except (OSError, httpx.HTTPError, WebSocketException, asyncio.IncompleteReadError, TimeoutError):
                await asyncio.sleep(0.01)
            self.done[name] += 1

    def _document(self, text: str) -> Attack:
        body = json.dumps({"query": text}).encode()

        async def send() -> None:
            await self._http.post("/graphql", content=body, headers={"Content-Type": "application/json"})

        return send

    async def _large_body(self) -> None:
        body = b'{"query":"' + b"x" * 5_000_000 + b'"}'
        await self._http.post("/graphql", content=body, headers={"Content-Type": "application/json"})

    async def _slow_body(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(b"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n")
            writer.write(f"Authorization: {self._headers['Authorization']}\r\nContent-Length: 1000\r\n\r\n".encode())
            for _ in range(20):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(1)
            await reader.read(1)
        finally:
            writer.close()

    async def _wrong_token(self) -> None:
        headers = {"Authorization": "Bearer t2i_000000000000_" + "0" * 48}
        await self._http.post("/graphql", json={"query": "{ __typename }"}, headers=headers)

    async def _silent_socket(self) -> None:
        async with self._socket() as socket:
            await socket.recv()

    async def _message_flood(self) -> None:
        async with self._socket() as socket:
            await socket.send(json.dumps({"type": "connection_init"}))
            await socket.recv()
            for number in range(100_000):
                query = {"query": DOCUMENTS["unknown fields"]}
                await socket.send(json.dumps({"id": str(number), "type": "subscribe", "payload": query}))

    async def _reconnect(self) -> None:
        async with self._socket() as socket:
            await socket.send(json.dumps({"type": "connection_init"}))
            await socket.recv()
            payload = {"query": "subscription { jobsUpdated { kind } }"}
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))

    async def _event_streams(self) -> None:
        body = {"query": "subscription { jobsUpdated { kind job { id images { url } } } }"}
        async with self._http.stream("POST", "/graphql", json=body, headers={"Accept": "text/event-stream"}) as answer:
            async for _ in answer.aiter_raw():
                await asyncio.sleep(5)

    def _socket(self) -> Any:
        url = f"ws://127.0.0.1:{self._port}/graphql"
        return connect(url, subprotocols=[PROTOCOL], additional_headers=self._headers, proxy=None)


async def attack(port: int, token: str, each: int) -> Counter[str]:
    """Attack until SIGTERM; how often each attack was made."""
    hostile = Hostile(port, token)
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    tasks = [
        asyncio.create_task(hostile.repeat(name, attack))
        for name, attack in hostile.attacks().items()
        for _ in range(each)
    ]
    await over.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return hostile.done


def main() -> None:
    """Attack, and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--each", type=int, default=2)
    asked = parser.parse_args()
    os.nice(NICENESS)
    print(json.dumps(asyncio.run(attack(asked.port, asked.token, asked.each))))


if __name__ == "__main__":
    main()

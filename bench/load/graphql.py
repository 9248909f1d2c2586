"""One GraphQL request, for set-up and polling."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from bench.load.http import PREFIX, post


async def ask(port: int, query: str, variables: object) -> Any:
    """The `data` of the answer. Raises RuntimeError when there are errors."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"%sConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (PREFIX, len(body), body))
    _, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    result = json.loads(answer)
    if "errors" in result:
        raise RuntimeError(str(result["errors"]))
    return result["data"]


class Caller:
    """A caller with a keep-alive connection, who sends one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: bytes) -> None:
        self._reader = reader
        self._writer = writer
        self._headers = headers

    @classmethod
    async def open(cls, port: int, *, token: str | None = None) -> Caller:
        """Connect."""
        headers = b"" if token is None else b"Authorization: Bearer %s\r\n" % token.encode()
        return cls(*await asyncio.open_connection("127.0.0.1", port), headers)

    async def ask(self, query: str, variables: object) -> Any:
        """The whole answer to one request."""
        self._writer.write(post(json.dumps({"query": query, "variables": variables}).encode(), self._headers))
        head = await self._reader.readuntil(b"\r\n\r\n")
        _, _, rest = head.lower().partition(b"content-length:")
        return json.loads(await self._reader.readexactly(int(rest.split(b"\r\n", 1)[0])))

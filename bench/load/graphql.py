"""One GraphQL request, for set-up and polling."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from bench.load.http import PREFIX


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

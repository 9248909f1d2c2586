"""A server, as the command line asks it: GraphQL over HTTP, and Server-Sent Events for what goes on.

What an end of a connection means, and how long to wait after it, is in docs/clients/reconnecting.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from graphql_api.commands.client.text import printable
from graphql_api.commands.client.views import Change, Picture, change_of
from graphql_api.commands.usage import Exit, Stopped

LONGEST_WAITS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0)
"""Seconds to wait at most before each new connection, until the server counts as gone; half of each is left to
chance."""
WAITS_OF_A_STRANGER = 2
"""How many of them are for a server that has taken a connection and never answered."""

READ_SECONDS = 60
"""How long a stream may be silent. The server writes a comment every few seconds."""
PREVIEW_SECONDS = 2

_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_FAULTS = frozenset({"SERVICE_UNAVAILABLE", "INTERNAL_SERVER_ERROR"})


class _Passing(Exception):
    """It may be otherwise in a moment. `stopped` is what to say when it is not."""

    def __init__(self, stopped: Stopped, *, was_connected: bool) -> None:
        super().__init__(str(stopped))
        self.stopped = stopped
        self.was_connected = was_connected


class Remote:
    """One server and one caller. A server that cannot be reached in the first place is not tried again."""

    def __init__(self, server: str, token: str, http: httpx.AsyncClient, longest_waits: Sequence[float]) -> None:
        self.server = server
        self.on_lost: Callable[[float], None] = lambda seconds: None
        """Told when a connection is lost, and in how many seconds there will be another."""
        self._token = token
        self._http = http
        self._longest_waits = longest_waits
        self._has_answered = False

    async def ask(self, operation: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The data of a query or of a mutation that may be repeated. Raises Stopped."""
        attempt = 0
        while True:
            try:
                return await self._ask_once(operation, variables or {})
            except _Passing as error:
                await self._wait_or_stop(error, attempt)
                attempt += 1

    async def follow(self, operation: str, variables: Mapping[str, Any], field: str) -> AsyncGenerator[Change, None]:
        """Every change that a subscription tells of, over any number of connections, to its end. Raises Stopped."""
        after: str | None = None
        attempt = 0
        while True:
            try:
                async with aclosing(self._stream(operation, {**variables, "after": after}, field)) as events:
                    async for event in events:
                        after, attempt = event["cursor"], 0
                        yield change_of(event, self.absolute)
                return
            except _Passing as error:
                await self._wait_or_stop(error, attempt)
                attempt += 1

    async def fetch_picture(self, picture: Picture) -> bytes:
        """The file of an image, as it was stored. The token is shown to the API alone, not to where the images are.
        Raises Stopped."""
        assert picture.url is not None
        attempt = 0
        while True:
            try:
                response = await self._get(picture.url)
                break
            except _Passing as error:
                await self._wait_or_stop(error, attempt)
                attempt += 1
        if response.status_code != 200:
            raise Stopped(f"The image could not be fetched: its store answered {response.status_code}.")
        if hashlib.sha256(response.content).hexdigest() != picture.sha256:
            raise Stopped("The image could not be fetched: the file is not the one that the server made.")
        return response.content

    async def fetch_preview(self, url: str) -> bytes | None:
        """The unfinished image, or None: it is not worth waiting for, and the next one takes its place."""
        try:
            response = await self._http.get(url, timeout=PREVIEW_SECONDS)
        except httpx.HTTPError:
            return None
        return response.content if response.status_code == 200 else None

    async def _get(self, url: str) -> httpx.Response:
        try:
            response = await self._http.get(url)
        except httpx.TransportError as error:
            raise self._not_reached(error) from error
        if response.status_code in _PASSING_STATUS:
            raise _Passing(
                Stopped(f"The image could not be fetched: its store answered {response.status_code}."),
                was_connected=True,
            )
        return response

    def absolute(self, url: str) -> str:
        """A URL that the server gave out, for others than itself."""
        return urljoin(f"{self.server}/", url)

    async def _wait_or_stop(self, error: _Passing, attempt: int) -> None:
        waits = self._longest_waits
        if not self._has_answered:
            waits = waits[:WAITS_OF_A_STRANGER] if error.was_connected else ()
        if attempt >= len(waits):
            raise error.stopped from error
        seconds = waits[attempt] * (0.5 + random.random() / 2)
        self.on_lost(seconds)
        await asyncio.sleep(seconds)

    async def _ask_once(self, operation: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        try:
            response = await self._http.post(
                f"{self.server}/graphql",
                json={"query": operation, "variables": variables},
                headers={"Accept": "application/json", **self._credential},
            )
        except httpx.TransportError as error:
            raise self._not_reached(error) from error
        self._check_status(response)
        return self._data_of(_json_of(response.content))

    async def _stream(
        self, operation: str, variables: Mapping[str, Any], field: str
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """The events of one connection. Ends when the server says that the operation is over."""
        try:
            async with self._http.stream(
                "POST",
                f"{self.server}/graphql",
                json={"query": operation, "variables": variables},
                headers={"Accept": "text/event-stream", **self._credential},
            ) as response:
                if response.status_code != 200:
                    await response.aread()
                self._check_status(response)
                async for kind, data in _events(response.aiter_text()):
                    if kind == "complete":
                        return
                    if kind == "next":
                        yield self._data_of(_json_of(data))[field]
        except httpx.TransportError as error:
            raise self._not_reached(error) from error
        lost = Stopped(f"{self.server} ended the stream, and has not come back.", Exit.NOT_REACHED)
        raise _Passing(lost, was_connected=True)

    @property
    def _credential(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _not_reached(self, error: httpx.TransportError) -> _Passing:
        return _Passing(
            Stopped(
                f"{self.server} cannot be reached ({type(error).__name__}). Is the server running? "
                "`text2image serve` starts one here; --server or TEXT2IMAGE_SERVER names another.",
                Exit.NOT_REACHED,
            ),
            was_connected=not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol),
        )

    def _check_status(self, response: httpx.Response) -> None:
        """Raise what an answer means that has another status than 200."""
        if response.status_code == 200:
            self._has_answered = True
            return
        answer = _json_of(response.content)
        errors = answer.get("errors") if isinstance(answer, dict) else None
        if response.status_code == 401:
            raise self._not_signed_in(response.headers.get("WWW-Authenticate", ""))
        if response.status_code in _PASSING_STATUS:
            code = Exit.REFUSED if response.status_code == 429 else Exit.NOT_REACHED
            said = _sentence_of(errors[0]) if errors else "What stands before the server may not reach it."
            stopped = Stopped(f"The server answered {response.status_code}. {said}", code)
            if response.status_code == 429 and not self._has_answered:
                raise stopped
            raise _Passing(stopped, was_connected=True)
        if not errors:
            raise Stopped(
                f"The server answered {response.status_code}: {self.server} is not the address of a text2image "
                "server. Give its origin, such as http://127.0.0.1:8000.",
                Exit.NOT_REACHED,
            )
        raise _refusal(errors[0])

    def _not_signed_in(self, challenge: str) -> Stopped:
        if not self._token:
            why = "The server wants an API key or a token"
        elif "expired" in challenge:
            why = "The token has expired"
        else:
            why = "The server does not take this token"
        return Stopped(f"{why}: set TEXT2IMAGE_TOKEN to one that is valid.", Exit.NOT_SIGNED_IN)

    def _data_of(self, result: Any) -> dict[str, Any]:
        if not isinstance(result, dict) or not (result.get("errors") or isinstance(result.get("data"), dict)):
            raise Stopped(f"What {self.server} answers is not GraphQL.", Exit.NOT_REACHED)
        for error in result.get("errors") or ():
            refusal = _refusal(error)
            raise refusal if refusal.code is not Exit.FAILED else _Passing(refusal, was_connected=True)
        data: dict[str, Any] = result["data"]
        return data


@asynccontextmanager
async def open_remote(
    server: str, token: str = "", *, longest_waits: Sequence[float] = LONGEST_WAITS
) -> AsyncIterator[Remote]:
    """A server by its URL. Raises Stopped where it is none."""
    if not _is_url(server):
        raise Stopped(f"{server} is not the URL of a server, such as http://127.0.0.1:8000.", Exit.WRONG_USAGE)
    async with httpx.AsyncClient(timeout=httpx.Timeout(10, read=READ_SECONDS), follow_redirects=False) as http:
        yield Remote(server.rstrip("/"), token, http, longest_waits)


def refusal_in(payload: Mapping[str, Any]) -> Stopped | None:
    """Why a mutation did nothing; None when it did something."""
    for error in payload["errors"]:
        return _with_patience(printable(error["message"]), error.get("retryAfterSeconds"))
    return None


def _is_url(server: str) -> bool:
    try:
        parts = urlsplit(server)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _refusal(error: Mapping[str, Any]) -> Stopped:
    """What a top-level error means."""
    code = (error.get("extensions") or {}).get("code")
    if code == "UNAUTHENTICATED":
        return Stopped(f"{_sentence_of(error)} Set TEXT2IMAGE_TOKEN to one that is valid.", Exit.NOT_SIGNED_IN)
    if code in _FAULTS:
        return Stopped(_sentence_of(error), Exit.FAILED)
    if code == "FORBIDDEN":
        return Stopped(f"{_sentence_of(error)} Use the key of a member.", Exit.REFUSED)
    return Stopped(_sentence_of(error), Exit.REFUSED)


def _sentence_of(error: Mapping[str, Any]) -> str:
    seconds = (error.get("extensions") or {}).get("retryAfterSeconds")
    return str(_with_patience(printable(str(error.get("message", ""))), seconds))


def _with_patience(message: str, seconds: float | None) -> Stopped:
    """A refusal, with when to try again where that is known."""
    return Stopped(message if seconds is None else f"{message} Try again in {seconds:.0f} s.", Exit.REFUSED)


def _json_of(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


async def _events(chunks: AsyncIterator[str]) -> AsyncIterator[tuple[str, str]]:
    """Kind and data of every event. Lines are split at line feeds only, as this server writes them: `aiter_lines` would
    also split at U+2028, which JSON may hold."""
    kind, data = "message", ""
    rest = ""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split("\n")
        for line in lines:
            name, _, value = line.rstrip("\r").partition(":")
            match name:
                case "event":
                    kind = value.strip()
                case "data":
                    data += value.removeprefix(" ")
                case "" if not line.strip():
                    if kind != "message" or data:
                        yield kind, data
                    kind, data = "message", ""

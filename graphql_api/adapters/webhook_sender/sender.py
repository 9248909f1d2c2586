"""Sending webhooks to where strangers say, and nowhere else.

A name is looked up once for each request, all of its addresses are checked, and the connection is made to one of those
that were checked: a name server that answers otherwise the second time is not asked a second time. Redirects are not
followed, proxies of the environment are not used, and no connection is used twice.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

import httpcore
import httpx

from graphql_api import __version__
from graphql_api.adapters.webhook_sender.addresses import AddressRule
from graphql_api.adapters.webhook_sender.names import PER_LANE, NameLookup
from graphql_api.adapters.webhook_sender.target import BadTarget, Target, target_of
from graphql_api.domain.errors import NotDelivered, ServiceUnavailable

TOTAL_SECONDS = 15.0
CONNECT_SECONDS = 5.0
_BODY_SECONDS = 2.0
_BODY_BYTES = 64 * 1024
_MAX_ADDRESSES = 4

_NOT_PUBLIC = "The URL must lead to a public address."
_NOT_HTTPS = "The URL must begin with https://."
_NO_VERDICT = "The host of the webhook cannot be looked up for the moment; try again."


class Resolve(Protocol):
    """Looks names up."""

    def __call__(self, host: str, *, lane: str = "") -> Awaitable[Sequence[str]]:
        """The addresses of a host, none when there are none. Raises OSError when that cannot be told now."""
        ...


class _NoVerdict(Exception):
    """A name could not be looked up, which says nothing of the name."""


class HttpWebhookSender:
    """Sends each webhook on a connection of its own."""

    def __init__(
        self,
        rule: AddressRule,
        *,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        total_seconds: float = TOTAL_SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        """`resolve` looks names up, by default with the system's resolver; `tls` says whom to trust, by default the
        authorities that the system or certifi knows. `connect_seconds` limits the lookup and the connecting, each;
        `total_seconds` limits all of a request."""
        self._rule = rule
        # Checks that hang must not keep the postman from sending.
        self._resolve_to_check = resolve or NameLookup(per_lane=PER_LANE)
        self._resolve_to_send = resolve or NameLookup()
        self._tls = tls or httpx.create_ssl_context()
        self._total_seconds = total_seconds
        self._connect_seconds = connect_seconds

    def check_form(self, url: str) -> str | None:
        """See WebhookSender."""
        try:
            target_of(url)
        except BadTarget as error:
            return str(error)
        return None

    async def check(self, url: str, *, lane: str) -> str | None:
        """See WebhookSender. A name that leads nowhere gets the same answer as one that leads to a private address."""
        try:
            await self._reachable(target_of(url), partial(self._resolve_to_check, lane=lane))
        except BadTarget as error:
            return str(error)
        except _NoVerdict as error:
            raise ServiceUnavailable(_NO_VERDICT) from error
        return None

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """See WebhookSender. At most 64 KiB of the answer's body are read, for two seconds, and looked at by nobody."""
        try:
            async with asyncio.timeout(self._total_seconds):
                target = target_of(url)
                addresses = await self._reachable(target, self._resolve_to_send)
                async with self._connection(target, addresses) as connection:
                    return await _post(connection, target, body, headers)
        except BadTarget as error:
            raise NotDelivered(str(error)) from error
        except _NoVerdict as error:
            raise NotDelivered("the host could not be looked up") from error
        except TimeoutError as error:
            raise NotDelivered(f"no answer in {self._total_seconds:g} s") from error
        except httpcore.ConnectError as error:
            raise NotDelivered("TLS failed") from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise NotDelivered("the connection ended without an answer in HTTP") from error

    async def _reachable(self, target: Target, resolve: Callable[[str], Awaitable[Sequence[str]]]) -> Sequence[str]:
        """The addresses to send to. Raises BadTarget or _NoVerdict."""
        try:
            async with asyncio.timeout(self._connect_seconds):
                addresses = await resolve(target.host)
        except OSError as error:
            # A TimeoutError is one.
            raise _NoVerdict from error
        if not target.is_secure and not (addresses and all(map(self._rule.names, addresses))):
            raise BadTarget(_NOT_HTTPS)
        if not addresses or not all(map(self._rule.allows, addresses)):
            raise BadTarget(_NOT_PUBLIC)
        return addresses

    @asynccontextmanager
    async def _connection(
        self, target: Target, addresses: Sequence[str]
    ) -> AsyncIterator[httpcore.AsyncConnectionInterface]:
        origin = httpcore.Origin(b"https" if target.is_secure else b"http", target.host.encode("ascii"), target.port)
        backend = _CheckedAddresses(addresses, self._connect_seconds)
        connection = httpcore.AsyncHTTPConnection(origin, ssl_context=self._tls, network_backend=backend)
        try:
            yield connection
        finally:
            await connection.aclose()


class _CheckedAddresses(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, whatever the host is called."""

    def __init__(self, addresses: Sequence[str], seconds: float) -> None:
        self._addresses = addresses[:_MAX_ADDRESSES]
        self._seconds = seconds
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address that takes one; each gets its share of the time. Raises NotDelivered."""
        problem: Exception = NotDelivered(_NOT_PUBLIC)
        for address in self._addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout=self._seconds / len(self._addresses))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise NotDelivered(_why_not_connected(problem, self._seconds)) from problem


def _why_not_connected(problem: Exception, seconds: float) -> str:
    if isinstance(problem, httpcore.ConnectTimeout):
        return f"no connection in {seconds:g} s"
    return "the connection was refused"


async def _post(
    connection: httpcore.AsyncConnectionInterface, target: Target, body: bytes, headers: Mapping[str, str]
) -> int:
    own = {
        "Host": target.authority,
        "User-Agent": f"text2image/{__version__}",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    request = httpcore.Request(
        "POST",
        httpcore.URL(
            scheme=b"https" if target.is_secure else b"http",
            host=target.host.encode("ascii"),
            port=target.port,
            target=target.path.encode("ascii"),
        ),
        headers=list({**own, **headers}.items()),
        content=body,
        # A name may end with a dot; certificates do not know it with one.
        extensions={"sni_hostname": target.host.rstrip(".")},
    )
    response = await connection.handle_async_request(request)
    try:
        await _read_some(response)
    finally:
        await response.aclose()
    return response.status


async def _read_some(response: httpcore.Response) -> None:
    """Let the receiver finish what it says, within reason: to some, a connection that is closed under their answer is a
    fault. The status counts whatever becomes of it."""
    unread = _BODY_BYTES
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in response.aiter_stream():
                unread -= len(chunk)
                if unread <= 0:
                    return
    except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
        return

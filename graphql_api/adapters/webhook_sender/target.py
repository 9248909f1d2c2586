"""What a URL says of where a webhook is to be sent."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

from graphql_api.domain.webhook import MAX_URL_CHARS

# Also the spellings of addresses in one number, which the resolver reads (127.1, 0x7f000001).
_NAME = re.compile(r"(?=.{1,253}\.?\Z)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
_IPV6 = re.compile(r"[0-9a-f:.]+", re.IGNORECASE)
_PORTS = {"https": 443, "http": 80}


class BadTarget(ValueError):
    """A URL that nothing can be sent to. The text is a sentence for the caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to send. `host` is ASCII and, when it is an IPv6 address, without brackets; `authority` is what the Host
    header says; `path` includes the query."""

    is_secure: bool
    host: str
    port: int
    authority: str
    path: str


def target_of(url: str) -> Target:
    """Read a URL, without looking anything up. Raises BadTarget.

    There is one reader for the check and for the request, so that they cannot differ about the host.
    """
    if len(url) > MAX_URL_CHARS:
        raise BadTarget(f"The URL must have at most {MAX_URL_CHARS:,} characters.")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise BadTarget("The URL must not hold spaces or control characters.")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise BadTarget("This is not a URL.") from error
    if parsed.scheme not in _PORTS:
        raise BadTarget("The URL must begin with https://.")
    # Also an empty one of either: `https://@host/` and `https://host/#`.
    authority = url.split("//", 1)[-1].split("/", 1)[0].split("?", 1)[0]
    if "@" in authority:
        raise BadTarget("The URL must not hold a user or a password.")
    if "#" in url:
        raise BadTarget("The URL must not have a fragment.")
    host = parsed.raw_host.decode("ascii")
    if not (_IPV6 if ":" in host else _NAME).fullmatch(host):
        raise BadTarget("The URL must name a host.")
    port = _PORTS[parsed.scheme] if parsed.port is None else parsed.port
    if not 1 <= port <= 65_535:
        raise BadTarget("The port must be between 1 and 65535.")
    return Target(
        is_secure=parsed.scheme == "https",
        host=host,
        port=port,
        authority=parsed.netloc.decode("ascii"),
        path=parsed.raw_path.decode("ascii"),
    )

"""What the URL of a Valkey or Redis server says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

DEFAULT_PORT = 6379
SCHEMES = ("valkey", "valkeys", "redis", "rediss")
_FORM = "valkey://[user:password@]host[:port][/db][?cluster=true]"
_OPTIONS = ("cluster", "ca", "prefix")
_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Node(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValkeyUrl:
    """A server, or any node of a cluster. Keys and channels begin with `prefix`."""

    node: Node
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    is_tls: bool = False
    ca_file: Path | None = None
    is_cluster: bool = False
    prefix: str = "text2image:"


def parse_valkey_url(text: str, *, password: str = "") -> ValkeyUrl:
    """Read a URL, whose password may be given apart. Raises ValueError: it says what to write, and never repeats what
    may be a password."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    else:
        port = DEFAULT_PORT if port is None else port
    if not host or not port:
        raise ValueError(
            f"Valkey needs a host and a port that is a number: {_FORM}. "
            "In user and password, characters such as / : @ # ? % are written as %2F and so on."
        ) from None
    if parts.fragment:
        raise ValueError(f"The URL of Valkey has no part behind #: {_FORM}; # in a password is written %23.")
    if password and parts.password:
        raise ValueError("The URL of Valkey holds a password, and TEXT2IMAGE_EVENTS_PASSWORD too: leave one out.")
    options = _options(parts)
    is_tls = parts.scheme in ("valkeys", "rediss")
    is_cluster = _flag(options, "cluster")
    db = _db(parts)
    if is_cluster and db:
        raise ValueError("A cluster has only one database: leave /db out, or write ?prefix=<name> to share a cluster.")
    if "ca" in options and not is_tls:
        raise ValueError("?ca=<file> is for TLS: write valkeys:// in place of valkey://.")
    ca_file = Path(options["ca"]) if "ca" in options else None
    if ca_file is not None and not ca_file.is_file():
        raise ValueError("?ca= names no file; write the path of a PEM file with the certificate of the authority.")
    prefix = options.get("prefix", "text2image")
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("?prefix= takes up to 64 letters, digits, points, - and _.")
    return ValkeyUrl(
        node=Node(host, port),
        db=db,
        username=unquote(parts.username) if parts.username else None,
        password=password or (unquote(parts.password) if parts.password else None),
        is_tls=is_tls,
        ca_file=ca_file,
        is_cluster=is_cluster,
        # Keys are apart in each database; channels are not.
        prefix=f"{prefix}:{db}:" if db else f"{prefix}:",
    )


def _db(parts: SplitResult) -> int:
    text = parts.path.removeprefix("/").removesuffix("/")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"The path of the URL of Valkey is the number of a database: {_FORM}.")
    return int(text)


def _options(parts: SplitResult) -> dict[str, str]:
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError("Options of the URL of Valkey are written ?name=value&name=value.") from None
    options = dict(pairs)
    if len(options) < len(pairs) or not options.keys() <= set(_OPTIONS):
        raise ValueError("The URL of Valkey takes ?cluster=true, ?ca=<file> and ?prefix=<name>, each once.")
    return options


def _flag(options: dict[str, str], name: str) -> bool:
    match options.get(name, "false"):
        case "true":
            return True
        case "false":
            return False
        case _:
            raise ValueError(f"?{name}= is true or false.")

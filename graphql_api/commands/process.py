"""What the processes that run for long have in common: sockets, signals, and how Python is set up for them."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import uvicorn

BACKLOG = 4096
CLOSING_SECONDS = 2
"""How long what is being answered gets to be done with, at least."""

UNREAD_SECONDS = 60
"""After how long without any progress a peer that does not take what it is sent is cut off."""

# Allocations between two looks at the youngest objects. The default of 700 makes the collector run hundreds of times a
# second under load, and each full run stops the event loop for as long as there are live objects to visit.
GC_THRESHOLDS = (10_000, 20, 50)

# How long a rendering thread may hold on to the interpreter while the event loop waits for it; the default is 5 ms.
SWITCH_SECONDS = 0.0005

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class PortTaken(Exception):
    """Another program listens on the address."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections; port 0 lets the system choose. Raises PortTaken."""
    try:
        listener = socket.create_server((host, port), family=_family_of(host), backlog=BACKLOG)
    except OSError as error:
        # Python adds the address once more.
        reason = str(error.strerror).partition(" (while")[0]
        raise PortTaken(f"Cannot listen on {host} port {port}: {reason}.") from error
    if sys.platform == "linux":
        # Connections inherit it. To close one politely is to wait for the peer to read what is left.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * UNREAD_SECONDS)
    return listener


def is_reached_from_elsewhere(host: str) -> bool:
    """Whether other machines reach what listens on a host: whether any of its addresses is not of the loopback
    interface. An unknown host is not reached at all."""
    try:
        # Empty means every address, as it does where one listens.
        found = socket.getaddrinfo(host or "0.0.0.0", None, family=_family_of(host), type=socket.SOCK_STREAM)
    except OSError:
        return False
    return not all(ip_address(address[0]).is_loopback for *_, address in found)


def _family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def take_all_files() -> None:
    """Raise the limit of open files, of which each connection is one, as far as this process may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def on_first_signal(stop: Callable[[], None]) -> None:
    """Call `stop` on the first SIGINT or SIGTERM. The second one kills: nothing but time is lost by that."""
    loop = asyncio.get_running_loop()

    def obey() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stop()

    for number in _SIGNALS:
        loop.add_signal_handler(number, obey)


def keep_the_loop_responsive() -> None:
    """Have other threads give the interpreter back soon. To be called before anything is opened."""
    sys.setswitchinterval(SWITCH_SECONDS)


def calm_the_collector() -> None:
    """Spare the collector what was loaded at start and stays for ever, and let it run less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


class Server(uvicorn.Server):
    """uvicorn, which leaves the signals to whoever runs it: it would raise them again before services are closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See uvicorn."""
        yield

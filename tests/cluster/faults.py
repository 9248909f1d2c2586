"""What can befall a fleet. Each leaves it whole again, as whoever runs the processes would."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping

from tests.clients.server_process import ServerProcess
from tests.clients.waiting import eventually
from tests.cluster.fleet import LEASE_SECONDS, SLOTS, Fleet

Fault = Callable[[Fleet, int], Awaitable[None]]
"""Given a fleet, and which of two processes it befalls."""


async def kill_worker(fleet: Fleet, which: int) -> None:
    """kill -9 of a worker, which is started again."""
    await _kill(fleet.workers[which])


async def kill_replica(fleet: Fleet, which: int) -> None:
    """kill -9 of an API replica, which is started again where it was."""
    await _kill(fleet.replicas[which])


async def terminate_worker(fleet: Fleet, which: int) -> None:
    """SIGTERM of a worker, as in an upgrade."""
    await _terminate(fleet.workers[which])


async def terminate_replica(fleet: Fleet, which: int) -> None:
    """SIGTERM of an API replica, as in an upgrade."""
    await _terminate(fleet.replicas[which])


async def restart_valkey(fleet: Fleet, which: int) -> None:
    """Valkey is restarted and has forgotten everything."""
    fleet.valkey.kill()
    await asyncio.to_thread(fleet.valkey.start)


async def ten_seconds_without_valkey(fleet: Fleet, which: int) -> None:
    """Valkey is away for ten seconds."""
    fleet.valkey.kill()
    await asyncio.sleep(10)
    await asyncio.to_thread(fleet.valkey.start)


async def restart_postgres(fleet: Fleet, which: int) -> None:
    """PostgreSQL drops all connections and is restarted."""
    await asyncio.to_thread(fleet.postgres.stop)
    await asyncio.to_thread(fleet.postgres.start)


async def crash_postgres(fleet: Fleet, which: int) -> None:
    """PostgreSQL crashes in mid-air and recovers."""
    await asyncio.to_thread(fleet.postgres.stop, signal.SIGQUIT)
    await asyncio.to_thread(fleet.postgres.start)


async def longer_than_a_lease_without_postgres(fleet: Fleet, which: int) -> None:
    """PostgreSQL is away until every lease has run out."""
    await asyncio.to_thread(fleet.postgres.stop)
    await asyncio.sleep(3 * LEASE_SECONDS)
    await asyncio.to_thread(fleet.postgres.start)


async def postgres_that_stands_still(fleet: Fleet, which: int) -> None:
    """PostgreSQL keeps its connections and answers nothing, for longer than a lease."""
    fleet.postgres.pause()
    await asyncio.sleep(2 * LEASE_SECONDS)
    fleet.postgres.resume()


async def stop_worker_past_its_lease(fleet: Fleet, which: int) -> None:
    """A worker stands still until others have its jobs, and then goes on with them: both finish the same jobs."""
    worker = fleet.workers[which]
    running = "SELECT 1 FROM (SELECT count(*) AS jobs FROM jobs WHERE status = 'RUNNING') AS running WHERE jobs > "
    # More than one worker can run: so this one has some of them.
    await eventually(lambda: fleet.rows(f"{running} {SLOTS}"))
    worker.send_signal(signal.SIGSTOP)
    try:
        await eventually(lambda: fleet.rows("SELECT 1 FROM jobs WHERE attempt > 1 AND status = 'RUNNING' LIMIT 1"))
    finally:
        worker.send_signal(signal.SIGCONT)


FAULTS: Mapping[str, Fault] = {
    fault.__name__: fault
    for fault in (
        kill_worker,
        kill_replica,
        terminate_worker,
        terminate_replica,
        restart_valkey,
        ten_seconds_without_valkey,
        restart_postgres,
        crash_postgres,
        longer_than_a_lease_without_postgres,
        postgres_that_stands_still,
        stop_worker_past_its_lease,
    )
}
COSTS_NOTHING = frozenset(
    {
        "kill_replica",
        "terminate_replica",
        "restart_valkey",
        "ten_seconds_without_valkey",
        "restart_postgres",
        "crash_postgres",
        "longer_than_a_lease_without_postgres",
        "postgres_that_stands_still",
    }
)
"""Faults in which no worker is lost: nothing is sent twice."""


async def _kill(process: ServerProcess) -> None:
    process.kill()
    await asyncio.to_thread(process.start, on_same_port=True)


async def _terminate(process: ServerProcess) -> None:
    assert await asyncio.to_thread(process.terminate) == 0, process.log
    await asyncio.to_thread(process.start, on_same_port=True)

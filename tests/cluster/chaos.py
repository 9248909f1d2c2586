"""`make chaos`: a fleet under random faults, for minutes. The seed decides which, when and whom.

python -m tests.cluster.chaos --minutes 10 --seed 7
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.clients.moto import MotoServer
from tests.cluster.campaign import Campaign
from tests.cluster.faults import FAULTS
from tests.cluster.fleet import MAX_ATTEMPTS, Fleet, open_fleet

JOBS_AT_A_TIME = 40
MOST_UNFINISHED = 200


async def chaos(fleet: Fleet, *, minutes: float, seed: int) -> None:
    """Faults and jobs for so long, then peace, then what must hold."""
    chance = random.Random(seed)
    campaign = Campaign(fleet, seed=seed)
    deadline = time.monotonic() + 60 * minutes
    suffered: dict[str, int] = {}

    async def keep_submitting() -> None:
        while time.monotonic() < deadline:
            if len(campaign.watched) - campaign.finished() < MOST_UNFINISHED:
                await campaign.submit(JOBS_AT_A_TIME)
            await asyncio.sleep(0.2)

    async def keep_hurting() -> None:
        while time.monotonic() < deadline:
            name, which = chance.choice(sorted(FAULTS)), chance.randrange(2)
            suffered[name] = suffered.get(name, 0) + 1
            print(f"{time.strftime('%H:%M:%S')}  {campaign.finished():5} jobs ended  {name} {which}", flush=True)  # noqa: T201
            await FAULTS[name](fleet, which)
            await asyncio.to_thread(fleet.note_invocations)
            await asyncio.sleep(chance.uniform(0, 4))

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_submitting())
            group.create_task(keep_hurting())
        await campaign.ended()
        await campaign.check(most_runs=MAX_ATTEMPTS)
    finally:
        await campaign.close()
    connections = sum(each.connections for each in campaign.watched)
    runs = sum(fleet.runs_by_job().values())
    print(f"seed {seed}: {suffered}")  # noqa: T201
    print(f"{len(campaign.watched)} jobs, {runs} runs of a model, {connections} connections of watchers: all is well")  # noqa: T201


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10_000)
    options = parser.parse_args()
    moto = MotoServer().start()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"seed {options.seed}, logs in {folder}", file=sys.stderr)  # noqa: T201
    try:
        with open_fleet(folder, moto) as fleet:
            asyncio.run(chaos(fleet, minutes=options.minutes, seed=options.seed))
    finally:
        moto.stop()


if __name__ == "__main__":
    main()

"""Two replicas and two workers, 300 jobs of 20 callers, each watched by a client that comes back with `after`; and in
the middle of it, a fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.moto import MotoServer
from tests.cluster.campaign import Campaign
from tests.cluster.faults import COSTS_NOTHING, FAULTS
from tests.cluster.fleet import MAX_ATTEMPTS, Fleet, open_fleet

JOBS = 160 + 140


@pytest.fixture(scope="module")
def fleet(moto: MotoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One fleet for all faults: each must leave it as good as new."""
    with open_fleet(tmp_path_factory.mktemp("fleet"), moto) as opened:
        yield opened


@pytest.mark.parametrize("name", FAULTS)
async def test_every_job_ends_once_and_every_watcher_learns_it(fleet: Fleet, name: str) -> None:
    fleet.forget_invocations()
    campaign = Campaign(fleet)
    try:
        await campaign.submit(160)
        await campaign.when_finished(0.2)
        await FAULTS[name](fleet, 0)
        await campaign.submit(140)
        await campaign.ended()
        await campaign.check(most_runs=1 if name in COSTS_NOTHING else MAX_ATTEMPTS)
    finally:
        await campaign.close()

    assert len(campaign.watched) == JOBS

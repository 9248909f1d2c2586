"""S3 is away while an answer is in hand: the image is kept, stored when S3 is back, and paid for once."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.aws.conftest import Cloud
from tests.aws.test_production import inference_id
from tests.clients.faulty_proxy import Cut, Fault, FaultyProxy, s3_error
from tests.clients.graphql_http import Api
from tests.clients.server_process import StartServer

IMAGES = re.compile(r"/images/")


@pytest.mark.parametrize("model", ["sd", "steps", "later"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(method="PUT", path=IMAGES, times=14, status=503, body=s3_error("SlowDown")),
        Fault(method="PUT", path=IMAGES, times=14, status=500, body=s3_error("InternalError")),
        Fault(method="PUT", path=IMAGES, times=4, status=403, body=s3_error("AccessDenied")),
        Fault(method="PUT", path=IMAGES, times=14, cut=Cut.BEFORE),
        Fault(method="PUT", path=IMAGES, times=6, cut=Cut.AFTER),
    ],
    ids=["slow down", "internal error", "access denied", "cut before", "cut after"],
)
async def test_an_image_in_hand_is_stored_when_the_store_is_back(
    cloud: Cloud, start_server: StartServer, tmp_path: Path, model: str, fault: Fault
) -> None:
    # Each case has faults of its own: a fault counts down.
    own = Fault(
        method=fault.method,
        path=fault.path,
        times=fault.times,
        cut=fault.cut,
        status=fault.status,
        body=fault.body,
    )
    cloud.sagemaker.reset()
    async with FaultyProxy(cloud.moto.origin) as proxy:
        proxy.faults.append(own)
        environment = {**cloud.environment, "AWS_ENDPOINT_URL_S3": proxy.origin}
        # Leases that are shorter than the wait, so that they must be renewed in the meantime.
        server = start_server(environment=environment, lease="1", **cloud.settings(tmp_path))
        async with Api(server.origin) as api:
            job = await api.finished((await api.generate(modelId=model, steps=2))["id"])

    assert job["status"] == "SUCCEEDED", job
    assert own.times == 0
    assert cloud.runs(inference_id(job)) == 1


async def test_a_job_whose_answer_waits_for_the_store_can_be_canceled(
    cloud: Cloud, start_server: StartServer, tmp_path: Path
) -> None:
    cloud.sagemaker.reset()
    async with FaultyProxy(cloud.moto.origin) as proxy:
        proxy.faults.append(Fault(method="PUT", path=IMAGES, times=None, status=503, body=s3_error("SlowDown")))
        environment = {**cloud.environment, "AWS_ENDPOINT_URL_S3": proxy.origin}
        server = start_server(environment=environment, drain="1", **cloud.settings(tmp_path))
        async with Api(server.origin) as api:
            job = await api.generate(modelId="sd", steps=2)
            await api.job_when(job["id"], lambda found: found["progress"]["phase"] == "STORING")
            payload = await api.cancel(job["id"])

            assert payload["job"]["cancelOutcome"] == "DETACHED"
            other = await api.generate(modelId="sd", steps=2)
            await api.job_when(other["id"], lambda found: found["progress"]["phase"] == "STORING")
        # A store that is away must not keep the server from stopping.
        assert await asyncio.to_thread(server.terminate) == 0

"""Production on this machine: the server as users start it, moto for S3, SNS and SQS, and `sagemaker-local`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from tests.clients.graphql_http import Api
from tests.clients.moto import REGION, MotoServer
from tests.clients.sagemaker_local import SageMakerLocal
from tests.clients.server_process import ServerProcess

BUCKET = "production"
UNHEARD = "unheard_seconds=2"

MODELS = f"""
[[model]]
name = "sd"
endpoint = "sagemaker:sd"
concurrency = 4

[[model]]
name = "steps"
endpoint = "sagemaker-stream:steps"
concurrency = 4

[[model]]
name = "later"
endpoint = "sagemaker-async:later?inputs=s3://{BUCKET}/async-inputs&{UNHEARD}"
concurrency = 16

[[model]]
name = "rgb"
endpoint = "sagemaker:sd"
[model.codec_options]
answer = "rgb"

[[model]]
name = "sdxl"
endpoint = "sagemaker:sdxl"
codec = "jumpstart-imagegeneration"

[[model]]
name = "hub"
endpoint = "sagemaker:hub"
codec = "huggingface"

[[model]]
name = "impatient"
endpoint = "sagemaker:sd"
patience = 0.5

[[model]]
name = "missing"
endpoint = "sagemaker:no-such-endpoint"
"""


@dataclass(frozen=True)
class Cloud:
    """AWS, as far as it is on this machine."""

    moto: MotoServer
    sagemaker: SageMakerLocal
    queue_url: str

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes AWS clients talk to it."""
        return {**self.moto.environment, **self.sagemaker.environment}

    def client(self, service: str) -> Any:
        """A client of moto's, for tests to look behind the server."""
        return client_of(self.moto, service)

    def runs(self, invocation_id: str) -> int:
        """How often the model ran for an invocation, under whatever name it was sent."""
        names = (each["inference_id"] for each in self.sagemaker.invocations() if each["model_ran"])
        return sum(name == invocation_id or name.startswith(f"{invocation_id}.r") for name in names)

    def settings(self, folder: Path, models: str = MODELS) -> dict[str, str]:
        """Settings of a server in production."""
        path = folder / "models.toml"
        path.write_text(models)
        return {"models": str(path), "endpoint": "sketch:", "images": f"s3:{BUCKET}", "completions": self.completions}

    @property
    def completions(self) -> str:
        """The setting."""
        return f"sqs:{self.queue_url}"


def client_of(moto: MotoServer, service: str) -> Any:
    """A client of moto's."""
    return boto3.client(
        service,
        endpoint_url=moto.origin,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


@contextmanager
def open_cloud(moto: MotoServer, folder: Path, name: str) -> Iterator[Cloud]:
    """A bucket, endpoints of every kind, and a topic with a queue of this name. Whoever reads the queue takes what it
    finds there: servers that do not share their jobs must not share a queue."""
    client_of(moto, "s3").create_bucket(Bucket=BUCKET)
    sns, sqs = client_of(moto, "sns"), client_of(moto, "sqs")
    topic = sns.create_topic(Name=name)["TopicArn"]
    dead_url = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    dead_arn = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    queue_url = sqs.create_queue(
        QueueName=name,
        Attributes={
            "VisibilityTimeout": "1",
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": "3"}),
        },
    )["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    options = (
        *("--endpoint", "sd=jumpstart-sd"),
        *("--endpoint", "steps=jumpstart-sd:stream"),
        *("--endpoint", "later=jumpstart-sd:async"),
        *("--endpoint", "sdxl=jumpstart-imagegeneration"),
        *("--endpoint", "hub=huggingface"),
        *("--output", f"s3://{BUCKET}/async-outputs"),
        *("--success-topic", topic),
        *("--error-topic", topic),
        *("--step-seconds", "0.02"),
        *("--workers", "4"),
    )
    sagemaker = SageMakerLocal(folder / "log", options, moto.environment).start()
    yield Cloud(moto, sagemaker, queue_url)
    sagemaker.stop()


@pytest.fixture(scope="session")
def cloud(moto: MotoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """What most tests share."""
    with open_cloud(moto, tmp_path_factory.mktemp("cloud"), "completions") as opened:
        yield opened


@pytest.fixture(scope="session")
def production(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests that do no harm to it."""
    folder = tmp_path_factory.mktemp("production")
    server = ServerProcess(folder / "data", folder, cloud.settings(folder), environment=cloud.environment).start()
    yield server
    server.stop()


@pytest.fixture
async def api(production: ServerProcess, cloud: Cloud) -> AsyncIterator[Api]:
    """A client of that server; the endpoints have no faults at first, and nothing goes on behind a test."""
    cloud.sagemaker.reset()
    async with Api(production.origin) as client:
        yield client
        cloud.sagemaker.reset()
        await client.cancel_everything()

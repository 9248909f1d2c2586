"""A fleet on one machine: API replicas and workers as processes, PostgreSQL, Valkey, moto, `sagemaker-local`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.clients.moto import MotoServer
from tests.clients.ports import free_port
from tests.clients.postgres_server import PostgresServer
from tests.clients.sagemaker_local import SageMakerLocal
from tests.clients.server_process import ServerProcess, WorkerProcess
from tests.clients.valkey_server import ValkeyServer

__all__ = ["Fleet", "Replica", "open_fleet"]

LEASE_SECONDS = 2.0
MAX_ATTEMPTS = 3
STEP_SECONDS = 0.05
BUCKET = "fleet"

MODELS = f"""
[[model]]
name = "sd"
endpoint = "sagemaker:sd"
concurrency = 6

[[model]]
name = "steps"
endpoint = "sagemaker-stream:steps"
concurrency = 6

[[model]]
name = "later"
endpoint = "sagemaker-async:later?inputs=s3://{BUCKET}/inputs&unheard_seconds=30"
concurrency = 12
"""
MODEL_NAMES = ("sd", "steps", "later")
SLOTS = 6 + 6 + 12
"""Jobs that a worker runs at a time."""


class Replica(ServerProcess):
    """A server without a worker, with many callers."""

    program = ("tests.cluster.serve_callers", "--port")


class Fleet:
    """Two of each, which share everything that processes share. All may be stopped, killed and started again."""

    def __init__(
        self,
        folder: Path,
        postgres: PostgresServer,
        valkey: ValkeyServer,
        sagemaker: SageMakerLocal,
        settings: dict[str, str],
        environment: dict[str, str],
    ) -> None:
        self.postgres = postgres
        self.valkey = valkey
        self.sagemaker = sagemaker
        self.image_folder = folder / "data" / "images"
        self._invocations: dict[int, tuple[str, bool]] = {}

        def logs(name: str) -> Path:
            (folder / name).mkdir()
            return folder / name

        self.replicas = [
            Replica(folder / "data", logs(f"replica-{number}"), settings, environment=environment)
            for number in range(2)
        ]
        self.workers = [
            WorkerProcess(folder / "data", logs(f"worker-{number}"), settings, environment=environment)
            for number in range(2)
        ]

    @property
    def processes(self) -> Sequence[ServerProcess]:
        """Those that are the product."""
        return [*self.replicas, *self.workers]

    def rows(self, statement: str) -> list[list[str]]:
        """What the database has, column by column, as text."""
        return [line.split("|") for line in self.postgres.execute(statement).splitlines()]

    def stray_files(self) -> set[str]:
        """Files that no job names."""
        named = set()
        for data in self.postgres.execute("SELECT data FROM jobs WHERE status = 'SUCCEEDED'").splitlines():
            for image in json.loads(data)["images"]:
                named |= {image["key"], image["thumbnail_key"]}
        # Without what a writer had in its hands when it was killed: the store removes that when it is opened.
        files = [path for folder in self.image_folder.glob("[!.]*") for path in folder.iterdir()]
        stored = {str(path.relative_to(self.image_folder.parent)) for path in files}
        return stored - named

    def note_invocations(self) -> None:
        """Remember what the endpoints were asked: they keep the latest ten thousand."""
        for each in self.sagemaker.invocations():
            self._invocations[each["number"]] = (each["inference_id"].partition(".")[0], each["model_ran"])

    def forget_invocations(self) -> None:
        """Begin anew."""
        self.sagemaker.reset()
        self._invocations.clear()

    def runs_by_job(self) -> dict[str, int]:
        """How often the model ran for each job, under whatever name it was sent."""
        self.note_invocations()
        runs: dict[str, int] = {}
        for job_id, has_run in self._invocations.values():
            runs[job_id] = runs.get(job_id, 0) + has_run
        return runs


@contextmanager
def open_fleet(folder: Path, moto: MotoServer) -> Iterator[Fleet]:
    """Start all of it, and stop it in the end."""
    from tests.aws.conftest import client_of

    client_of(moto, "s3").create_bucket(Bucket=BUCKET)
    sns, sqs = client_of(moto, "sns"), client_of(moto, "sqs")
    topic = sns.create_topic(Name="fleet")["TopicArn"]
    queue_url = sqs.create_queue(QueueName="fleet", Attributes={"VisibilityTimeout": "2"})["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    options = (
        *("--endpoint", "sd=jumpstart-sd"),
        *("--endpoint", "steps=jumpstart-sd:stream"),
        *("--endpoint", "later=jumpstart-sd:async"),
        *("--output", f"s3://{BUCKET}/outputs"),
        *("--success-topic", topic),
        *("--error-topic", topic),
        *("--step-seconds", str(STEP_SECONDS)),
        *("--workers", "16"),
    )
    sagemaker = SageMakerLocal(folder / "sagemaker.log", options, moto.environment)
    postgres, valkey = PostgresServer(folder), ValkeyServer(folder / "valkey")
    (folder / "models.toml").write_text(MODELS)
    settings = {
        "database": postgres.url(),
        "events": valkey.url,
        "models": str(folder / "models.toml"),
        "completions": f"sqs:{queue_url}",
        "lease": str(LEASE_SECONDS),
        "max_attempts": str(MAX_ATTEMPTS),
        "log_format": "json",
    }
    try:
        environment = {**moto.environment, **sagemaker.start().environment}
        postgres.start()
        valkey.start()
        fleet = Fleet(folder, postgres, valkey, sagemaker, settings, environment)
        try:
            for process in fleet.processes:
                process.port = free_port()
                process.start(on_same_port=True)
            yield fleet
        finally:
            for process in fleet.processes:
                process.stop()
    finally:
        valkey.stop()
        postgres.stop()
        sagemaker.stop()

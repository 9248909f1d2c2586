"""`text2image worker` beside `text2image serve --no-worker`, as users start them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.clients.graphql_http import Api
from tests.clients.otlp_collector import Collector
from tests.clients.postgres_server import PostgresServer
from tests.clients.server_process import ServerProcess, WorkerProcess, clean_environment
from tests.clients.valkey_server import ValkeyServer
from tests.clients.waiting import eventually

MODELS = """
[[model]]
name = "quick"
endpoint = "sketch:"

[[model]]
name = "slow"
endpoint = "sketch:?step_seconds=0.1"
"""


@dataclass
class Site:
    """What processes share, and the settings that say so."""

    folder: Path
    settings: Mapping[str, str]

    def server(self, **settings: str) -> ServerProcess:
        """An API replica."""
        return ServerProcess(
            self.folder / "data", self._logs("server"), {**self.settings, **settings}, arguments=["--no-worker"]
        ).start()

    def worker(self, *arguments: str, environment: Mapping[str, str] | None = None, **settings: str) -> WorkerProcess:
        """A worker."""
        started = WorkerProcess(
            self.folder / "data",
            self._logs("worker"),
            {**self.settings, **settings},
            arguments=arguments,
            environment=environment,
        ).start()
        assert isinstance(started, WorkerProcess)
        return started

    def _logs(self, name: str) -> Path:
        path = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
        path.mkdir()
        return path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """PostgreSQL and Valkey."""
    postgres, valkey = PostgresServer(tmp_path).start(), ValkeyServer(tmp_path / "valkey").start()
    (tmp_path / "models.toml").write_text(MODELS)
    settings = {"database": postgres.url(), "events": valkey.url, "models": str(tmp_path / "models.toml")}
    yield Site(tmp_path, settings)
    valkey.stop()
    postgres.stop()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Where spans go."""
    made = Collector()
    yield made
    made.close()


async def test_jobs_of_a_server_run_in_a_worker_and_progress_and_pictures_come_back(site: Site) -> None:
    server = site.server()
    try:
        async with Api(server.origin) as api:
            job = await api.generate(modelId=await model_id(api, "slow"), steps=20)
            assert job["status"] == "QUEUED"
            worker = site.worker()
            try:
                seen = await api.job_when(job["id"], lambda now: now["progress"]["previewUrl"])
                preview = await api.http.get(seen["progress"]["previewUrl"])
                assert preview.headers["content-type"] == "image/webp"

                done = await api.finished(job["id"])
                assert done["status"] == "SUCCEEDED"
                assert (await api.http.get(done["images"][0]["url"])).status_code == 200
                assert worker.terminate() == 0
            finally:
                worker.stop()
    finally:
        server.stop()


async def test_worker_that_is_told_to_stop_gives_back_what_it_cannot_end(site: Site) -> None:
    server, first = site.server(), site.worker(drain="0.3")
    try:
        async with Api(server.origin) as api:
            job = await api.generate(modelId=await model_id(api, "slow"), steps=40)
            await api.running(job["id"])

            assert first.terminate() == 0
            given_back = await api.job(job["id"])
            assert given_back is not None
            assert given_back["status"] == "QUEUED"

            second = site.worker()
            try:
                assert (await api.finished(job["id"]))["status"] == "SUCCEEDED"
            finally:
                second.stop()
    finally:
        first.stop()
        server.stop()


async def test_worker_of_one_model_leaves_the_others_alone(site: Site) -> None:
    server, worker = site.server(), site.worker("--model", "quick")
    try:
        async with Api(server.origin) as api:
            other = await api.generate(modelId=await model_id(api, "slow"))
            own = await api.generate(modelId=await model_id(api, "quick"))

            assert (await api.finished(own["id"]))["status"] == "SUCCEEDED"
            left = await api.job(other["id"])
            assert left is not None
            assert left["status"] == "QUEUED"
    finally:
        worker.stop()
        server.stop()


async def test_worker_answers_about_its_health_and_what_it_counts(site: Site) -> None:
    server, worker = site.server(), site.worker()
    try:
        async with Api(server.origin) as api:
            await api.finished((await api.generate(modelId=await model_id(api, "quick")))["id"])
        async with httpx.AsyncClient(base_url=worker.origin, verify=False, trust_env=False) as http:
            assert (await http.get("/healthz")).status_code == 200
            assert (await http.get("/readyz")).json() == {
                "status": "ready",
                "draining": False,
                "parts": {"job_store": "up", "event_broker": "up"},
            }
            counted = (await http.get("/metrics")).text
            assert 'text2image_jobs_finished_total{code="",model="quick",status="succeeded"} 1.0' in counted
            assert (await http.get("/graphql")).status_code == 404
    finally:
        worker.stop()
        server.stop()


async def test_one_trace_leads_from_the_mutation_to_the_stored_image_in_another_process(
    site: Site, collector: Collector
) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    server = ServerProcess(
        site.folder / "data",
        site.folder,
        {**site.settings, "traces": "otlp"},
        arguments=["--no-worker"],
        environment=environment,
    ).start()
    worker = site.worker(environment=environment, traces="otlp")
    try:
        async with Api(server.origin) as api:
            await api.finished((await api.generate(modelId=await model_id(api, "quick")))["id"])

        def names_by_trace() -> dict[bytes, set[str]]:
            names: dict[bytes, set[str]] = {}
            for span in collector.spans:
                names.setdefault(span.trace_id, set()).add(span.name)
            return names

        await eventually(lambda: any({"submit job", "run job"} <= names for names in names_by_trace().values()))
    finally:
        worker.stop()
        server.stop()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "TEXT2IMAGE_DATABASE=postgresql://"),
        ({"database": "postgresql://postgres@127.0.0.1:9/x"}, "TEXT2IMAGE_EVENTS=valkey://"),
    ],
)
def test_worker_says_what_it_needs(tmp_path: Path, settings: dict[str, str], says: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "graphql_api", "worker"],
        env=clean_environment(data_dir=str(tmp_path), **settings),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_worker_knows_its_models(site: Site) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "graphql_api", "worker", "--model", "nobody"],
        env=clean_environment(data_dir=str(site.folder), **site.settings),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert "There is no model nobody; there are quick, slow." in ended.stderr


async def model_id(api: Api, name: str) -> str:
    """The ID of a model, as clients learn it."""
    models = (await api.data("{ models { id name } }"))["models"]
    (found,) = [str(model["id"]) for model in models if model["name"] == name]
    return found

"""What is counted, logged and traced, on the product's own adapters."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from graphql_api import log_context, metrics, tracing
from graphql_api.app import health_app
from graphql_api.bootstrap import SKETCH, Services, open_services
from graphql_api.domain.errors import ModelFailed, ModelNotReady, ServiceUnavailable
from graphql_api.domain.events import JobEventKind
from graphql_api.domain.ids import JobId
from graphql_api.domain.job import Job, JobStatus, Progress
from graphql_api.http import health
from graphql_api.ports import EventBroker, JobMoved, JobProgressed, JobStore, QueueDepth
from graphql_api.service import queue_report
from graphql_api.service.counting import counted_invocation
from graphql_api.service.mailbox import MAX_MOVES, Mailbox
from graphql_api.service.queue_report import QueueReport
from graphql_api.settings import Settings
from graphql_api.telemetry import configure_logging, install_tracer, traces
from tests.clients.waiting import eventually
from tests.contract.sample_jobs import ALICE, NOON, a_job
from tests.unit.shop import CALLER, REQUEST, ScriptedEndpoint, Shop, a_jpeg, a_shop, an_answer

PASSWORD = "postgresql://user:hunter2@db.internal:5432/jobs"


def value_of(name: str, **labels: str) -> float:
    """The value of a series now; 0 where it is not there yet."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


class Growth:
    """How much a series has grown since the test began."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name, self._labels = name, labels
        self._before = value_of(name, **labels)

    def __float__(self) -> float:
        return value_of(self._name, **self._labels) - self._before


# --- readiness -------------------------------------------------------------------------------------------------------


class AwayStore:
    """A job store that does not answer, and says more about it than anybody should hear."""

    def __init__(self) -> None:
        self.checks = 0
        self.fault: Exception | None = ServiceUnavailable(PASSWORD)

    async def check(self) -> None:
        self.checks += 1
        if self.fault is not None:
            raise self.fault

    async def depths(self) -> list[QueueDepth]:
        if self.fault is not None:
            raise self.fault
        return [QueueDepth(model_name="sketch", jobs=3, oldest_created_at=NOON)]


class AwayBroker:
    """An event broker that does not answer."""

    async def check(self) -> None:
        raise ServiceUnavailable(PASSWORD)


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    """Everything but a worker."""
    async with open_services(Settings(data_dir=tmp_path), with_worker=False) as opened:
        yield opened


def asking(services: Services, *, store: object = None, broker: object = None) -> httpx.AsyncClient:
    """A client of the health routes, with parts that do not answer in place of those that do."""
    changed = replace(
        services,
        store=services.store if store is None else cast("JobStore", store),
        broker=services.broker if broker is None else cast("EventBroker", broker),
    )
    transport = httpx.ASGITransport(health_app(changed))
    return httpx.AsyncClient(transport=transport, base_url="http://10.1.2.3:8000")


async def test_a_replica_with_all_its_parts_is_ready(services: Services) -> None:
    async with asking(services) as client:
        answer = await client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "draining": False,
        "parts": {"job_store": "up", "event_broker": "up"},
    }
    assert answer.headers["cache-control"] == "no-store"


async def test_a_replica_without_its_job_store_is_not_ready_and_tells_no_secret(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    async with asking(services, store=AwayStore()) as client:
        answer = await client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["parts"] == {"job_store": "down", "event_broker": "up"}
    assert "hunter2" not in answer.text and "db.internal" not in answer.text
    assert [record.getMessage() for record in caplog.records] == ["the job store does not answer"]
    assert value_of("text2image_part_up", part="job_store") == 0


async def test_a_replica_without_the_broker_is_degraded_and_takes_traffic(services: Services) -> None:
    async with asking(services, broker=AwayBroker()) as client:
        answer = await client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["parts"] == {"job_store": "up", "event_broker": "down"}


async def test_a_replica_that_drains_is_not_ready_and_lives(services: Services) -> None:
    services.draining.set()
    async with asking(services) as client:
        answer = await client.get("/readyz")
        assert (await client.get("/healthz")).status_code == 200

    assert answer.status_code == 503
    assert answer.json()["status"] == "draining"
    assert answer.json()["draining"] is True


async def test_a_part_that_hangs_is_down(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    class HangingStore(AwayStore):
        async def check(self) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    async with asking(services, store=HangingStore()) as client:
        assert (await client.get("/readyz")).json()["parts"]["job_store"] == "down"


async def test_a_part_that_answers_again_is_up_again(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECKS_ARE_FRESH_SECONDS", 0.0)
    store = AwayStore()
    async with asking(services, store=store) as client:
        assert (await client.get("/readyz")).status_code == 503
        store.fault = None
        assert (await client.get("/readyz")).status_code == 200


async def test_probes_do_not_load_the_store(services: Services) -> None:
    store = AwayStore()
    async with asking(services, store=store) as client:
        for _ in range(20):
            await client.get("/readyz")
        await asyncio.gather(*(client.get("/readyz") for _ in range(20)))

    assert store.checks == 1


# --- /metrics --------------------------------------------------------------------------------------------------------


async def test_the_queue_is_told_by_model_with_the_age_of_its_oldest_job(services: Services) -> None:
    store = AwayStore()
    store.fault = None
    async with asking(services, store=store) as client:
        text = (await client.get("/metrics")).text

    assert 'text2image_queued_jobs{model="sketch"} 3.0' in text
    age = re.search(r'^text2image_oldest_queued_job_seconds\{model="sketch"\} (.+)$', text, re.MULTILINE)
    assert age is not None and float(age[1]) > 0


async def test_an_empty_queue_is_told_as_such(services: Services) -> None:
    async with asking(services) as client:
        text = (await client.get("/metrics")).text

    assert 'text2image_queued_jobs{model="sketch"} 0.0' in text


async def test_the_queue_is_left_out_while_the_store_is_away(services: Services) -> None:
    async with asking(services, store=AwayStore()) as client:
        answer = await client.get("/metrics")

    assert answer.status_code == 200
    assert "text2image_queued_jobs" not in answer.text
    assert "process_resident_memory_bytes" in answer.text
    assert "hunter2" not in answer.text


async def test_scrapers_that_ask_for_openmetrics_get_it(services: Services) -> None:
    async with asking(services) as client:
        answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.count("# EOF") == 1 and answer.text.endswith("# EOF\n")


async def test_metrics_can_be_switched_off(services: Services) -> None:
    async with asking(replace(services, settings=services.settings.model_copy(update={"metrics": False}))) as client:
        assert (await client.get("/metrics")).status_code == 404
        assert (await client.get("/readyz")).status_code == 200


async def test_metrics_answer_to_addresses_and_own_names_alone(services: Services) -> None:
    async with asking(services) as client:
        statuses = {
            host: (await client.get("/metrics", headers={"Host": host})).status_code
            for host in ("10.0.0.7:8000", "[fd00::1]:8000", "localhost", "evil.example", "10.0.0.7.evil.example")
        }

    assert statuses == {
        "10.0.0.7:8000": 200,
        "[fd00::1]:8000": 200,
        "localhost": 200,
        "evil.example": 421,
        "10.0.0.7.evil.example": 421,
    }


# --- what is counted -------------------------------------------------------------------------------------------------


async def test_a_job_is_counted_once_with_its_phases(tmp_path: Path) -> None:
    finished = Growth("text2image_jobs_finished_total", model="sketch", status="succeeded", code="")
    phases = [
        Growth("text2image_job_seconds_count", model="sketch", phase=phase, outcome="succeeded")
        for phase in ("queued", "generating", "storing")
    ]
    answered = Growth("text2image_invocations_total", model="sketch", outcome="answered")
    async with a_shop(tmp_path, ScriptedEndpoint([an_answer(a_jpeg())])) as shop, shop.working():
        await shop.end_of((await shop.jobs.submit(CALLER, REQUEST)).job)
        assert value_of("text2image_job_slots", model="sketch") == 2

    assert [float(finished), float(answered), *map(float, phases)] == [1, 1, 1, 1, 1]
    assert value_of("text2image_jobs_running", model="sketch") == 0


async def test_a_failed_job_is_counted_by_its_code(tmp_path: Path) -> None:
    finished = Growth("text2image_jobs_finished_total", model="sketch", status="failed", code="MODEL_ERROR")
    failed = Growth("text2image_invocations_total", model="sketch", outcome="model_error")
    async with a_shop(tmp_path, ScriptedEndpoint([ModelFailed("No.")])) as shop, shop.working():
        await shop.end_of((await shop.jobs.submit(CALLER, REQUEST)).job)

    assert (float(finished), float(failed)) == (1, 1)


async def test_a_canceled_job_is_counted_by_whoever_cancels_it(tmp_path: Path) -> None:
    finished = Growth("text2image_jobs_finished_total", model="sketch", status="canceled", code="")
    queued = Growth("text2image_job_seconds_count", model="sketch", phase="queued", outcome="canceled")
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        job = (await shop.jobs.submit(CALLER, REQUEST)).job
        await shop.jobs.cancel(ALICE, job.id)
        await shop.jobs.cancel(ALICE, job.id)

    assert (float(finished), float(queued)) == (1, 1)


async def test_a_run_that_is_broken_off_is_counted(tmp_path: Path) -> None:
    revoked = Growth("text2image_claims_revoked_total")
    left = Growth("text2image_invocations_total", model="sketch", outcome="left")
    endpoint = ScriptedEndpoint([asyncio.Event()])
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = (await shop.jobs.submit(CALLER, REQUEST)).job
        await eventually(lambda: endpoint.invocations)
        await shop.jobs.cancel(ALICE, job.id)
        await eventually(lambda: endpoint.stopped)
        await eventually(lambda: value_of("text2image_jobs_running", model="sketch") == 0)

    assert (float(revoked), float(left)) == (1, 1)


async def test_an_invocation_that_did_not_run_costs_nothing(tmp_path: Path) -> None:
    refused = Growth("text2image_invocations_total", model="sketch", outcome="not_ready")
    seconds = Growth("text2image_inference_seconds_total", model="sketch")
    endpoint = ScriptedEndpoint([ModelNotReady("Busy.", is_starting=False)])
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = (await shop.jobs.submit(CALLER, REQUEST)).job
        await eventually(lambda: len(endpoint.invocations) >= 2)
        await shop.jobs.cancel(ALICE, job.id)

    assert float(refused) >= 1
    assert float(seconds) == 0


async def test_seconds_of_a_model_with_a_price_are_dollars() -> None:
    priced = replace(SKETCH, name="priced", price_per_second=0.5)
    paid: list[float] = []
    with counted_invocation(priced, pay=paid.append, age=lambda: 10.0):
        pass

    assert paid == [10]
    assert value_of("text2image_inference_seconds_total", model="priced") == 10
    assert value_of("text2image_inference_cost_dollars_total", model="priced") == 5
    with counted_invocation(replace(SKETCH, name="unpriced"), pay=paid.append):
        pass
    assert REGISTRY.get_sample_value("text2image_inference_cost_dollars_total", {"model": "unpriced"}) is None


async def test_a_wait_that_another_worker_goes_on_with_is_not_counted_twice() -> None:
    paid: list[float] = []
    deferred = replace(SKETCH, name="deferred")
    with pytest.raises(KeyboardInterrupt), counted_invocation(deferred, pay=paid.append, others_go_on=True):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), counted_invocation(deferred, pay=paid.append):
        raise KeyboardInterrupt

    assert value_of("text2image_invocations_total", model="deferred", outcome="left") == 1
    assert len(paid) == 1


def test_progress_that_a_later_report_replaces_is_counted() -> None:
    conflated, mailbox = Growth("text2image_progress_conflated_total"), Mailbox()
    for step in range(5):
        progress = Progress(step=step, fraction=step / 10, total_steps=10)
        mailbox.deliver(JobProgressed(job_id=JobId("a"), caller_id=ALICE, attempt=1, progress=progress))

    assert float(conflated) == 4


def test_a_watcher_that_is_too_slow_is_counted_once() -> None:
    overflows, mailbox = Growth("text2image_mailbox_overflows_total"), Mailbox()
    for revision in range(3 * MAX_MOVES):
        mailbox.deliver(JobMoved(job_id=JobId("a"), caller_id=ALICE, revision=revision, job=None))

    assert float(overflows) == 1


def test_every_kind_of_event_and_outcome_is_there_from_the_start() -> None:
    for kind in JobEventKind:
        assert REGISTRY.get_sample_value("text2image_events_sent_total", {"kind": kind.value.lower()}) is not None
    for operation in ("query", "mutation", "subscription", "none"):
        for outcome in ("ok", "refused", "fault"):
            labels = {"operation": operation, "outcome": outcome}
            assert REGISTRY.get_sample_value("text2image_graphql_operations_total", labels) is not None


def test_every_metric_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
    documented = set(re.findall(r"^\| `(text2image_\w+)`", text, re.MULTILINE))
    names = {
        family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        for metric in vars(metrics).values()
        if isinstance(metric, MetricWrapperBase)
        for family in metric.describe()
    }

    assert names == documented


# --- logs ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], list[str]]]:
    """The lines that were logged; the logging is as it was afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield lambda: capsys.readouterr().err.splitlines()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_json_line_carries_what_it_is_about(log: Callable[[], list[str]]) -> None:
    configure_logging("info", "json")
    with log_context.bound(request_id="r1", caller_id="alice"), log_context.bound(job_id="j1", attempt=2):
        logging.getLogger("some.where").info("it %s", "works")
    logging.getLogger("some.where").info("nothing in particular")

    told, plain = (json.loads(line) for line in log())
    del told["timestamp"]
    assert told == {
        "event": "it works",
        "level": "info",
        "logger": "some.where",
        "request_id": "r1",
        "caller_id": "alice",
        "job_id": "j1",
        "attempt": 2,
    }
    assert "request_id" not in plain


def test_a_traceback_in_json_holds_no_variables(log: Callable[[], list[str]]) -> None:
    configure_logging("info", "json")
    prompt = "a secret prompt"
    try:
        raise ValueError(f"{len(prompt)} characters")
    except ValueError:
        logging.getLogger("some.where").exception("it broke")

    (line,) = log()
    assert prompt not in line
    (exception,) = json.loads(line)["exception"]
    assert exception["exc_type"] == "ValueError"


def test_a_text_line_says_it_in_short(log: Callable[[], list[str]]) -> None:
    configure_logging("info", "text")
    with log_context.bound(request_id="r1", caller_id="alice"):
        logging.getLogger("some.where").info("it works")
    logging.getLogger("some.where").info("nothing in particular")

    told, plain = log()
    assert told.endswith("some.where  it works  [request=r1 caller=alice]")
    assert plain.endswith("some.where  nothing in particular")


async def test_what_a_worker_logs_of_a_job_names_it(tmp_path: Path, log: Callable[[], list[str]]) -> None:
    configure_logging("info", "json")
    async with a_shop(tmp_path, ScriptedEndpoint([ModelFailed("No.")])) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(CALLER, replace(REQUEST, prompt="a secret prompt"))).job)

    lines = log()
    line = next(json.loads(line) for line in lines if "failed" in line)
    fields = {"job_id": job.id, "caller_id": ALICE, "attempt": 1, "model": "sketch"}
    assert {name: line.get(name) for name in fields} == fields
    assert "secret" not in "".join(lines)


ENDS_LOGGED = {"job_id", "caller_id", "model", "status", "seconds", "event", "level", "logger", "timestamp"}


def lines_about(log: Callable[[], list[str]], event: str) -> list[dict[str, object]]:
    """The lines in JSON whose text is exactly that."""
    return [line for line in map(json.loads, log()) if line["event"] == event]


async def test_an_end_is_one_line_with_what_it_cost(tmp_path: Path, log: Callable[[], list[str]]) -> None:
    configure_logging("info", "json")
    async with a_shop(tmp_path, ScriptedEndpoint([an_answer(a_jpeg())]), price=100) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(CALLER, replace(REQUEST, prompt="a secret prompt"))).job)

    text = log()
    (line,) = lines_about(lambda: text, "job ended")
    assert job.cost is not None and job.finished_at is not None
    told = {"job_id": job.id, "model": "sketch", "status": "SUCCEEDED", "cost_dollars": job.cost / 1_000_000}
    assert {name: line.get(name) for name in told} == told
    assert line["seconds"] == round((job.finished_at - job.created_at).total_seconds(), 3)
    assert "code" not in line
    assert "secret" not in "".join(text)


async def test_an_end_in_failure_has_its_code_and_no_cost_without_a_price(
    tmp_path: Path, log: Callable[[], list[str]]
) -> None:
    configure_logging("info", "json")
    async with a_shop(tmp_path, ScriptedEndpoint([ModelFailed("No.")])) as shop, shop.working():
        await shop.end_of((await shop.jobs.submit(CALLER, REQUEST)).job)

    (line,) = lines_about(log, "job ended")
    assert (line["status"], line["code"]) == ("FAILED", "MODEL_ERROR")
    assert "cost_dollars" not in line


async def test_a_cancellation_is_one_line_however_often_it_is_asked_for(
    tmp_path: Path, log: Callable[[], list[str]]
) -> None:
    configure_logging("info", "json")
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        job = (await shop.jobs.submit(CALLER, REQUEST)).job
        await shop.jobs.cancel(ALICE, job.id)
        await shop.jobs.cancel(ALICE, job.id)

    (line,) = lines_about(log, "job ended")
    assert (line["job_id"], line["status"]) == (job.id, "CANCELED")
    assert set(line) == ENDS_LOGGED


async def test_what_the_janitor_ends_is_one_line_too(tmp_path: Path, log: Callable[[], list[str]]) -> None:
    configure_logging("info", "json")
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        job = a_job(model_name="gone")
        await shop.store.add(job)
        await shop.janitor.tidy()
        await shop.janitor.tidy()

    (line,) = lines_about(log, "job ended")
    assert (line["job_id"], line["model"], line["code"]) == (job.id, "gone", "MODEL_UNAVAILABLE")


async def test_an_end_is_readable_as_text(tmp_path: Path, log: Callable[[], list[str]]) -> None:
    configure_logging("info", "text")
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        job = (await shop.jobs.submit(CALLER, REQUEST)).job
        await shop.jobs.cancel(ALICE, job.id)

    (line,) = (line for line in log() if "job ended" in line)
    assert f"job ended  [job={job.id} caller=alice model=sketch status=CANCELED seconds=" in line


async def test_the_queue_is_a_line_of_the_janitor_on_duty(tmp_path: Path, log: Callable[[], list[str]]) -> None:
    configure_logging("info", "json")
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        now = datetime.now(UTC)
        report = QueueReport(shop.store, shop.janitor, clock=lambda: now + timedelta(seconds=90))
        await report.report()
        await shop.janitor.tidy()
        await report.report()
        await shop.jobs.submit(CALLER, REQUEST)
        await shop.jobs.submit(CALLER, REQUEST)
        await report.report()

    empty, full = lines_about(log, "queue")
    assert (empty["queued_jobs"], empty["oldest_queued_seconds"]) == (0, 0)
    assert full["queued_jobs"] == 2
    assert 80 < cast("float", full["oldest_queued_seconds"]) <= 90


async def test_nobody_tells_of_the_queue_who_is_not_on_duty(tmp_path: Path, log: Callable[[], list[str]]) -> None:
    configure_logging("info", "json")
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        assert await shop.store.hold_duty("janitor", "somebody else", lease_seconds=60)
        await shop.janitor.tidy()
        await QueueReport(shop.store, shop.janitor).report()

    assert lines_about(log, "queue") == []


async def test_the_queue_is_not_told_while_the_store_is_away(tmp_path: Path, log: Callable[[], list[str]]) -> None:
    configure_logging("info", "json")
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        await shop.janitor.tidy()
        await QueueReport(cast("JobStore", AwayStore()), shop.janitor).report()

    assert log() == []


async def test_services_tell_of_the_queue_by_themselves(
    tmp_path: Path, log: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_report, "REPORT_SECONDS", 0.01)
    configure_logging("info", "json")
    async with open_services(Settings(data_dir=tmp_path, log_format="json")):
        await eventually(lambda: lines_about(log, "queue"))


# --- traces ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """What is traced."""
    exporter = InMemorySpanExporter()
    provider = install_tracer(exporter, at_once=True)
    yield exporter
    tracing.install(None)
    provider.shutdown()


async def run_to_its_end(shop: Shop, job: Job) -> Job:
    async with shop.working():
        return await shop.end_of(job)


async def test_one_trace_leads_from_the_submission_to_the_stored_image_across_processes(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        with tracing.span("request"):
            job = (await shop.jobs.submit(CALLER, replace(REQUEST, prompt="a secret prompt"))).job
    # Whoever opens the store later knows no more than what is in the row.
    async with a_shop(tmp_path, ScriptedEndpoint([an_answer(a_jpeg())])) as shop:
        assert (await run_to_its_end(shop, job)).status is JobStatus.SUCCEEDED

    finished = spans.get_finished_spans()
    assert {span.name: parent_of(span, finished) for span in finished} == {
        "request": None,
        "submit job": "request",
        "add to store": "submit job",
        "run job": "submit job",
        "invoke model": "run job",
        "decode images": "run job",
        "store image": "run job",
        "write end": "run job",
    }
    assert len({span.context.trace_id for span in finished if span.context}) == 1
    (run,) = (span for span in finished if span.name == "run job")
    assert dict(run.attributes or {}) == {
        "text2image.job.id": job.id,
        "text2image.job.attempt": 1,
        "text2image.model": "sketch",
    }
    assert "secret" not in "".join(span.to_json() for span in finished)


def parent_of(span: ReadableSpan, spans: tuple[ReadableSpan, ...]) -> str | None:
    """The name of the span that a span belongs to."""
    parent = span.parent
    return None if parent is None else next(each.name for each in spans if each.context.span_id == parent.span_id)


async def test_a_span_that_fails_tells_the_class_of_its_error_alone(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError), tracing.span("it"):
        raise ValueError("a secret prompt")

    (span,) = spans.get_finished_spans()
    assert not span.status.is_ok
    assert dict(span.attributes or {}) == {"error.type": "ValueError"}
    assert "secret" not in span.to_json()


async def test_a_traceparent_that_makes_no_sense_begins_a_new_trace(spans: InMemorySpanExporter) -> None:
    for nonsense in ("", "x", "00-0-0-0", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"):
        with tracing.span("it", parent=nonsense):
            pass

    assert [span.parent for span in spans.get_finished_spans()] == [None] * 4


async def test_without_traces_a_job_has_none(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        assert (await shop.jobs.submit(CALLER, REQUEST)).job.trace is None


async def test_traces_without_the_extra_are_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ValueError, match=r"^TEXT2IMAGE_TRACES=otlp needs .*\[opentelemetry\].*brings\.$"):
        async with traces("otlp"):
            pass

"""What operators see of a real server: probes, metrics, logs and traces."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.clients.graphql_events import open_events
from tests.clients.graphql_http import Api
from tests.clients.graphql_socket import Socket, open_socket
from tests.clients.otlp_collector import Collector
from tests.clients.server_process import ServerProcess, StartServer, clean_environment
from tests.clients.waiting import eventually

WATCH_ALL = "subscription { jobsUpdated { kind job { status } } }"
Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def figures(api: Api) -> Figures:
    """Every sample of /metrics, by name and labels."""
    text = (await api.http.get("/metrics")).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def figure(api: Api, name: str, **labels: str) -> float:
    """One sample; 0 where it is not there."""
    return (await figures(api)).get((name, frozenset(labels.items())), 0.0)


# --- probes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["10.1.2.3", "10.1.2.3:8000", "anything.example", "", "["])
async def test_probes_are_answered_whatever_the_host(api: Api, host: str) -> None:
    assert (await api.http.get("/healthz", headers={"Host": host})).status_code == 200
    ready = await api.http.get("/readyz", headers={"Host": host})
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


async def test_paths_that_only_look_like_probes_are_guarded(api: Api) -> None:
    for path in ("/healthz/", "/readyz/../graphql", "/images/healthz", "//healthz"):
        assert (await api.http.get(path, headers={"Host": "evil.example"})).status_code == 421


async def test_the_answer_of_readiness_tells_no_address(api: Api, shared_server: ServerProcess) -> None:
    text = (await api.http.get("/readyz")).text
    assert str(shared_server.data_dir) not in text and "sqlite" not in text and "memory" not in text


# --- metrics ---------------------------------------------------------------------------------------------------------


async def test_figures_tell_of_a_job_that_ran(api: Api) -> None:
    labels = {"model": "sketch", "status": "succeeded", "code": ""}
    finished = await figure(api, "text2image_jobs_finished_total", **labels)
    mutations = await figure(api, "text2image_graphql_operations_total", operation="mutation", outcome="ok")
    generating = {"model": "sketch", "phase": "generating", "outcome": "succeeded"}
    seconds = await figure(api, "text2image_job_seconds_sum", **generating)
    invoked = await figure(api, "text2image_inference_seconds_total", model="sketch")

    await api.finished((await api.generate(steps=10))["id"])

    assert await figure(api, "text2image_jobs_finished_total", **labels) == finished + 1
    assert await figure(api, "text2image_graphql_operations_total", operation="mutation", outcome="ok") == mutations + 1
    # Ten steps of a twentieth of a second.
    assert 0.4 < await figure(api, "text2image_job_seconds_sum", **generating) - seconds < 10
    assert 0.4 < await figure(api, "text2image_inference_seconds_total", model="sketch") - invoked < 10
    assert await figure(api, "text2image_job_slots", model="sketch") == 2
    assert await figure(api, "process_resident_memory_bytes") > 10_000_000
    assert await figure(api, "text2image_event_loop_lag_seconds_count") > 0
    assert await figure(api, "text2image_part_up", part="job_store") == 1


async def test_figures_tell_of_streams_and_their_events(api: Api, shared_server: ServerProcess) -> None:
    transports = ("websocket", "sse")
    sockets = await figure(api, "text2image_websockets_open")
    streams = {each: await figure(api, "text2image_subscription_streams_open", transport=each) for each in transports}
    events = await figure(api, "text2image_events_sent_total", kind="status")
    async with open_socket(shared_server.socket_url) as socket, open_events(api.http, WATCH_ALL) as stream:
        await socket.subscribe(WATCH_ALL)

        async def all_are_open() -> bool:
            found = {
                each: await figure(api, "text2image_subscription_streams_open", transport=each) for each in transports
            }
            return found == {each: streams[each] + 1 for each in transports}

        await eventually(all_are_open)
        assert await figure(api, "text2image_websockets_open") == sockets + 1
        await api.finished((await api.generate(steps=1))["id"])
        # Queued, running, succeeded: to each of the two.
        for _ in range(3):
            while (await socket.receive())["payload"]["data"]["jobsUpdated"]["kind"] != "STATUS":
                pass
        statuses = 0
        async for event in stream.events():
            statuses += event.data is not None and event.data["data"]["jobsUpdated"]["kind"] == "STATUS"
            if statuses == 3:
                break

        async def all_are_counted() -> bool:
            return await figure(api, "text2image_events_sent_total", kind="status") == events + 6

        await eventually(all_are_counted)

    async def all_are_closed() -> bool:
        found = {each: await figure(api, "text2image_subscription_streams_open", transport=each) for each in transports}
        return found == streams and await figure(api, "text2image_websockets_open") == sockets

    await eventually(all_are_closed)


async def test_hostile_requests_make_no_series(api: Api) -> None:
    await api.graphql("{ __typename }")
    await api.graphql("nonsense")
    await api.graphql("subscription { jobsUpdated { kind } }")
    before = set(await figures(api))
    for number in range(20):
        await api.graphql(f"query Evil{number} {{ __typename }}")
        await api.graphql(f"query Evil{number} {{ evil{number} }}")
        await api.graphql("query A { __typename } query B { __typename }")
        await api.try_to_generate(prompt="", modelId=f"evil-{number}")
        await api.http.get(f"/evil/{number}", headers={"X-Request-Id": f"evil-{number}"})

    after = set(await figures(api))
    assert not [name for name, labels in after if any("evil" in value.lower() for _, value in labels)]
    assert after - before <= {("text2image_graphql_operations_total", frozenset())} | {
        key for key in after if key[0].startswith("python_gc")
    }


@pytest.mark.parametrize(
    ("query", "operation", "outcome"),
    [
        ("{ __typename }", "query", "ok"),
        ("{ nonsense }", "none", "refused"),
        ("{", "none", "refused"),
        ("subscription { jobsUpdated { kind } }", "none", "refused"),
        ("query ($first: Int!) { jobs(first: $first) { totalCount } }", "query", "refused"),
    ],
)
async def test_operations_are_counted_by_type_and_outcome(api: Api, query: str, operation: str, outcome: str) -> None:
    labels = {"operation": operation, "outcome": outcome}
    before = await figure(api, "text2image_graphql_operations_total", **labels)
    await api.graphql(query)

    assert await figure(api, "text2image_graphql_operations_total", **labels) == before + 1


async def test_metrics_are_not_there_when_switched_off(start_server: StartServer) -> None:
    server = start_server(metrics="off")
    async with Api(server.origin) as api:
        assert (await api.http.get("/metrics")).status_code == 404
        assert (await api.http.get("/readyz")).status_code == 200


# --- request IDs and logs --------------------------------------------------------------------------------------------


async def test_the_id_of_a_request_is_given_back(api: Api) -> None:
    answer = await api.post({"query": "{ __typename }"}, headers={"X-Request-Id": "Job-7_a.b"})
    assert answer.headers.get_list("x-request-id") == ["Job-7_a.b"]


@pytest.mark.parametrize("given", ["", "a b", "a" * 65, "a\tb", "a;b", "<script>", "a%0d%0aSet-Cookie: x=1", "\u00e4"])
async def test_a_request_id_that_is_not_sane_is_replaced(api: Api, given: str) -> None:
    answer = await api.http.get("/healthz", headers={b"X-Request-Id": given.encode("latin-1")})
    (made,) = answer.headers.get_list("x-request-id")
    assert len(made) == 16 and made.isalnum()
    assert "set-cookie" not in answer.headers


async def test_requests_without_an_id_get_each_their_own(api: Api) -> None:
    made = {(await api.http.get("/healthz")).headers["x-request-id"] for _ in range(5)}
    assert len(made) == 5


async def test_log_lines_are_json_with_ids_and_hold_no_prompt(start_server: StartServer) -> None:
    server = start_server(log_format="json", log_level="debug", endpoint="sketch:")
    async with Api(server.origin) as api:
        await api.post({"query": "query EvilName { __typename }"}, headers={"X-Request-Id": "mine"})
        job = await api.generate(prompt="a secret prompt", negativePrompt="another secret")
        await api.finished(job["id"])
        logged = len(server.log)
        for _ in range(10):
            await api.graphql("{ jobs(first: 1) { totalCount } }")
        grown = len(server.log) - logged
        async with open_socket(server.socket_url) as socket:
            for _ in range(2):
                await socket.all_results("{ __typename }")

        async def all_are_logged() -> bool:
            return len(lines_of(server)) >= 15

        await eventually(all_are_logged)

    lines = lines_of(server)
    mine = next(line for line in lines if line.get("request_id") == "mine")
    assert mine["event"].startswith("query ok in ") and mine["caller_id"] == "local" and mine["level"] == "debug"
    # Two operations of one socket are two requests.
    operations = [line["request_id"] for line in lines if line["event"].startswith("query ok")]
    assert len(operations) == len(set(operations))
    assert grown < 10 * 1000
    assert "secret" not in server.log and "EvilName" not in server.log


def lines_of(server: ServerProcess) -> list[dict[str, Any]]:
    """The lines of the log; the three with the URLs are for people."""
    return [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]


# --- traces ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


async def test_a_trace_leads_from_the_clients_request_to_the_stored_image(
    start_server: StartServer, collector: Collector
) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    server = start_server(traces="otlp", endpoint="sketch:", environment=environment)
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    parent = f"00-{trace_id}-b7ad6b7169203331-01"
    async with Api(server.origin) as api:
        query = 'mutation { generateImage(input: {prompt: "a secret prompt", steps: 1}) { job { id } } }'
        await api.post({"query": query}, headers={"traceparent": parent, "X-Request-Id": "mine"})

        def of_the_trace() -> dict[str, Any]:
            return {span.name: span for span in collector.spans if span.trace_id.hex() == trace_id}

        await eventually(lambda: "run job" in of_the_trace() and "POST /graphql" in of_the_trace())

    spans = of_the_trace()
    assert {"POST /graphql", "submit job", "add to store", "run job", "invoke model", "write end"} <= set(spans)
    assert spans["POST /graphql"].parent_span_id.hex() == "b7ad6b7169203331"
    assert spans["run job"].parent_span_id == spans["submit job"].span_id
    attributes = {each.key: each.value for each in spans["POST /graphql"].attributes}
    assert attributes["text2image.request.id"].string_value == "mine"
    assert attributes["http.response.status_code"].int_value == 200
    assert collector.resources[0]["service.name"] == "text2image"
    assert "secret" not in "".join(map(str, collector.requests))


async def test_operations_of_a_socket_are_traced_each(start_server: StartServer, collector: Collector) -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_SERVICE_NAME": "pictures",
    }
    server = start_server(traces="otlp", environment=environment)
    async with open_socket(server.socket_url) as socket:
        await run_two(socket)
        await eventually(lambda: len(collector.spans) == 2)

    assert {span.name for span in collector.spans} == {"WebSocket operation"}
    assert len({span.trace_id for span in collector.spans}) == 2
    assert collector.resources[0]["service.name"] == "pictures"


async def run_two(socket: Socket) -> None:
    for _ in range(2):
        await socket.all_results("{ __typename }")


async def test_a_collector_that_is_away_keeps_no_server_from_ending(start_server: StartServer) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    server = start_server(traces="otlp", environment=environment)
    async with Api(server.origin) as api:
        await api.graphql("{ __typename }")

    assert server.terminate() == 0


def test_without_traces_opentelemetry_is_not_imported() -> None:
    program = "import sys, graphql_api.commands.serve; print([each for each in sys.modules if 'opentelemetry' in each])"
    run = subprocess.run(
        [sys.executable, "-c", program], env=clean_environment(), capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_traces_without_the_extra_end_the_server_with_one_line(tmp_path_factory: pytest.TempPathFactory) -> None:
    program = (
        "import sys; sys.modules['opentelemetry.exporter.otlp.proto.http.trace_exporter'] = None\n"
        "from graphql_api.__main__ import main; sys.argv = ['text2image', 'serve', '--port', '0']; main()"
    )
    environment = clean_environment(traces="otlp", data_dir=str(tmp_path_factory.mktemp("data")))
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("The server cannot start: TEXT2IMAGE_TRACES=otlp needs")

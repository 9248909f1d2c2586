"""The command `text2image sagemaker-local`, as the person sees it who rehearses a deployment."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from graphql_api.sagemaker_local.endpoints import DeclaredEndpoint
from graphql_api.sagemaker_local.faults import ActiveFaults, read_faults
from tests.clients.moto import MotoServer
from tests.clients.sagemaker_local import SageMakerLocal


@pytest.fixture(scope="module")
def server(moto: MotoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SageMakerLocal]:
    """A server with one endpoint of each kind."""
    options = (
        *("--endpoint", "sd=jumpstart-sd"),
        *("--endpoint", "steps=jumpstart-sd:stream"),
        *("--endpoint", "later=jumpstart-sd:async"),
        *("--output", "s3://rehearsal/answers"),
    )
    server = SageMakerLocal(tmp_path_factory.mktemp("sagemaker") / "log", options, moto.environment).start()
    yield server
    server.stop()


def test_faults_end_with_their_time() -> None:
    now = 100.0
    endpoint = DeclaredEndpoint.parse("sd=jumpstart-sd")
    faults = ActiveFaults(["sd"], monotonic=lambda: now)
    faults.replace(read_faults('{"kind": "slow", "seconds": 3, "for_seconds": 10}'))
    assert faults.take(endpoint)[0].slow_seconds == 3
    now = 110.0
    assert faults.take(endpoint)[0].slow_seconds == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "Faults are JSON"),
        ("3", "The fault is no object"),
        ('[{"times": 1}]', "Fault 1 has no kind. Kinds are slow, throttle, error,"),
        ('{"kind": "slwo"}', "The fault has the kind 'slwo'. Kinds are slow,"),
        ('{"kind": "slow"}', "missing required field `seconds`"),
        ('{"kind": "slow", "seconds": -1}', "`seconds`"),
        ('{"kind": "hang", "when": "now"}', "when (after | before)"),
        ('{"kind": "hang", "times": 0}', "`times`"),
        ('{"kind": "hang", "tiems": 1}', "unknown field `tiems`"),
        ('{"kind": "hang", "endpoint": "nobody"}', "There is no endpoint 'nobody'; there are: sd, steps, later"),
        ('{"kind": "cut-stream"}', "give either after_bytes or after_steps"),
        ('{"kind": "answer"}', "give either form or body"),
        ('{"kind": "error", "error": "InternalFailure", "original_status": 500}', "only ModelError"),
        ('[{"kind": "throttle"}, {"kind": "status", "status": "Gone"}]', "Fault 2, status: Invalid enum value 'Gone'"),
    ],
)
def test_fault_that_makes_no_sense_is_refused_and_changes_nothing(server: SageMakerLocal, body: str, said: str) -> None:
    server.set_faults({"kind": "throttle"})
    answer = httpx.put(f"{server.origin}/-/faults", content=body)
    assert answer.status_code == 400
    assert said in answer.text
    assert [each["kind"] for each in server.faults()] == ["throttle"]


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_with_an_invocation_that_hangs(moto: MotoServer, tmp_path: Path, signal_number: int) -> None:
    server = SageMakerLocal(tmp_path / "log", ("--fault", '{"kind": "hang"}'), moto.environment).start()
    with socket.create_connection(("127.0.0.1", int(server.origin.rpartition(":")[2]))) as client:
        client.sendall(b"POST /endpoints/sd/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
        while not server.invocations():
            pass
        assert server.terminate(signal_number) == 0
    assert "Traceback" not in server.log


def test_it_says_how_to_use_it(server: SageMakerLocal) -> None:
    assert f"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME={server.origin}" in server.log
    assert "sagemaker-async:later?inputs=s3://" in server.log


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--endpoint", "sd"], "'sd' is not <name>=<model family>[:<kind>]"),
        (["--endpoint", "sd=dall-e"], "'dall-e' is no model family; known are jumpstart-sd,"),
        (["--endpoint", "sd=jumpstart-sd:batch"], "'batch' is no kind of endpoint; known are real-time,"),
        (["--endpoint", "s d=jumpstart-sd"], "'s d' is no name of an endpoint"),
        (["--endpoint", "a=jumpstart-sd:async"], "--output s3://bucket/prefix"),
        (["--endpoint", "a=jumpstart-sd:async", "--output", "bucket"], "'bucket' is no place in S3"),
        (["--endpoint", "a=jumpstart-sd", "--endpoint", "a=huggingface"], "'a' is declared more than once"),
        (["--fault", '{"kind": "explode"}'], "the kind 'explode'"),
    ],
)
def test_option_that_makes_no_sense_is_explained(options: list[str], said: str) -> None:
    command = [sys.executable, "-m", "graphql_api", "sagemaker-local", "--port", "0", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert said in ended.stderr


def test_port_that_is_taken_is_explained(server: SageMakerLocal) -> None:
    port = server.origin.rpartition(":")[2]
    command = [sys.executable, "-m", "graphql_api", "sagemaker-local", "--port", port]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    taken = f"Cannot listen on 127.0.0.1 port {port}: Address already in use."
    assert ended.stderr == f"{taken} Choose another with --port.\n"

"""Every fault of the SageMaker Runtime that is known: what it becomes, and whether the model may have run."""

from __future__ import annotations

import logging
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    EventStreamError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)

from graphql_api.adapters.model_endpoint.sagemaker.faults import diagnose, failure_of_report
from graphql_api.domain.errors import (
    AnswerLost,
    GenerationFailed,
    InvocationTimedOut,
    ModelFailed,
    ModelNotReady,
    ModelUnavailable,
    OutOfMemory,
)

URL = "http://127.0.0.1:1/endpoints/sd/invocations"
ACCOUNT = "123456789012"


def answered(code: str, status: int, message: str = "", **members: Any) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
        **members,
    }
    return ClientError(response, "InvokeEndpoint")


def model_error(original_status: int, message: str = "an error") -> ClientError:
    return answered("ModelError", 424, message, OriginalStatusCode=original_status, OriginalMessage=message)


TIMED_OUT = (
    'Received server error (0) from primary with message "Your invocation timed out while waiting for a response from '
    "container primary. Review the latency metrics for each container in Amazon CloudWatch, resolve the issue, and try "
    'again."'
)
TOO_LARGE = "Received server error (500) from primary and could not load the entire response body"
CUDA = "Received client error (400) from primary with message CUDA out of memory. Tried to allocate 2.00 GiB"


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        (model_error(400), ModelFailed, False),
        (model_error(415), ModelFailed, False),
        (model_error(500), ModelFailed, True),
        (model_error(503), ModelFailed, True),
        (model_error(507), ModelFailed, True),
        (model_error(0, TIMED_OUT), InvocationTimedOut, True),
        (model_error(500, TOO_LARGE), ModelFailed, False),
        (model_error(400, CUDA), OutOfMemory, False),
        (answered("ValidationError", 400, "1 validation error detected"), ModelFailed, False),
        (answered("ThrottlingException", 400, "Rate exceeded"), ModelNotReady, True),
        (answered("ThrottlingException", 429, "Rate exceeded"), ModelNotReady, True),
        (answered("429", 429), ModelNotReady, True),
        (answered("ModelNotReadyException", 429), ModelNotReady, True),
        (answered("ServiceUnavailable", 503), ModelNotReady, True),
        (answered("InternalFailure", 500), AnswerLost, True),
        (answered("InternalDependencyException", 530), AnswerLost, True),
        (answered("500", 500), AnswerLost, True),
        (answered("ExpiredTokenException", 403), ModelNotReady, True),
        (answered("AccessDeniedException", 403), ModelUnavailable, True),
        (answered("UnrecognizedClientException", 403), ModelUnavailable, True),
        (answered("SomethingNew", 403), ModelUnavailable, True),
        (answered("SomethingNew", 400), ModelFailed, False),
        (EventStreamError({"Error": {"Code": "ModelStreamError"}}, "Invoke"), ModelFailed, True),
        (NoCredentialsError(), ModelUnavailable, True),
        (CredentialRetrievalError(provider="role", error_msg=""), ModelNotReady, True),
        (ConnectTimeoutError(endpoint_url=URL), ModelNotReady, True),
        (ProxyConnectionError(proxy_url=URL), ModelNotReady, True),
        (SSLError(endpoint_url=URL, error=OSError()), ModelUnavailable, True),
        (ReadTimeoutError(endpoint_url=URL), InvocationTimedOut, True),
        (TimeoutError(), InvocationTimedOut, True),
        (ConnectionClosedError(endpoint_url=URL), AnswerLost, True),
        (HTTPClientError(error=OSError()), AnswerLost, True),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), AnswerLost, True),
        (aiohttp.ClientPayloadError("broken"), AnswerLost, True),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, Exception) else "",
)
def test_each_fault_becomes_an_error_of_the_domain(
    error: Exception, kind: type[GenerationFailed], retryable: bool
) -> None:
    diagnosis = diagnose(error)

    assert type(diagnosis.failure) is kind
    assert diagnosis.failure.retryable is retryable
    assert diagnosis.advice.endswith(".")


def test_a_refused_connection_did_not_run_and_a_broken_one_may_have() -> None:
    key = ConnectionKey("127.0.0.1", 1, False, True, None, None, None)
    refused = EndpointConnectionError(endpoint_url=URL, error=aiohttp.ClientConnectorError(key, OSError()))
    broken = EndpointConnectionError(endpoint_url=URL, error=aiohttp.ClientOSError(104, "reset by peer"))

    assert type(diagnose(refused).failure) is ModelNotReady
    assert type(diagnose(broken).failure) is AnswerLost


@pytest.mark.parametrize(
    "message",
    [f"Endpoint sd of account {ACCOUNT} not found.", "Inference Component Name header is required for endpoints"],
)
def test_whether_to_wait_for_an_endpoint_that_is_not_found_is_asked_of_the_endpoint(message: str) -> None:
    diagnosis = diagnose(answered("ValidationError", 400, message))

    assert diagnosis.asks_endpoint
    assert type(diagnosis.failure) is ModelUnavailable


def test_what_the_service_says_goes_to_the_log_and_not_to_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    error = model_error(500, f"See https://console.aws.example/log-group in account {ACCOUNT}")
    diagnosis = diagnose(error)
    with caplog.at_level(logging.WARNING):
        diagnosis.log("sd", "some-id", error)

    assert ACCOUNT in caplog.text
    assert "original status 500" in caplog.text
    assert diagnosis.advice in caplog.text
    assert ACCOUNT not in diagnosis.failure.message
    assert "http" not in diagnosis.failure.message


@pytest.mark.parametrize("report", ["CUDA out of memory", '{"type": "torch.cuda.OutOfMemoryError"}'])
def test_a_report_that_tells_of_memory_is_told_apart(report: str) -> None:
    assert type(failure_of_report(report)) is OutOfMemory


def test_any_other_report_is_an_error_of_the_model() -> None:
    assert type(failure_of_report('{"code": 400, "message": "prompt: a secret"}')) is ModelFailed
    assert "secret" not in failure_of_report("a secret").message

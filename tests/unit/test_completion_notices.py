"""What SageMaker puts into the queue, and what else can be in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_api.adapters.completion_queue.sqs import read_notice
from graphql_api.domain.job import InvocationEnd, Placement

# As in AWS' guide, async-inference-check-predictions.
COMPLETED = {
    "awsRegion": "us-east-1",
    "eventTime": "2022-01-25T22:46:00.608Z",
    "receivedTime": "2022-01-25T22:46:00.455Z",
    "invocationStatus": "Completed",
    "requestParameters": {"accept": "application/json;jpeg", "endpointName": "sd", "inputLocation": "s3://b/in"},
    "responseParameters": {"contentType": "application/json;jpeg", "outputLocation": "s3://b/prefix/x.out"},
    "inferenceId": "0199c0de-0000-7000-8000-000000000001",
    "eventVersion": "1.0",
    "eventSource": "aws:sagemaker",
    "eventName": "InferenceResult",
}
# As users have recorded it.
FAILED = {
    **{key: value for key, value in COMPLETED.items() if key != "responseParameters"},
    "invocationStatus": "Failed",
    "failureReason": "ClientError: Received server error (500) from model. See the SageMaker Endpoint logs.",
}


def enveloped(message: object) -> str:
    return json.dumps({"Type": "Notification", "MessageId": "m", "Message": json.dumps(message)})


@pytest.mark.parametrize("body", [json.dumps(COMPLETED), enveloped(COMPLETED)], ids=["raw", "in an envelope"])
def test_a_success_names_the_invocation_and_its_output(body: str) -> None:
    notice = read_notice("r", body)

    assert (notice.receipt, notice.invocation_id) == ("r", COMPLETED["inferenceId"])
    assert notice.ended is InvocationEnd.COMPLETED
    assert notice.placement == Placement(output_url="s3://b/prefix/x.out")


def test_a_failure_may_lack_its_place() -> None:
    notice = read_notice("r", json.dumps(FAILED))

    assert (notice.ended, notice.placement) == (InvocationEnd.FAILED, None)


def test_a_failure_may_name_its_place() -> None:
    told = {**FAILED, "responseParameters": {"failureLocation": "s3://b/bad/x.out"}}

    assert read_notice("r", json.dumps(told)).placement == Placement(failure_url="s3://b/bad/x.out")


def test_an_invocation_may_expire() -> None:
    assert read_notice("r", json.dumps({**FAILED, "invocationStatus": "Expired"})).ended is InvocationEnd.EXPIRED


def test_the_reason_of_a_failure_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    read_notice("r", json.dumps(FAILED))

    assert "server error (500)" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        "null",
        "[" * 100_000,
        json.dumps({**COMPLETED, "inferenceId": None}),
        json.dumps({**COMPLETED, "inferenceId": ["x"]}),
        json.dumps({**COMPLETED, "invocationStatus": "Invented"}),
        json.dumps({**COMPLETED, "invocationStatus": {}}),
        enveloped([1]),
        json.dumps({"Type": "Notification", "Message": 7}),
        json.dumps({"Records": [{"s3": {"object": {"key": "secret"}}}]}),
    ],
    ids=lambda body: str(body)[:30],
)
def test_what_is_no_notice_is_described_and_not_repeated(body: str) -> None:
    notice = read_notice("r", body)

    assert notice.invocation_id is None
    assert notice.shape
    assert "secret" not in notice.shape


@pytest.mark.parametrize(
    "parameters", [None, [], {"outputLocation": 1}, {"outputLocation": "https://b/x"}, {"outputLocation": "s3://"}]
)
def test_a_place_that_is_none_is_left_out(parameters: Any) -> None:
    assert read_notice("r", json.dumps({**COMPLETED, "responseParameters": parameters})).placement is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.text() | JSON.map(json.dumps) | JSON.map(enveloped))
def test_anything_can_be_in_a_queue(body: str) -> None:
    assert read_notice("r", body).receipt == "r"

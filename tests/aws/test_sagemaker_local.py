"""The stand-in for SageMaker, as the real SDK sees it."""

from __future__ import annotations

import base64
import io
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from botocore.exceptions import ClientError, EventStreamError, HTTPClientError, ReadTimeoutError
from PIL import Image

from graphql_api.adapters.aws import Aws, AwsOptions, error_code, http_status, open_aws
from graphql_api.codecs.jumpstart_sd import JumpStartStableDiffusionCodec
from graphql_api.ports import Answer, EncodedPicture, ModelRequest
from tests.clients.moto import ACCOUNT, REGION, MotoServer
from tests.clients.sagemaker_local import SageMakerLocal
from tests.clients.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

BUCKET = "rehearsal"
JPEG = "application/json;jpeg"
SMALL = {"prompt": "a lighthouse", "width": 64, "height": 64, "num_inference_steps": 4, "seed": 7}
TOPICS = {name: f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}" for name in ("rehearsal-done", "rehearsal-failed")}
OPTIONS = (
    *("--endpoint", "sd=jumpstart-sd"),
    *("--endpoint", "steps=jumpstart-sd:stream"),
    *("--endpoint", "later=jumpstart-sd:async"),
    *("--endpoint", "generator=jumpstart-imagegeneration"),
    *("--endpoint", "sdxl=stability-sdk"),
    *("--endpoint", "sd3=stability-sd3"),
    *("--endpoint", "hub=huggingface"),
    *("--endpoint", "hub-steps=huggingface:stream"),
    *("--output", f"s3://{BUCKET}/answers"),
    *("--success-topic", TOPICS["rehearsal-done"]),
    *("--error-topic", TOPICS["rehearsal-failed"]),
    *("--step-seconds", "0"),
    *("--part-bytes", "97"),
)


@pytest.fixture(scope="session")
def server(moto: MotoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SageMakerLocal]:
    """One for all tests of this file. Whatever they did to it, it must not have met an error of its own."""
    server = SageMakerLocal(tmp_path_factory.mktemp("sagemaker") / "log", OPTIONS, moto.environment).start()
    yield server
    assert "Traceback" not in server.log
    server.stop()


@pytest.fixture
def sagemaker(server: SageMakerLocal) -> Iterator[SageMakerLocal]:
    """The server, without faults and invocations."""
    server.reset()
    yield server
    server.reset()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aws(server: SageMakerLocal, moto: MotoServer) -> AsyncIterator[Aws]:
    """The product's own clients, which are sent to both servers by nothing but the environment.

    Opened once for the file, since loading the SDK's descriptions takes longer than most of these tests.
    """
    async with AsyncExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**moto.environment, **server.environment}.items():
                patch.setenv(name, value)
            aws = await stack.enter_async_context(open_aws(AwsOptions()))
            for open_client in (aws.s3, aws.sns, aws.sqs, aws.sagemaker, aws.sagemaker_runtime):
                await open_client()
        yield aws


@pytest.fixture
def impatient(moto: MotoServer, tmp_path: Path) -> Iterator[SageMakerLocal]:
    """A server whose models take half a minute, and which waits for a third of a second."""
    options = ("--endpoint", "sd=jumpstart-sd", "--endpoint", "steps=jumpstart-sd:stream", "--time-limit", "0.3")
    slow = ("--fault", '{"kind": "slow", "seconds": 30}')
    server = SageMakerLocal(tmp_path / "log", (*options, *slow), moto.environment).start()
    yield server
    server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def impatient_aws(
    impatient: SageMakerLocal, aws_environment: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Aws]:
    """Clients of that server."""
    for name, value in impatient.environment.items():
        monkeypatch.setenv(name, value)
    async with open_aws(AwsOptions()) as aws:
        yield aws


@dataclass(frozen=True, slots=True)
class Notices:
    """A queue that hears of both topics."""

    aws: Aws
    url: str

    async def receive(self, count: int) -> list[dict[str, Any]]:
        """The next notices, of which there must be so many."""
        client = await self.aws.sqs()
        found: list[dict[str, Any]] = []

        async def have_come() -> bool:
            answer = await client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10)
            found.extend(json.loads(json.loads(each["Body"])["Message"]) for each in answer.get("Messages", ()))
            return len(found) >= count

        await eventually(have_come)
        assert len(found) == count
        return found

    async def count(self) -> int:
        """How many wait."""
        client = await self.aws.sqs()
        answer = await client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])


@pytest_asyncio.fixture(loop_scope="module")
async def notices(aws: Aws) -> AsyncIterator[Notices]:
    """A bucket, both topics, and a new queue that is subscribed to them."""
    s3, sns, sqs = await aws.s3(), await aws.sns(), await aws.sqs()
    await s3.create_bucket(Bucket=BUCKET)
    queue = (await sqs.create_queue(QueueName=f"notices-{uuid.uuid4()}"))["QueueUrl"]
    attributes = await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    subscriptions = []
    for name in TOPICS:
        topic = (await sns.create_topic(Name=name))["TopicArn"]
        answer = await sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"], ReturnSubscriptionArn=True
        )
        subscriptions.append(answer["SubscriptionArn"])
    yield Notices(aws, queue)
    for each in subscriptions:
        await sns.unsubscribe(SubscriptionArn=each)
    await sqs.delete_queue(QueueUrl=queue)


async def invoke(
    aws: Aws, fields: Mapping[str, Any] = SMALL, *, endpoint: str = "sd", accept: str = JPEG, **more: str
) -> Answer:
    client = await aws.sagemaker_runtime()
    response: Any = await client.invoke_endpoint(
        EndpointName=endpoint, Body=json.dumps(fields), ContentType="application/json", Accept=accept, **more
    )
    return Answer(body=await response["Body"].read(), content_type=response["ContentType"])


async def stream(
    aws: Aws, fields: Mapping[str, Any] = SMALL, *, endpoint: str = "steps", accept: str = JPEG
) -> AsyncIterator[bytes]:
    client = await aws.sagemaker_runtime()
    response: Any = await client.invoke_endpoint_with_response_stream(
        EndpointName=endpoint, Body=json.dumps(fields), ContentType="application/json", Accept=accept
    )
    try:
        async for event in response["Body"]:
            yield event["PayloadPart"]["Bytes"]
    finally:
        response["Body"].close()


async def submit(aws: Aws, fields: Mapping[str, Any] = SMALL, *, endpoint: str = "later", **more: Any) -> Any:
    s3, client = await aws.s3(), await aws.sagemaker_runtime()
    key = f"inputs/{uuid.uuid4()}"
    await s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(fields).encode(), ContentType="application/json")
    parameters = {"InputLocation": f"s3://{BUCKET}/{key}", "Accept": JPEG, "ContentType": "application/json", **more}
    return await client.invoke_endpoint_async(EndpointName=endpoint, **parameters)


async def object_at(aws: Aws, url: str) -> bytes | None:
    client = await aws.s3()
    bucket, _, key = url.removeprefix("s3://").partition("/")
    try:
        answer: Any = await client.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        assert error_code(error) == "NoSuchKey"
        return None
    body: bytes = await answer["Body"].read()
    return body


def pictures_in(answer: Answer, *, count: int = 1) -> list[Image.Image]:
    """What the product's codec finds in an answer."""
    request = ModelRequest(body=b"", content_type="application/json", accept=JPEG, count=count)
    pictures = JumpStartStableDiffusionCodec().decode(request, answer)
    return [Image.open(io.BytesIO(each.body)) for each in pictures if isinstance(each, EncodedPicture)]


def from_base64(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


# --- real time -------------------------------------------------------------------------------------------------------


async def test_same_request_is_answered_with_same_bytes(aws: Aws) -> None:
    first, again = await invoke(aws), await invoke(aws)
    assert first == again
    assert first.content_type == JPEG
    assert [each.size for each in pictures_in(first)] == [(64, 64)]


async def test_log_tells_what_was_asked_for_and_that_the_model_ran(aws: Aws, sagemaker: SageMakerLocal) -> None:
    await invoke(aws, InferenceId="job-1")
    (record,) = sagemaker.invocations("job-1")
    assert (record["endpoint"], record["kind"], record["ended"], record["model_ran"], record["error"]) == (
        "sd",
        "real-time",
        "drawn",
        True,
        None,
    )
    assert sagemaker.runs("job-1") == 1


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        ({"kind": "throttle"}, "ThrottlingException", 400),
        ({"kind": "throttle", "status": 429}, "ThrottlingException", 429),
        ({"kind": "error", "error": "ThrottlingException"}, "ThrottlingException", 400),
        ({"kind": "error", "error": "ValidationError"}, "ValidationError", 400),
        ({"kind": "error", "error": "ModelNotReadyException"}, "ModelNotReadyException", 429),
        ({"kind": "error", "error": "ServiceUnavailable"}, "ServiceUnavailable", 503),
        ({"kind": "error", "error": "InternalFailure"}, "InternalFailure", 500),
        ({"kind": "error", "error": "InternalDependencyException"}, "InternalDependencyException", 530),
        ({"kind": "error", "error": "ExpiredTokenException"}, "ExpiredTokenException", 403),
        ({"kind": "error", "error": "UnrecognizedClientException"}, "UnrecognizedClientException", 403),
        ({"kind": "error", "error": "AccessDeniedException"}, "AccessDeniedException", 403),
        ({"kind": "error", "error": "AccessDeniedException", "status": 400}, "AccessDeniedException", 400),
    ],
)
async def test_errors_of_the_service_arrive_with_code_and_status(
    aws: Aws, sagemaker: SageMakerLocal, fault: Mapping[str, Any], code: str, status: int
) -> None:
    sagemaker.set_faults(fault)
    calls: list[Callable[[], Any]] = [
        lambda: invoke(aws),
        lambda: anext(stream(aws)),
        lambda: submit(aws, InputLocation=f"s3://{BUCKET}/inputs/any"),
    ]
    s3 = await aws.s3()
    await s3.create_bucket(Bucket=BUCKET)
    for call in calls:
        with pytest.raises(ClientError) as caught:
            await call()
        assert (error_code(caught.value), http_status(caught.value)) == (code, status)
        assert caught.value.response["Error"]["Message"]
    # The SDK has sent each of them once.
    assert [each["ended"] for each in sagemaker.invocations()] == ["refused"] * 3
    assert sagemaker.runs() == 0


@pytest.mark.parametrize(
    ("fault", "original_status", "said"),
    [
        ({"original_status": 400, "message": "no"}, 400, 'Received client error (400) from primary with message "{'),
        ({}, 500, "Received server error (500) from primary with message"),
        ({"original_status": 503}, 503, "Received server error (503) from primary with message"),
        ({"original_status": 507}, 507, "Received server error (507) from primary with message"),
        ({"original_status": 0}, 0, "Your invocation timed out while waiting for a response from container primary."),
        ({"reason": "timed-out"}, 0, "Your invocation timed out while waiting for a response from container primary."),
        ({"reason": "out-of-memory"}, 400, "CUDA out of memory"),
        ({"reason": "too-large"}, 500, "and could not load the entire response body"),
    ],
)
async def test_errors_of_the_container_arrive_with_their_original_status(
    aws: Aws, sagemaker: SageMakerLocal, fault: Mapping[str, Any], original_status: int, said: str
) -> None:
    sagemaker.set_faults({"kind": "error", "error": "ModelError", **fault})
    for call in (invoke(aws), anext(stream(aws))):
        with pytest.raises(ClientError) as caught:
            await call
        response: Mapping[str, Any] = caught.value.response
        assert (error_code(caught.value), http_status(caught.value)) == ("ModelError", 424)
        assert said in response["Error"]["Message"]
        assert response["OriginalStatusCode"] == original_status
        assert response["OriginalMessage"]
        assert response["LogStreamArn"].startswith("arn:aws:logs:")
    assert [(each["ended"], each["error"]) for each in sagemaker.invocations()] == [("failed", "ModelError")] * 2


async def test_container_reports_as_multi_model_server_does(aws: Aws, sagemaker: SageMakerLocal) -> None:
    sagemaker.set_faults({"kind": "error", "error": "ModelError", "original_status": 400, "message": "bad size"})
    with pytest.raises(ClientError) as caught:
        await invoke(aws)
    response: Mapping[str, Any] = caught.value.response
    report = json.loads(response["OriginalMessage"])
    assert report == {"code": 400, "type": "InternalServerException", "message": "bad size"}
    assert response["Error"]["Message"].endswith(f"in account {ACCOUNT} for more information.")


async def test_request_that_makes_no_sense_is_an_error_of_the_container(aws: Aws, sagemaker: SageMakerLocal) -> None:
    for fields, accept in (({**SMALL, "width": 65}, JPEG), ({}, JPEG), (SMALL, "image/png")):
        with pytest.raises(ClientError) as caught:
            await invoke(aws, fields, accept=accept)
        response: Mapping[str, Any] = caught.value.response
        assert (error_code(caught.value), response["OriginalStatusCode"]) == ("ModelError", 400)


async def test_unknown_endpoint_is_said_not_to_be_found(aws: Aws) -> None:
    with pytest.raises(ClientError, match=f"Endpoint nobody of account {ACCOUNT} not found.") as caught:
        await invoke(aws, endpoint="nobody")
    assert (error_code(caught.value), http_status(caught.value)) == ("ValidationError", 400)


async def test_faults_are_a_script(aws: Aws, sagemaker: SageMakerLocal) -> None:
    sagemaker.set_faults(
        {"kind": "throttle", "times": 1, "endpoint": "sd"},
        {"kind": "error", "error": "ServiceUnavailable", "times": 2},
    )
    met = []
    for endpoint in ("sd", "hub", "sd"):
        with pytest.raises(ClientError) as caught:
            await invoke(aws, endpoint=endpoint)
        met.append(error_code(caught.value))
    await invoke(aws)
    assert met == ["ThrottlingException", "ServiceUnavailable", "ServiceUnavailable"]
    assert [(each["hits"], each["is_over"]) for each in sagemaker.faults()] == [(1, True), (2, True)]


async def test_error_after_drawing_has_run_the_model(aws: Aws, sagemaker: SageMakerLocal) -> None:
    sagemaker.set_faults({"kind": "error", "error": "InternalFailure", "when": "after"})
    with pytest.raises(ClientError) as caught:
        await invoke(aws)
    assert error_code(caught.value) == "InternalFailure"
    assert [(each["ended"], each["model_ran"]) for each in sagemaker.invocations()] == [("failed", True)]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_client_gives_up_on_an_invocation_that_hangs(
    sagemaker: SageMakerLocal, aws_environment: MotoServer, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", sagemaker.origin)
    sagemaker.set_faults({"kind": "hang", "when": when})
    async with open_aws(AwsOptions(invocation_read_seconds=0.4)) as aws:
        with pytest.raises(ReadTimeoutError):
            await invoke(aws)

    await eventually(lambda: [each["ended"] for each in sagemaker.invocations()] == ["abandoned"])
    await eventually(lambda: sagemaker.runs() == (1 if when == "after" else 0))


@pytest.mark.parametrize("when", ["before", "after"])
async def test_connection_is_cut_without_an_answer(aws: Aws, sagemaker: SageMakerLocal, when: str) -> None:
    sagemaker.set_faults({"kind": "disconnect", "when": when})
    with pytest.raises(HTTPClientError) as caught:
        await invoke(aws)
    assert isinstance(caught.value.kwargs["error"], aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
    assert [each["ended"] for each in sagemaker.invocations()] == ["dropped"]
    assert sagemaker.runs() == (1 if when == "after" else 0)


@pytest.mark.parametrize("form", ["html", "empty", "ragged", "truncated", "wrong-size", "fewer"])
async def test_answers_can_be_of_no_use(aws: Aws, sagemaker: SageMakerLocal, form: str) -> None:
    sagemaker.set_faults({"kind": "answer", "form": form})
    answer = await invoke(aws, {**SMALL, "num_images_per_prompt": 2})
    assert sagemaker.runs() == 1
    images = json.loads(answer.body)["generated_images"] if form != "html" else []
    match form:
        case "html":
            assert answer.content_type == "text/html" and answer.body.startswith(b"<html>")
        case "empty":
            assert images == []
        case "fewer":
            assert len(images) == 1
        case "wrong-size":
            assert [each.size for each in pictures_in(answer, count=2)] == [(32, 32)] * 2
        case "truncated":
            for each in pictures_in(answer, count=2):
                assert each.size == (64, 64)
                with pytest.raises(OSError, match="truncated"):
                    each.load()
        case "ragged":
            assert len({len(row) for row in images[0]}) == 2


async def test_answer_can_be_anything(aws: Aws, sagemaker: SageMakerLocal) -> None:
    sagemaker.set_faults({"kind": "answer", "body": "[]", "content_type": "text/plain"})
    assert await invoke(aws) == Answer(body=b"[]", content_type="text/plain")


async def test_container_goes_on_with_an_invocation_that_timed_out_and_the_next_waits_in_line(
    impatient: SageMakerLocal, impatient_aws: Aws
) -> None:
    for inference_id in ("first", "second"):
        with pytest.raises(ClientError) as caught:
            await invoke(impatient_aws, InferenceId=inference_id)
        response: Mapping[str, Any] = caught.value.response
        assert (error_code(caught.value), response["OriginalStatusCode"]) == ("ModelError", 0)
    # There is one worker, and the first invocation has it still.
    assert (impatient.runs("first"), impatient.runs("second")) == (1, 0)


async def test_stream_that_takes_too_long_is_ended_by_an_exception(
    impatient: SageMakerLocal, impatient_aws: Aws
) -> None:
    with pytest.raises(EventStreamError, match="ModelStreamError"):
        await anext(stream(impatient_aws))
    assert impatient.invocations()[-1]["ended"] == "failed"


# --- streams ---------------------------------------------------------------------------------------------------------


async def test_parts_of_a_stream_make_lines_of_steps_and_a_result(aws: Aws) -> None:
    parts = [part async for part in stream(aws)]
    assert {len(part) for part in parts[:-1]} == {97}
    body = b"".join(parts)
    assert body.endswith(b"}\n")
    *steps, last = [json.loads(line) for line in body.splitlines()]
    assert [(each["step"], each["total_steps"]) for each in steps] == [(number, 4) for number in range(1, 5)]
    assert all(from_base64(each["preview"]).format == "WEBP" for each in steps)
    assert last.keys() == {"result"}
    assert last["result"] == json.loads((await invoke(aws)).body)


async def test_family_that_answers_with_a_file_streams_it_as_a_text(aws: Aws) -> None:
    fields = {"inputs": "a pier", "parameters": {"width": 64, "height": 64, "num_inference_steps": 2}}
    body = b"".join([part async for part in stream(aws, fields, endpoint="hub-steps", accept="image/jpeg")])
    assert from_base64(json.loads(body.splitlines()[-1])["result"]).format == "JPEG"


async def test_container_that_does_not_stream_answers_a_stream_as_a_whole(aws: Aws) -> None:
    body = b"".join([part async for part in stream(aws, endpoint="sd")])
    assert body == (await invoke(aws)).body


async def test_stream_of_a_container_that_does_not_stream_is_cut_before_it_began(
    aws: Aws, sagemaker: SageMakerLocal
) -> None:
    sagemaker.set_faults({"kind": "disconnect", "when": "after"})
    with pytest.raises(HTTPClientError):
        await anext(stream(aws, endpoint="sd"))
    assert [(each["ended"], each["model_ran"]) for each in sagemaker.invocations()] == [("dropped", True)]


async def test_container_that_streams_answers_an_invocation_with_all_lines(aws: Aws) -> None:
    answer = await invoke(aws, endpoint="steps")
    assert len(answer.body.splitlines()) == 5


async def read_until_broken(aws: Aws) -> tuple[bytes, BaseException | None]:
    got = b""
    try:
        async for part in stream(aws):
            got += part
    except (EventStreamError, aiohttp.ClientError) as error:
        return got, error
    return got, None


@pytest.mark.parametrize("how", ["ModelStreamError", "InternalStreamFailure"])
async def test_stream_is_cut_by_an_exception(aws: Aws, sagemaker: SageMakerLocal, how: str) -> None:
    sagemaker.set_faults({"kind": "cut-stream", "after_bytes": 150, "how": how})
    got, error = await read_until_broken(aws)
    assert len(got) == 150
    assert isinstance(error, EventStreamError)
    assert error_code(error) == how
    assert [(each["ended"], each["error"]) for each in sagemaker.invocations()] == [("dropped", how)]


async def test_stream_is_cut_by_breaking_the_connection(aws: Aws, sagemaker: SageMakerLocal) -> None:
    sagemaker.set_faults({"kind": "cut-stream", "after_steps": 2, "how": "disconnect"})
    _, error = await read_until_broken(aws)
    assert isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientOSError)


async def test_stream_ends_as_if_it_were_complete(aws: Aws, sagemaker: SageMakerLocal) -> None:
    sagemaker.set_faults({"kind": "cut-stream", "after_steps": 2, "how": "end"})
    got, error = await read_until_broken(aws)
    assert error is None
    assert [json.loads(line)["step"] for line in got.splitlines()] == [1, 2]


async def test_container_reports_an_error_in_its_last_line(aws: Aws, sagemaker: SageMakerLocal) -> None:
    sagemaker.set_faults({"kind": "error", "error": "ModelError", "reason": "out-of-memory", "when": "after"})
    got, error = await read_until_broken(aws)
    assert error is None
    last = json.loads(got.splitlines()[-1])
    assert last["error"]["code"] == "400" and "CUDA out of memory" in last["error"]["message"]
    assert [each["ended"] for each in sagemaker.invocations()] == ["failed"]


async def test_service_fails_in_the_middle_of_a_stream(aws: Aws, sagemaker: SageMakerLocal) -> None:
    sagemaker.set_faults({"kind": "error", "error": "InternalFailure", "when": "after"})
    _, error = await read_until_broken(aws)
    assert error_code(error or Exception()) == "InternalStreamFailure"


async def test_stream_that_loses_its_connection_has_no_result(aws: Aws, sagemaker: SageMakerLocal) -> None:
    sagemaker.set_faults({"kind": "disconnect", "when": "after"})
    got, error = await read_until_broken(aws)
    assert isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientOSError)
    assert b'"result"' not in got


async def test_leaving_a_stream_stops_the_model(aws: Aws, sagemaker: SageMakerLocal) -> None:
    client = await aws.sagemaker_runtime()
    response: Any = await client.invoke_endpoint_with_response_stream(
        EndpointName="steps",
        Body=json.dumps({**SMALL, "num_inference_steps": 1000, "width": 512, "height": 512}),
        ContentType="application/json",
    )
    async for _ in response["Body"]:
        break
    response["Body"].close()
    await eventually(lambda: [each["ended"] for each in sagemaker.invocations()] == ["abandoned"])


# --- asynchronous ----------------------------------------------------------------------------------------------------


async def test_asynchronous_invocation_is_answered_in_s3_and_by_sns(
    aws: Aws, notices: Notices, sagemaker: SageMakerLocal
) -> None:
    taken = await submit(aws, InferenceId="job-2")
    assert taken["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert taken["InferenceId"] == "job-2"
    assert taken["OutputLocation"].startswith(f"s3://{BUCKET}/answers/") and taken["OutputLocation"].endswith(".out")
    (notice,) = await notices.receive(1)
    assert (notice["invocationStatus"], notice["inferenceId"]) == ("Completed", "job-2")
    assert notice["responseParameters"] == {"contentType": JPEG, "outputLocation": taken["OutputLocation"]}
    assert notice["requestParameters"].keys() == {"accept", "contentType", "endpointName", "inputLocation"}
    assert notice["eventSource"] == "aws:sagemaker" and notice["eventName"] == "InferenceResult"
    body = await object_at(aws, taken["OutputLocation"])
    assert body is not None and body == (await invoke(aws)).body
    assert await object_at(aws, taken["FailureLocation"]) is None
    assert [each["ended"] for each in sagemaker.invocations("job-2")] == ["drawn"]


async def test_optional_parameters_are_told_only_if_they_were_sent(aws: Aws, notices: Notices) -> None:
    client = await aws.sagemaker_runtime()
    s3 = await aws.s3()
    await s3.put_object(Bucket=BUCKET, Key="in", Body=json.dumps(SMALL).encode(), ContentType="application/json")
    await client.invoke_endpoint_async(EndpointName="later", InputLocation=f"s3://{BUCKET}/in")
    (notice,) = await notices.receive(1)
    assert notice["requestParameters"] == {"endpointName": "later", "inputLocation": f"s3://{BUCKET}/in"}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_failure_of_the_container_is_put_into_s3(
    aws: Aws, notices: Notices, sagemaker: SageMakerLocal, when: str
) -> None:
    sagemaker.set_faults({"kind": "error", "error": "ModelError", "reason": "out-of-memory", "when": when})
    taken = await submit(aws)
    (notice,) = await notices.receive(1)
    assert notice["invocationStatus"] == "Failed"
    assert notice["failureReason"].startswith("ClientError: Received client error (400) from model.")
    assert notice["responseParameters"]["failureLocation"] == taken["FailureLocation"]
    report = await object_at(aws, taken["FailureLocation"])
    assert report is not None and "CUDA out of memory" in json.loads(report)["message"]
    assert await object_at(aws, taken["OutputLocation"]) is None
    assert sagemaker.runs() == (1 if when == "after" else 0)


async def test_invocation_that_takes_longer_than_was_allowed_fails(
    aws: Aws, notices: Notices, sagemaker: SageMakerLocal
) -> None:
    sagemaker.set_faults({"kind": "slow", "seconds": 60})
    await submit(aws, InvocationTimeoutSeconds=1)
    (notice,) = await notices.receive(1)
    assert "timed out" in notice["failureReason"]


async def test_input_that_is_missing_loses_the_answer(aws: Aws, notices: Notices, sagemaker: SageMakerLocal) -> None:
    await submit(aws, InputLocation=f"s3://{BUCKET}/nothing")
    await eventually(lambda: [each["ended"] for each in sagemaker.invocations()] == ["failed"])
    (notice,) = await notices.receive(1)
    assert notice["invocationStatus"] == "Failed"
    assert sagemaker.runs() == 0


async def test_notice_comes_twice(aws: Aws, notices: Notices, sagemaker: SageMakerLocal) -> None:
    sagemaker.set_faults({"kind": "notify", "deliver": "twice"})
    taken = await submit(aws)
    first, second = await notices.receive(2)
    assert first == second
    assert first["inferenceId"] == taken["InferenceId"]
    assert sagemaker.runs() == 1


async def test_notice_never_comes(aws: Aws, notices: Notices, sagemaker: SageMakerLocal) -> None:
    sagemaker.set_faults({"kind": "notify", "deliver": "never"})
    taken = await submit(aws)
    await eventually(lambda: [each["ended"] for each in sagemaker.invocations()] == ["drawn"])
    assert await object_at(aws, taken["OutputLocation"])
    assert await notices.count() == 0


async def test_notice_comes_before_the_invocation_is_answered(
    aws: Aws, notices: Notices, sagemaker: SageMakerLocal
) -> None:
    sagemaker.set_faults({"kind": "notify", "deliver": "before-answer"})
    await submit(aws)
    assert await notices.count() == 1


async def test_invocation_expires_in_the_queue(aws: Aws, notices: Notices, sagemaker: SageMakerLocal) -> None:
    sagemaker.set_faults({"kind": "notify", "deliver": "expired"})
    await submit(aws)
    (notice,) = await notices.receive(1)
    assert notice["invocationStatus"] == "Expired"
    assert [(each["ended"], each["model_ran"]) for each in sagemaker.invocations()] == [("expired", False)]


async def test_nobody_knows_whether_the_invocation_was_taken(
    aws: Aws, notices: Notices, sagemaker: SageMakerLocal
) -> None:
    sagemaker.set_faults({"kind": "disconnect", "when": "after"})
    with pytest.raises(HTTPClientError):
        await submit(aws, InferenceId="job-3")
    (notice,) = await notices.receive(1)
    assert notice["inferenceId"] == "job-3"
    assert sagemaker.runs("job-3") == 1


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"InferenceId": "i" * 65}, "inferenceId"),
        ({"InvocationTimeoutSeconds": 3601}, "invocationTimeoutSeconds"),
        ({"RequestTTLSeconds": 59}, "requestTTLSeconds"),
        ({"RequestTTLSeconds": 21_601}, "requestTTLSeconds"),
        ({"InputLocation": "s3://"}, "InputLocation"),
        ({"InputLocation": "somewhere"}, "InputLocation"),
    ],
)
async def test_parameters_out_of_range_are_refused(
    aws: Aws, notices: Notices, sagemaker: SageMakerLocal, parameters: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(ClientError, match=said) as caught:
        await submit(aws, **parameters)
    assert (error_code(caught.value), http_status(caught.value)) == ("ValidationError", 400)
    assert [each["ended"] for each in sagemaker.invocations()] == ["refused"]


async def test_endpoint_takes_invocations_of_its_kind_only(aws: Aws, notices: Notices) -> None:
    for call in (invoke(aws, endpoint="later"), anext(stream(aws, endpoint="later")), submit(aws, endpoint="sd")):
        with pytest.raises(ClientError) as caught:
            await call
        assert (error_code(caught.value), http_status(caught.value)) == ("ValidationError", 400)


# --- descriptions ----------------------------------------------------------------------------------------------------


async def test_endpoint_is_described(aws: Aws) -> None:
    client = await aws.sagemaker()
    found = await client.describe_endpoint(EndpointName="sd")
    assert (found["EndpointName"], found["EndpointStatus"]) == ("sd", "InService")
    assert found["EndpointArn"] == f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/sd"
    (variant,) = found["ProductionVariants"]
    assert (variant["VariantName"], variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (
        "AllTraffic",
        1,
        1,
    )
    assert found["CreationTime"].year >= 2024


async def test_configuration_of_an_asynchronous_endpoint_names_its_places(aws: Aws) -> None:
    client = await aws.sagemaker()
    found = await client.describe_endpoint_config(EndpointConfigName="later")
    output = found["AsyncInferenceConfig"]["OutputConfig"]
    assert output["S3OutputPath"] == f"s3://{BUCKET}/answers"
    assert output["NotificationConfig"]["SuccessTopic"] == TOPICS["rehearsal-done"]
    assert "AsyncInferenceConfig" not in await client.describe_endpoint_config(EndpointConfigName="sd")


@pytest.mark.parametrize(
    ("status", "takes_invocations"),
    [
        ("Creating", False),
        ("Updating", True),
        ("SystemUpdating", True),
        ("RollingBack", True),
        ("InService", True),
        ("OutOfService", False),
        ("Deleting", False),
        ("Failed", False),
    ],
)
async def test_status_is_described_and_met_by_invocations(
    aws: Aws, sagemaker: SageMakerLocal, status: str, takes_invocations: bool
) -> None:
    sagemaker.set_faults({"kind": "status", "status": status, "endpoint": "sd"})
    client = await aws.sagemaker()
    found = await client.describe_endpoint(EndpointName="sd")
    assert found["EndpointStatus"] == status
    assert ("FailureReason" in found) is (status == "Failed")
    assert (await client.describe_endpoint(EndpointName="hub"))["EndpointStatus"] == "InService"
    if takes_invocations:
        await invoke(aws)
        return
    with pytest.raises(ClientError, match=f"Endpoint sd of account {ACCOUNT} not found."):
        await invoke(aws)


async def test_endpoint_that_is_missing_is_neither_described_nor_invoked(aws: Aws, sagemaker: SageMakerLocal) -> None:
    sagemaker.set_faults({"kind": "status", "status": "Missing", "times": 1})
    client = await aws.sagemaker()
    for name in ("sd", "nobody"):
        with pytest.raises(ClientError, match=f'Could not find endpoint "arn:.*:endpoint/{name}".') as caught:
            await client.describe_endpoint(EndpointName=name)
        assert (error_code(caught.value), http_status(caught.value)) == ("ValidationException", 400)
    with pytest.raises(ClientError, match="not found"):
        await invoke(aws)
    await invoke(aws)


async def test_endpoint_without_an_instance_refuses_real_time_and_queues_asynchronous_invocations(
    aws: Aws, notices: Notices, sagemaker: SageMakerLocal
) -> None:
    sagemaker.set_faults({"kind": "status", "status": "ScaledToZero"})
    client = await aws.sagemaker()
    found = await client.describe_endpoint(EndpointName="later")
    assert found["EndpointStatus"] == "InService"
    assert [each["CurrentInstanceCount"] for each in found["ProductionVariants"]] == [0]
    with pytest.raises(ClientError, match="has no capacity"):
        await invoke(aws)
    taken = await submit(aws)
    assert sagemaker.runs() == 0
    sagemaker.set_faults()
    await notices.receive(1)
    assert await object_at(aws, taken["OutputLocation"])


async def test_unknown_operation_is_refused(aws: Aws) -> None:
    client = await aws.sagemaker()
    with pytest.raises(ClientError) as caught:
        await client.list_models()
    assert (error_code(caught.value), http_status(caught.value)) == ("UnknownOperationException", 400)


# --- the other families ----------------------------------------------------------------------------------------------


async def test_jumpstart_imagegeneration_answers_one_base64_file(aws: Aws) -> None:
    prompts = [{"text": "a fjord", "weight": 1}, {"text": "people", "weight": -1}]
    fields = {"text_prompts": prompts, "width": 320, "height": 264, "cfg_scale": 7.0, "steps": 3, "seed": 1}
    document = json.loads((await invoke(aws, fields, endpoint="generator", accept="application/json")).body)
    assert document.keys() == {"generated_image"}
    assert from_base64(document["generated_image"]).size == (320, 264)
    with pytest.raises(ClientError, match="larger than 256"):
        await invoke(aws, {**fields, "width": 256}, endpoint="generator")


async def test_stability_sdk_answers_artifacts(aws: Aws, sagemaker: SageMakerLocal) -> None:
    fields = {"text_prompts": [{"text": "a fjord"}], "width": 640, "height": 1536, "steps": 1, "seed": 9}
    document = json.loads((await invoke(aws, fields, endpoint="sdxl", accept="application/json")).body)
    (artifact,) = document["artifacts"]
    assert (artifact["seed"], artifact["finishReason"]) == (9, "SUCCESS")
    assert from_base64(artifact["base64"]).size == (640, 1536)
    with pytest.raises(ClientError, match="ModelError"):
        await invoke(aws, {**fields, "width": 512}, endpoint="sdxl")
    sagemaker.set_faults({"kind": "answer", "form": "filtered"})
    document = json.loads((await invoke(aws, fields, endpoint="sdxl", accept="application/json")).body)
    assert [each["finishReason"] for each in document["artifacts"]] == ["CONTENT_FILTERED"]


async def test_stability_sd3_answers_in_a_body(aws: Aws, sagemaker: SageMakerLocal) -> None:
    fields = {"prompt": "a fjord", "seed": 5, "aspect_ratio": "21:9", "output_format": "jpeg"}
    document = json.loads((await invoke(aws, fields, endpoint="sd3", accept="application/json")).body)
    (image,) = document["body"]["images"]
    picture = from_base64(image)
    assert (picture.format, picture.size) == ("JPEG", (1536, 640))
    assert document["body"]["finish_reasons"] == [None]
    with pytest.raises(ClientError, match="aspect_ratio"):
        await invoke(aws, {**fields, "aspect_ratio": "1:2"}, endpoint="sd3")


async def test_huggingface_answers_a_text_or_a_file(aws: Aws) -> None:
    fields = {"inputs": "a fjord", "parameters": {"width": 72, "height": 64, "num_inference_steps": 2}}
    answer = await invoke(aws, fields, endpoint="hub", accept="application/json")
    assert from_base64(json.loads(answer.body)).size == (72, 64)
    for accept, file_format in (("image/png", "PNG"), ("image/jpeg", "JPEG"), ("image/webp", "WEBP")):
        answer = await invoke(aws, fields, endpoint="hub", accept=accept)
        assert (answer.content_type, Image.open(io.BytesIO(answer.body)).format) == (accept, file_format)


async def test_huggingface_refuses_what_the_pipeline_does_not_take(aws: Aws) -> None:
    for parameters, accept in (({"seed": 1}, "image/png"), ({"width": 64, "height": 64}, JPEG)):
        with pytest.raises(ClientError) as caught:
            await invoke(aws, {"inputs": "a fjord", "parameters": parameters}, endpoint="hub", accept=accept)
        response: Mapping[str, Any] = caught.value.response
        assert (error_code(caught.value), response["OriginalStatusCode"]) == ("ModelError", 400)

"""Jobs on SageMaker endpoints of every kind, with the real SDK: what goes well, and each thing that goes wrong."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from tests.aws.conftest import BUCKET, Cloud
from tests.clients.graphql_http import SMALL, Api
from tests.clients.server_process import ServerProcess
from tests.clients.waiting import eventually

KINDS = ("sd", "steps", "later")
DETAILS = """
query Details($id: ID!) {
  job(id: $id) {
    status
    withheld { index code }
    images { index: seed url thumbnailUrl width height sha256 }
    failure { code retryable message }
  }
}
"""
MODELS = "{ models { name availability } }"


async def generated(api: Api, model: str, **fields: Any) -> dict[str, Any]:
    """A job on a model, as it ended."""
    job = await api.generate(modelId=model, **{"steps": 2, **fields})
    return await api.finished(job["id"])


async def details_of(api: Api, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await api.data(DETAILS, {"id": job["id"]}))["job"]
    return found


def inference_id(job: dict[str, Any]) -> str:
    """The ID that SageMaker knows a job by."""
    return base64.b64decode(job["id"]).decode().partition(":")[2]


@pytest.mark.parametrize("model", [*KINDS, "rgb", "sdxl", "hub"])
async def test_an_image_is_drawn_at_the_endpoint_kept_in_the_bucket_and_handed_out(
    api: Api, cloud: Cloud, model: str
) -> None:
    size = {"dimensions": {"width": 320, "height": 320}} if model == "sdxl" else SMALL
    job = await generated(api, model, size=size)

    assert job["status"] == "SUCCEEDED", job
    (image,) = job["images"]
    for url, media_type in ((image["url"], "image/jpeg"), (image["thumbnailUrl"], "image/webp")):
        async with httpx.AsyncClient() as anybody:
            answer = await anybody.get(url)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == media_type
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert cloud.runs(inference_id(job)) == 1


async def test_an_endpoint_that_makes_one_image_a_call_is_called_for_each(api: Api, cloud: Cloud) -> None:
    job = await generated(api, "hub", count=3)

    assert len(job["images"]) == 3
    assert [cloud.runs(f"{inference_id(job)}.{number}") for number in range(3)] == [1, 1, 1]


async def test_a_stream_reports_steps_and_previews(api: Api, cloud: Cloud) -> None:
    cloud.sagemaker.set_faults({"kind": "slow", "seconds": 1, "endpoint": "steps"})
    job = await api.generate(modelId="steps", steps=60)
    running = await api.job_when(job["id"], lambda found: found["progress"]["previewUrl"])
    preview = await api.http.get(running["progress"]["previewUrl"])
    await api.finished(job["id"])

    assert running["progress"]["basis"] == "MEASURED"
    assert 0 < running["progress"]["fraction"] < 1
    assert preview.headers["Content-Type"] == "image/webp"


async def test_models_tell_whether_they_are_available(api: Api, cloud: Cloud) -> None:
    found = {each["name"]: each["availability"] for each in (await api.data(MODELS))["models"]}

    assert found["sd"] == found["steps"] == found["later"] == "READY"
    assert found["missing"] == "UNAVAILABLE"


# --- answers that are of no use ---


@pytest.mark.parametrize("model", KINDS)
@pytest.mark.parametrize("form", ["empty", "truncated", "wrong-size"])
async def test_an_answer_that_is_of_no_use_fails_the_job(api: Api, cloud: Cloud, model: str, form: str) -> None:
    cloud.sagemaker.set_faults({"kind": "answer", "form": form})
    job = await generated(api, model)

    assert (job["status"], job["failure"]["code"]) == ("FAILED", "MODEL_ERROR")
    assert cloud.runs(inference_id(job)) == 1


@pytest.mark.parametrize("model", ["sd", "later"])
async def test_a_page_in_the_place_of_an_answer_fails_the_job(api: Api, cloud: Cloud, model: str) -> None:
    cloud.sagemaker.set_faults({"kind": "answer", "form": "html"})
    job = await generated(api, model)

    assert (job["status"], job["failure"]["code"]) == ("FAILED", "MODEL_ERROR")


async def test_rows_of_different_lengths_fail_the_job(api: Api, cloud: Cloud) -> None:
    cloud.sagemaker.set_faults({"kind": "answer", "form": "ragged"})
    job = await generated(api, "rgb")

    assert job["failure"]["code"] == "MODEL_ERROR"


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"generated_images": [[[[256, 0, 0]] * 64] * 64]}),
        "x" * 16_000_000,
        json.dumps({"generated_images": "A" * 16_000_000}),
    ],
    ids=["values over 255", "16 MB of garbage", "16 MB of Base64"],
)
async def test_a_body_of_any_size_that_cannot_be_read_fails_the_job(api: Api, cloud: Cloud, body: str) -> None:
    cloud.sagemaker.set_faults({"kind": "answer", "body": body, "content_type": "application/json"})
    job = await generated(api, "rgb")

    assert job["failure"]["code"] == "MODEL_ERROR"


@pytest.mark.parametrize("model", KINDS)
async def test_images_that_the_model_left_out_are_withheld(api: Api, cloud: Cloud, model: str) -> None:
    cloud.sagemaker.set_faults({"kind": "answer", "form": "fewer"})
    job = await details_of(api, await generated(api, model, count=3))

    assert job["status"] == "SUCCEEDED"
    assert len(job["images"]) == 2
    assert job["withheld"] == [{"index": 2, "code": "MODEL_ERROR"}]


@pytest.mark.parametrize("how", ["ModelStreamError", "InternalStreamFailure", "disconnect", "end"])
async def test_a_stream_that_stops_in_the_middle_fails_the_job_and_is_paid_for_once(
    api: Api, cloud: Cloud, how: str
) -> None:
    cloud.sagemaker.set_faults({"kind": "cut-stream", "after_steps": 1, "how": how})
    job = await generated(api, "steps")

    assert job["status"] == "FAILED"
    assert job["failure"]["code"] in ("MODEL_ERROR", "MODEL_UNAVAILABLE")
    assert job["failure"]["retryable"]
    assert cloud.runs(inference_id(job)) == 1


# --- errors of the service ---

ERRORS: list[tuple[dict[str, Any], str, bool]] = [
    ({"error": "ModelError", "original_status": 400}, "MODEL_ERROR", False),
    ({"error": "ModelError", "original_status": 500}, "MODEL_ERROR", True),
    ({"error": "ModelError", "original_status": 503}, "MODEL_ERROR", True),
    ({"error": "ModelError", "original_status": 507}, "MODEL_ERROR", True),
    ({"error": "ModelError", "reason": "timed-out"}, "TIMEOUT", True),
    ({"error": "ModelError", "reason": "out-of-memory"}, "OUT_OF_MEMORY", False),
    ({"error": "ModelError", "reason": "too-large"}, "MODEL_ERROR", False),
    ({"error": "ValidationError"}, "MODEL_ERROR", False),
    ({"error": "InternalFailure"}, "MODEL_UNAVAILABLE", True),
    ({"error": "InternalDependencyException"}, "MODEL_UNAVAILABLE", True),
    ({"error": "AccessDeniedException"}, "MODEL_UNAVAILABLE", True),
    ({"error": "UnrecognizedClientException"}, "MODEL_UNAVAILABLE", True),
]


@pytest.mark.parametrize(("error", "code", "retryable"), ERRORS, ids=[str(error) for error, _, _ in ERRORS])
@pytest.mark.parametrize("model", ["sd", "steps"])
async def test_an_error_that_will_not_pass_ends_the_job_with_a_code_and_without_its_text(
    api: Api, cloud: Cloud, model: str, error: dict[str, Any], code: str, retryable: bool
) -> None:
    cloud.sagemaker.set_faults({"kind": "error", **error})
    job = await generated(api, model)

    assert job["failure"]["code"] == code
    assert job["failure"]["retryable"] is retryable
    assert "123456789012" not in job["failure"]["message"]
    assert len(cloud.sagemaker.invocations(inference_id(job))) == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_connection_that_is_cut_is_not_made_again(api: Api, cloud: Cloud, when: str) -> None:
    cloud.sagemaker.set_faults({"kind": "disconnect", "when": when})
    job = await generated(api, "sd")

    assert job["failure"] == {"code": "MODEL_UNAVAILABLE", "retryable": True, "message": job["failure"]["message"]}
    assert len(cloud.sagemaker.invocations(inference_id(job))) == 1


PASSING: list[dict[str, Any]] = [
    {"kind": "throttle", "status": 400},
    {"kind": "throttle", "status": 429},
    {"kind": "error", "error": "ModelNotReadyException"},
    {"kind": "error", "error": "ServiceUnavailable"},
    {"kind": "error", "error": "ExpiredTokenException"},
    {"kind": "status", "status": "Creating"},
    {"kind": "status", "status": "ScaledToZero"},
]


@pytest.mark.parametrize("fault", PASSING, ids=str)
@pytest.mark.parametrize("model", KINDS)
async def test_what_did_not_run_and_will_pass_is_waited_for(
    api: Api, cloud: Cloud, model: str, fault: dict[str, Any]
) -> None:
    # An asynchronous endpoint without an instance takes invocations all the same, and draws them later.
    is_queued = model == "later" and fault.get("status") == "ScaledToZero"
    cloud.sagemaker.set_faults({**fault, **({"for_seconds": 1} if is_queued else {"times": 2})})
    job = await generated(api, model)

    assert job["status"] == "SUCCEEDED", job
    assert cloud.runs(inference_id(job)) == 1


async def test_an_endpoint_that_is_updating_goes_on_drawing(api: Api, cloud: Cloud) -> None:
    cloud.sagemaker.set_faults({"kind": "status", "status": "Updating"})

    assert (await generated(api, "sd"))["status"] == "SUCCEEDED"


async def test_a_job_whose_endpoint_is_starting_says_so_and_can_be_canceled_for_nothing(api: Api, cloud: Cloud) -> None:
    cloud.sagemaker.set_faults({"kind": "status", "status": "Creating"})
    job = await api.generate(modelId="sd")
    await api.job_when(job["id"], lambda found: found["progress"]["phase"] == "STARTING")
    payload = await api.cancel(job["id"])

    assert payload["job"]["cancelOutcome"] == "NOT_STARTED"
    assert cloud.runs(inference_id(job)) == 0


async def test_a_throttled_job_waits_for_its_turn_and_ends_when_there_has_been_enough_of_that(
    api: Api, cloud: Cloud
) -> None:
    cloud.sagemaker.set_faults({"kind": "throttle"})
    job = await api.generate(modelId="impatient")
    waiting = await api.job_when(job["id"], lambda found: found["progress"]["phase"] != "GENERATING")
    ended = await api.finished(job["id"])

    assert waiting["progress"]["phase"] == "WAITING"
    assert (ended["failure"]["code"], ended["failure"]["retryable"]) == ("MODEL_UNAVAILABLE", True)
    assert cloud.runs(inference_id(job)) == 0


@pytest.mark.parametrize("status", ["Failed", "OutOfService", "Deleting", "Missing"])
async def test_an_endpoint_that_will_not_come_ends_the_job(api: Api, cloud: Cloud, status: str) -> None:
    cloud.sagemaker.set_faults({"kind": "status", "status": status})
    job = await generated(api, "missing")

    assert job["failure"]["code"] == "MODEL_UNAVAILABLE"


async def test_what_the_service_says_is_in_the_log_with_what_to_do(
    api: Api, cloud: Cloud, production: ServerProcess
) -> None:
    logged = len(production.log)
    cloud.sagemaker.set_faults({"kind": "error", "error": "ModelError", "reason": "out-of-memory"})
    await generated(api, "sd")

    log = production.log[logged:]
    assert "ModelError (HTTP 424, original status 400), OUT_OF_MEMORY, not retryable." in log
    assert "Lower max_dimension or max_count" in log


# --- asynchronous endpoints ---


@pytest.mark.parametrize("deliver", ["twice", "never", "before-answer"])
async def test_an_answer_is_found_however_its_notice_comes(api: Api, cloud: Cloud, deliver: str) -> None:
    cloud.sagemaker.set_faults({"kind": "notify", "deliver": deliver})
    job = await generated(api, "later")

    assert job["status"] == "SUCCEEDED", job
    assert cloud.runs(inference_id(job)) == 1


async def test_an_invocation_that_expires_in_the_queue_ends_the_job(api: Api, cloud: Cloud) -> None:
    cloud.sagemaker.set_faults({"kind": "notify", "deliver": "expired"})
    job = await generated(api, "later")

    assert (job["failure"]["code"], job["failure"]["retryable"]) == ("MODEL_UNAVAILABLE", True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"error": "ModelError", "original_status": 500}, "MODEL_ERROR"),
        ({"error": "ModelError", "reason": "out-of-memory"}, "OUT_OF_MEMORY"),
        ({"error": "ModelError", "message": f"CUDA out of memory. {'Traceback ' * 10_000}"}, "OUT_OF_MEMORY"),
    ],
    ids=["an error", "out of memory", "a long report"],
)
async def test_a_container_that_fails_later_ends_the_job(
    api: Api, cloud: Cloud, error: dict[str, Any], code: str
) -> None:
    cloud.sagemaker.set_faults({"kind": "error", **error})
    job = await generated(api, "later")

    assert job["failure"]["code"] == code


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_call_whose_answer_is_lost_is_paid_for_as_often_as_the_policy_says(
    api: Api, cloud: Cloud, when: str
) -> None:
    """Where it was taken, its notice tells; where it was not, it is sent again after a while."""
    cloud.sagemaker.set_faults({"kind": "disconnect", "when": when, "times": 1})
    job = await generated(api, "later")

    assert job["status"] == "SUCCEEDED", job
    assert cloud.runs(inference_id(job)) == 1


async def test_a_canceled_job_is_detached_and_its_answer_changes_nothing(api: Api, cloud: Cloud) -> None:
    cloud.sagemaker.set_faults({"kind": "slow", "seconds": 1})
    job = await api.generate(modelId="later")
    await eventually(lambda: cloud.sagemaker.invocations(inference_id(job)))
    payload = await api.cancel(job["id"])
    await eventually(lambda: cloud.sagemaker.invocations(inference_id(job))[0]["ended"] == "drawn")
    await eventually(lambda: is_empty(cloud))

    assert payload["job"]["cancelOutcome"] == "DETACHED"
    found = await api.job(job["id"])
    assert found is not None
    assert (found["status"], found["images"]) == ("CANCELED", [])


async def test_the_answer_of_a_deleted_job_is_dropped(api: Api, cloud: Cloud) -> None:
    cloud.sagemaker.set_faults({"kind": "slow", "seconds": 1})
    job = await api.generate(modelId="later")
    await eventually(lambda: cloud.sagemaker.invocations(inference_id(job)))
    await api.delete(job["id"])
    await eventually(lambda: is_empty(cloud))

    assert await api.job(job["id"]) is None
    listed = cloud.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"images/{inference_id(job)}/")
    assert listed["KeyCount"] == 0


async def test_messages_that_are_not_ours_end_in_the_dead_letter_queue(api: Api, cloud: Cloud) -> None:
    sqs = cloud.client("sqs")
    for body in ("no JSON", "[]", json.dumps({"inferenceId": "0" * 36, "invocationStatus": "Completed"})):
        sqs.send_message(QueueUrl=cloud.queue_url, MessageBody=body)
    dead_url = sqs.get_queue_url(QueueName="completions-dead")["QueueUrl"]

    assert await eventually(lambda: number_of_messages(sqs, dead_url) >= 3)
    assert (await generated(api, "later"))["status"] == "SUCCEEDED"


def is_empty(cloud: Cloud) -> bool:
    return number_of_messages(cloud.client("sqs"), cloud.queue_url) == 0


def number_of_messages(sqs: Any, queue_url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)

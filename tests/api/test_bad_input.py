"""What is refused, and what happens to jobs that are stopped, deleted or cannot be stored."""

from __future__ import annotations

import asyncio
import base64
import html
import resource
import secrets
from pathlib import Path
from typing import Any

import pytest

from tests.clients.graphql_http import SMALL, Api, new_key
from tests.clients.graphql_socket import Socket
from tests.clients.server_process import ServerProcess, StartServer
from tests.clients.waiting import eventually

WATCH = "subscription ($id: ID!, $after: String) { jobUpdated(id: $id, after: $after) { kind job { status } } }"
UUID = "0199c0de-0000-7000-8000-000000000001"
UNKNOWN_IDS = [
    "",
    "x",
    UUID,
    base64.b64encode(f"GenerationJob:{UUID}".encode()).decode(),
    base64.b64encode(f"Image:{UUID}/0".encode()).decode(),
    base64.b64encode(b"GenerationJob:../../etc/passwd").decode(),
    "ü" * 3000,
]


def dimensions(width: object, height: object) -> dict[str, Any]:
    return {"dimensions": {"width": width, "height": height}}


def id_of(type_name: str, key: str) -> str:
    return base64.b64encode(f"{type_name}:{key}".encode()).decode()


# --- values out of range ---


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"prompt": ""}, ["prompt"]),
        ({"prompt": " \n\t\u3000"}, ["prompt"]),
        ({"prompt": "x" * 2001}, ["prompt"]),
        ({"prompt": "nul \0 character"}, ["prompt"]),
        ({"prompt": "x" * 1990, "style": "watercolor"}, ["prompt"]),
        ({"negativePrompt": "x" * 2001}, ["negativePrompt"]),
        ({"negativePrompt": "\0"}, ["negativePrompt"]),
        ({"size": dimensions(65, 64)}, ["size", "dimensions", "width"]),
        ({"size": dimensions(64, 100)}, ["size", "dimensions", "height"]),
        ({"size": dimensions(1544, 64)}, ["size", "dimensions", "width"]),
        ({"size": dimensions(64, 2**31 - 8)}, ["size", "dimensions", "height"]),
        ({"size": dimensions(56, 64)}, ["size", "dimensions", "width"]),
        ({"size": dimensions(64, 0)}, ["size", "dimensions", "height"]),
        ({"size": dimensions(-64, 64)}, ["size", "dimensions", "width"]),
        ({"steps": 0}, ["steps"]),
        ({"steps": -1}, ["steps"]),
        ({"steps": 101}, ["steps"]),
        ({"count": 0}, ["count"]),
        ({"count": 5}, ["count"]),
        ({"count": -(2**31)}, ["count"]),
        ({"guidanceScale": -0.1}, ["guidanceScale"]),
        ({"guidanceScale": 30.1}, ["guidanceScale"]),
        ({"guidanceScale": 1e308}, ["guidanceScale"]),
        ({"reference": "x" * 201}, ["reference"]),
        ({"idempotencyKey": ""}, ["idempotencyKey"]),
        ({"idempotencyKey": "x" * 256}, ["idempotencyKey"]),
        ({"idempotencyKey": "a\0b"}, ["idempotencyKey"]),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_value_out_of_range_is_told_with_its_path(api: Api, fields: dict[str, Any], path: list[str]) -> None:
    before = await api.total()
    payload = await api.try_to_generate(**fields)
    assert payload["job"] is None
    (error,) = payload["errors"]
    assert (error["__typename"], error["path"]) == ("InvalidInputError", path)
    assert error["message"]
    assert await api.total() == before


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": -1},
        {"seed": 2**32},
        {"seed": 1.5},
        {"seed": "1"},
        {"seed": True},
        {"seed": 10**30},
        {"steps": 1.5},
        {"steps": 2**31},
        {"guidanceScale": "7"},
        {"prompt": None},
        {"prompt": 1},
        {"count": None},
        {"format": "GIF"},
        {"format": None},
        {"size": {}},
        {"size": {"aspectRatio": "SQUARE", **SMALL}},
        {"size": {"aspectRatio": None}},
        {"size": {"dimensions": {"width": 64}}},
        {"size": "64x64"},
        {"style": ["watercolor"]},
        {"notThere": 1},
    ],
    ids=str,
)
async def test_value_of_the_wrong_type_is_a_bad_request(api: Api, fields: dict[str, Any]) -> None:
    before = await api.total()
    query = "mutation ($input: GenerateImageInput!) { generateImage(input: $input) { job { id } } }"
    answer = await api.graphql(query, {"input": {"prompt": "p", "steps": 1, "size": SMALL, **fields}})
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]
    assert answer.get("data") is None
    assert await api.total() == before


@pytest.mark.parametrize(
    ("fields", "kind", "path"),
    [
        ({"modelId": "no such model"}, "ModelNotFoundError", ["modelId"]),
        ({"modelId": ""}, "ModelNotFoundError", ["modelId"]),
        ({"modelId": id_of("Style", "watercolor")}, "ModelNotFoundError", ["modelId"]),
        ({"style": "no-such-style"}, "StyleNotFoundError", ["style"]),
        ({"style": ""}, "StyleNotFoundError", ["style"]),
        ({"style": id_of("Model", "sketch")}, "StyleNotFoundError", ["style"]),
    ],
    ids=str,
)
async def test_unknown_model_or_style_is_told(api: Api, fields: dict[str, Any], kind: str, path: list[str]) -> None:
    before = await api.total()
    payload = await api.try_to_generate(**fields)
    assert payload["job"] is None
    assert [(error["__typename"], error["path"]) for error in payload["errors"]] == [(kind, path)]
    assert await api.total() == before


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"prompt": "x" * 2000}, {"prompt": "x" * 2000}),
        ({"prompt": "  spaces stay  "}, {"prompt": "  spaces stay  ", "renderedPrompt": "spaces stay"}),
        ({"seed": 0}, {"seed": 0}),
        ({"seed": 2**32 - 1}, {"seed": 2**32 - 1}),
        ({"seed": 7.0}, {"seed": 7}),
        ({"guidanceScale": 0}, {"guidanceScale": 0}),
        ({"guidanceScale": 30}, {"guidanceScale": 30}),
        ({"style": "watercolor"}, {"style": {"name": "watercolor"}}),
        ({"style": id_of("Style", "watercolor")}, {"style": {"name": "watercolor"}}),
        ({"modelId": id_of("Model", "sketch")}, {}),
        ({"modelId": "sketch"}, {}),
        ({"negativePrompt": ""}, {"negativePrompt": None}),
        ({"count": 4}, {"count": 4}),
        ({"format": "PNG"}, {"format": "PNG"}),
        ({"format": "WEBP"}, {"format": "WEBP"}),
        ({"steps": 100}, {"steps": 100}),
        ({"steps": None, "size": None, "guidanceScale": None}, {"steps": 50, "width": 768, "guidanceScale": 7.5}),
        ({"size": {"aspectRatio": "SQUARE"}}, {"width": 768, "height": 768}),
        ({"size": {"aspectRatio": "PORTRAIT_9_16"}}, {"width": 576, "height": 1024}),
        ({"size": {"aspectRatio": "LANDSCAPE_4_3"}}, {"width": 888, "height": 664}),
        ({"size": dimensions(1536, 64)}, {"width": 1536, "height": 64}),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_value_within_the_limits_is_taken_as_given(
    api: Api, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    job = await api.generate(**fields)
    assert {name: job["parameters"][name] for name in expected} == expected
    assert job["status"] == "QUEUED"
    await api.cancel(job["id"])


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
async def test_format_is_the_format_of_the_file(api: Api, image_format: str) -> None:
    job = await api.finished((await api.generate(format=image_format))["id"])
    (image,) = job["images"]
    assert image["format"] == image_format
    assert (await api.http.get(image["url"])).headers["content-type"] == f"image/{image_format.lower()}"


# --- idempotency ---


async def test_same_key_and_input_give_the_same_job(api: Api) -> None:
    key = new_key()
    first = await api.generate(idempotencyKey=key)
    assert (await api.generate(idempotencyKey=key))["id"] == first["id"]
    await api.finished(first["id"])
    again = await api.generate(idempotencyKey=key)
    assert (again["id"], again["status"]) == (first["id"], "SUCCEEDED")
    assert (await api.generate(idempotencyKey=key, modelId="sketch"))["id"] == first["id"]


@pytest.mark.parametrize("other", [{"prompt": "another"}, {"seed": 1}, {"count": 2}, {"style": "anime"}], ids=str)
async def test_same_key_with_other_input_is_a_conflict(api: Api, other: dict[str, Any]) -> None:
    key = new_key()
    first = await api.generate(idempotencyKey=key)
    payload = await api.try_to_generate(idempotencyKey=key, **other)
    assert payload["job"] is None
    (error,) = payload["errors"]
    assert error["__typename"] == "IdempotencyConflictError"
    assert error["existingJobId"] == first["id"]
    assert error["path"] == ["idempotencyKey"]


async def test_fifty_requests_at_once_with_one_key_make_one_job(api: Api) -> None:
    before, key = await api.total(), new_key()
    jobs = await asyncio.gather(*(api.generate(idempotencyKey=key) for _ in range(50)))
    assert len({job["id"] for job in jobs}) == 1
    assert await api.total() == before + 1


async def test_refused_request_does_not_use_up_its_key(api: Api) -> None:
    key = new_key()
    assert (await api.try_to_generate(idempotencyKey=key, steps=0))["errors"]
    assert (await api.generate(idempotencyKey=key))["status"] == "QUEUED"


async def test_key_of_a_deleted_job_is_a_conflict(api: Api) -> None:
    key = new_key()
    first = await api.generate(idempotencyKey=key)
    await api.delete(first["id"])
    payload = await api.try_to_generate(idempotencyKey=key)
    assert [error["__typename"] for error in payload["errors"]] == ["IdempotencyConflictError"]


async def test_full_queue_refuses_and_says_when_to_come_back(start_server: StartServer) -> None:
    server = start_server(max_queued="3", concurrency="1")
    async with Api(server.origin) as api:
        key = new_key()
        running = await api.generate(steps=100, idempotencyKey=key)
        await api.running(running["id"])
        for _ in range(3):
            await api.generate()
        payload = await api.try_to_generate()
        (error,) = payload["errors"]
        assert (payload["job"], error["__typename"]) == (None, "QueueFullError")
        assert error["retryAfterSeconds"] > 0
        assert (await api.generate(steps=100, idempotencyKey=key))["id"] == running["id"]
        response = await api.http.post("/text2image", json={"text": "a tree"})
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) > 0


# --- cancel ---


async def test_queued_job_is_canceled_before_it_starts(api: Api) -> None:
    blockers = [await api.generate(steps=100) for _ in range(2)]
    for blocker in blockers:
        await api.running(blocker["id"])
    job = await api.generate()
    payload = await api.cancel(job["id"])
    assert payload["errors"] == []
    assert (payload["job"]["status"], payload["job"]["cancelOutcome"]) == ("CANCELED", "NOT_STARTED")
    for blocker in blockers:
        await api.cancel(blocker["id"])
    # Who comes behind it is served; the canceled job stays as it is.
    await api.finished((await api.generate())["id"])
    left = await api.job(job["id"])
    assert left is not None and (left["status"], left["startedAt"], left["images"]) == ("CANCELED", None, [])


async def test_running_job_is_stopped(api: Api, shared_server: ServerProcess) -> None:
    job = await api.generate(steps=100)
    await api.job_when(job["id"], lambda job: job["progress"]["step"] >= 3)
    payload = await api.cancel(job["id"])
    assert (payload["job"]["status"], payload["job"]["cancelOutcome"]) == ("CANCELED", "STOPPED")
    assert payload["job"]["finishedAt"] is not None
    # Its place is free at once.
    later = [await api.generate() for _ in range(2)]
    for each in later:
        assert (await api.finished(each["id"]))["status"] == "SUCCEEDED"
    assert files_of(shared_server, job["id"]) == []


async def test_finished_job_cannot_be_canceled_and_that_is_no_error(api: Api) -> None:
    job = await api.finished((await api.generate())["id"])
    payload = await api.cancel(job["id"])
    assert payload["errors"] == []
    assert payload["job"] == job


async def test_canceling_twice_changes_nothing(api: Api) -> None:
    job = await api.generate(steps=100)
    first, second = (await asyncio.gather(api.cancel(job["id"]), api.cancel(job["id"])))[:2]
    assert first["errors"] == second["errors"] == []
    assert first["job"] == second["job"]
    assert (await api.cancel(job["id"]))["job"] == first["job"]


@pytest.mark.parametrize("job_id", UNKNOWN_IDS, ids=lambda value: value[:10])
async def test_unknown_job_can_neither_be_canceled_nor_deleted(api: Api, job_id: str) -> None:
    canceled, deleted = await api.cancel(job_id), await api.delete(job_id)
    assert canceled["job"] is None and deleted["deletedJobId"] is None
    for payload in (canceled, deleted):
        assert [(error["__typename"], error["path"]) for error in payload["errors"]] == [("JobNotFoundError", ["id"])]


# --- delete ---


def files_of(server: ServerProcess, job_id: str) -> list[Path]:
    """The files of a job in the data folder."""
    key = base64.b64decode(job_id).decode().partition(":")[2]
    return sorted(path for path in (server.data_dir / "images").rglob("*") if key in str(path))


async def test_deleted_job_is_gone_with_its_files(api: Api, shared_server: ServerProcess) -> None:
    job = await api.finished((await api.generate(count=2))["id"])
    assert len([path for path in files_of(shared_server, job["id"]) if path.is_file()]) == 4
    payload = await api.delete(job["id"])
    assert payload == {"deletedJobId": job["id"], "errors": []}
    assert files_of(shared_server, job["id"]) == []
    assert await api.job(job["id"]) is None
    for image in job["images"]:
        assert (await api.http.get(image["url"])).status_code == 404
        assert (await api.data("query ($id: ID!) { node(id: $id) { id } }", {"id": image["id"]}))["node"] is None
    assert [error["__typename"] for error in (await api.delete(job["id"]))["errors"]] == ["JobNotFoundError"]
    assert [error["__typename"] for error in (await api.cancel(job["id"]))["errors"]] == ["JobNotFoundError"]


async def test_running_job_is_stopped_and_deleted(api: Api, socket: Socket, shared_server: ServerProcess) -> None:
    job = await api.generate(steps=100)
    await api.running(job["id"])
    keys = [await socket.subscribe(WATCH, {"id": job["id"]}) for _ in range(3)]
    assert await socket.next_of(keys[-1]) is not None
    await api.delete(job["id"])
    last: dict[str, Any] = {}
    while (payload := await socket.next_of(keys[-1])) is not None:
        last = payload["data"]["jobUpdated"]
    assert last == {"kind": "DELETED", "job": None}
    assert await api.job(job["id"]) is None
    # Both places are free at once, and nothing comes back.
    for each in [await api.generate() for _ in range(2)]:
        await api.finished(each["id"])
    assert files_of(shared_server, job["id"]) == []
    assert await api.job(job["id"]) is None


async def test_job_deleted_at_any_moment_leaves_no_files(api: Api, shared_server: ServerProcess) -> None:
    jobs = [await api.generate(count=1 + number % 2) for number in range(12)]
    for number, job in enumerate(jobs):
        await asyncio.sleep(0.01 * (number % 5))
        await api.delete(job["id"])
    await api.finished((await api.generate())["id"])

    def left() -> list[Path]:
        return [path for job in jobs for path in files_of(shared_server, job["id"])]

    await eventually(lambda: not left())
    assert [await api.job(job["id"]) for job in jobs] == [None] * 12


# --- images that cannot be stored ---


async def test_image_folder_that_cannot_be_written_fails_the_job_and_not_the_server(start_server: StartServer) -> None:
    server = start_server()
    async with Api(server.origin) as api:
        await api.finished((await api.generate())["id"])
        images = server.data_dir / "images"
        images.rename(server.data_dir / "images-away")
        images.write_text("a file in the way")
        job = await api.finished((await api.generate(prompt="a secret prompt"))["id"])
        assert_failed_without_details(server, job)
        images.unlink()
        (server.data_dir / "images-away").rename(images)
        assert (await api.finished((await api.generate())["id"]))["status"] == "SUCCEEDED"
    assert "a secret prompt" not in server.log


async def test_full_disk_fails_the_job_and_not_the_server(start_server: StartServer) -> None:
    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

    server = start_server(prepare=small_files_only)
    async with Api(server.origin) as api:
        big = await api.generate(prompt=secrets.token_hex(8), format="PNG", size=dimensions(1024, 1024))
        assert_failed_without_details(server, await api.finished(big["id"]))
        # What did fit, such as the thumbnail, is cleared away behind the announcement.
        await eventually(lambda: not files_of(server, big["id"]))
        assert (await api.finished((await api.generate())["id"]))["status"] == "SUCCEEDED"


def assert_failed_without_details(server: ServerProcess, job: dict[str, Any]) -> None:
    assert job["status"] == "FAILED"
    assert job["images"] == []
    assert job["failure"]["code"] == "INTERNAL"
    assert job["failure"]["retryable"] is True
    assert job["progress"]["fraction"] < 1
    for word in (str(server.data_dir), "images/", "Errno", "Error", "File"):
        assert word not in job["failure"]["message"]


# --- prompts that mean something to somebody else ---


STRANGE_PROMPTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}} ${7*7} <%= 7*7 %>",
    "'; DROP TABLE jobs; --",
    "line\nbreak\r\nX-Injected: 1",
    "bell \x07 escape \x1b[31m red \x1b[0m",
    "\u202eright to left\u202c \u200bzero width",
    "percent %n %s %d {0}",
    "emoji \U0001f5fc and \u0e01\u0e33",
]


@pytest.mark.parametrize("prompt", STRANGE_PROMPTS, ids=ascii)
async def test_strange_prompts_are_kept_as_they_are_and_not_logged(
    api: Api, shared_server: ServerProcess, prompt: str
) -> None:
    job = await api.finished((await api.generate(prompt=prompt))["id"])
    assert job["status"] == "SUCCEEDED"
    assert job["parameters"]["prompt"] == prompt
    assert await api.total(search=prompt) == 1
    page = await api.http.get("/text2image", params={"prompt": prompt, "steps": 1, "width": 64, "height": 64})
    assert page.status_code == 200
    assert "x-injected" not in page.headers
    assert html.escape(prompt.strip()) in page.text.replace("\r\n", "\n") or "\r" in prompt
    assert "<script" not in page.text and "<img src=x" not in page.text
    assert prompt not in shared_server.log and "alert(1)" not in shared_server.log
    await api.delete(job["id"])

"""/text2image, for people without GraphQL."""

from __future__ import annotations

import html
import io
import re
from typing import Any

import pytest
from PIL import Image

from tests.clients.graphql_http import Api
from tests.clients.server_process import StartServer
from tests.clients.waiting import eventually

SMALL = {"width": 64, "height": 64, "steps": 1}
BAD_FIELDS: list[dict[str, Any]] = [
    {},
    {"text": None},
    {"text": 1},
    {"text": ["a"]},
    {"text": ""},
    {"text": "x" * 2001},
    {"text": "half a pair \ud800"},
    {"prompt": "the field is called text"},
    {"text": "a", "width": 64},
    {"text": "a", "width": 65, "height": 64},
    {"text": "a", "width": "wide", "height": 64},
    {"text": "a", "steps": 0},
    {"text": "a", "steps": 1.5},
    {"text": "a", "steps": True},
    {"text": "a", "steps": [1]},
    {"text": "a", "steps": 10**30},
    {"text": "a", "seed": -1},
    {"text": "a", "seed": 2**32},
    {"text": "a", "guidance": 31},
    {"text": "a", "guidance": "nan"},
    {"text": "a", "guidance": float("inf")},
    {"text": "a", "guidance": 10**400},
]
BAD_BODIES = {
    "nothing": b"",
    "an array": b"[]",
    "a string": b'"a"',
    "cut": b'{"text": "a"',
    "no UTF-8": b'{"text": "\xff"}',
    "nesting without end": b"[" * 100_000,
    "a number without end": b'{"text": "a", "steps": 1%s}' % (b"0" * 5000),
}


async def test_image_is_made_and_its_url_is_the_answer(api: Api) -> None:
    response = await api.http.post("/text2image", json={"text": "a lighthouse", "seed": 7, **SMALL})
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"statusCode", "body"} and answer["statusCode"] == 200
    assert answer["body"].startswith(str(api.http.base_url))
    picture = await api.http.get(answer["body"])
    assert Image.open(io.BytesIO(picture.content)).size == (64, 64)


@pytest.mark.parametrize("fields", BAD_FIELDS, ids=lambda value: str(value)[:40].encode("ascii", "replace").decode())
async def test_bad_field_is_400_and_queues_nothing(api: Api, fields: dict[str, Any]) -> None:
    before = await api.total()
    response = await api.http.post("/text2image", content=_json(fields), headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["statusCode"] == 400
    assert response.json()["body"]
    assert await api.total() == before


@pytest.mark.parametrize("what", BAD_BODIES)
async def test_body_that_is_no_object_is_400(api: Api, what: str) -> None:
    response = await api.http.post("/text2image", content=BAD_BODIES[what])
    assert response.status_code == 400
    assert response.json()["statusCode"] == 400


def _json(value: object) -> bytes:
    import json

    return json.dumps(value).encode()


async def test_page_shows_the_image(api: Api) -> None:
    response = await api.http.get("/text2image", params={"prompt": "a lighthouse", **SMALL})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    match = re.search(r'<img src="([^"]+)" alt="a lighthouse"', response.text)
    assert match is not None
    assert (await api.http.get(html.unescape(match[1]))).headers["content-type"] == "image/jpeg"


async def test_page_escapes_whatever_the_prompt_holds(api: Api) -> None:
    prompt = """<script>alert(1)</script> "><img src=x onerror='alert(2)'> & </title> ${x} {{y}}"""
    response = await api.http.get("/text2image", params={"prompt": prompt, **SMALL})
    assert response.status_code == 200
    assert "<script" not in response.text
    assert response.text.count("<img") == 1
    assert "</title> $" not in response.text
    assert response.text.count(html.escape(prompt)) == 3
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "parameters",
    [{}, {"text": "a"}, {"prompt": ""}, {"prompt": "a", "steps": "x"}, {"prompt": "a", "width": "64"}],
    ids=str,
)
async def test_page_for_bad_parameters_is_400(api: Api, parameters: dict[str, str]) -> None:
    before = await api.total()
    response = await api.http.get("/text2image", params=parameters)
    assert response.status_code == 400
    assert "Nothing was made" in response.text
    assert await api.total() == before


async def test_page_for_a_bad_style_of_characters_is_escaped_too(api: Api) -> None:
    response = await api.http.get("/text2image", params={"prompt": "a", "steps": "<script>"})
    assert response.status_code == 400
    assert "<script" not in response.text


async def test_other_sites_cannot_load_the_page_by_themselves(api: Api) -> None:
    before = await api.total()
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    response = await api.http.get("/text2image", params={"prompt": "a", **SMALL}, headers=headers)
    assert response.status_code == 403
    assert await api.total() == before


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_not_allowed(api: Api, method: str) -> None:
    response = await api.http.request(method, "/text2image", json={"text": "a"})
    assert response.status_code == 405


@pytest.mark.parametrize("job_id", ["x", "0199c0de-0000-7000-8000-000000000001", "..%2F..%2Fetc"])
async def test_unknown_job_is_404(api: Api, job_id: str) -> None:
    response = await api.http.get(f"/text2image/jobs/{job_id}")
    assert response.status_code == 404


async def test_image_that_takes_longer_is_answered_with_where_to_look(start_server: StartServer) -> None:
    server = start_server(rest_wait="0.05")
    async with Api(server.origin) as api:
        response = await api.http.post("/text2image", json={"text": "a lighthouse", **SMALL, "steps": 10})
        assert response.status_code == 202
        url = response.json()["body"]
        assert response.json() == {"statusCode": 202, "body": url}
        assert response.headers["location"] == url
        assert int(response.headers["retry-after"]) > 0

        async def image_url() -> str | None:
            answer = await api.http.get(url)
            assert answer.status_code in (200, 202)
            body: str = answer.json()["body"]
            return body if answer.status_code == 200 else None

        assert (await api.http.get(await eventually(image_url))).headers["content-type"] == "image/jpeg"

        page = await api.http.get("/text2image", params={"prompt": "<b>", **SMALL, "steps": 20})
        assert page.status_code == 202
        assert "<b>" not in page.text
        match = re.search(r'<a href="([^"]+)">', page.text)
        assert match is not None
        assert (await api.http.get(html.unescape(match[1]))).status_code in (200, 202)
        await api.cancel_everything()
        assert (await api.http.get(html.unescape(match[1]))).status_code == 502


async def test_url_of_the_job_is_at_the_public_origin_for_who_asked_there(start_server: StartServer) -> None:
    server = start_server(rest_wait="0", public_url="https://images.example.com", allowed_hosts="*")
    async with Api(server.origin) as api:
        for host, origin in (("images.example.com", "https://images.example.com"), ("other.test", "http://other.test")):
            body = {"text": "a lighthouse", **SMALL, "steps": 2}
            response = await api.http.post("/text2image", json=body, headers={"Host": host})
            assert response.status_code == 202
            assert response.headers["location"].startswith(f"{origin}/text2image/jobs/")

"""GraphQL over HTTP: the rules behind the 61 audits of npm graphql-http, and what the specification leaves open."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

import pytest

from tests.clients.graphql_http import GENERATE, GRAPHQL_JSON, JSON, Api, codes_of
from tests.clients.server_process import ServerProcess, StartServer

QUERY = "query Named($first: Int) { jobs(first: $first) { totalCount } }"
SIMPLE = {"query": "{ __typename }"}
CANCEL_NOTHING = 'mutation { cancelJob(input: {id: "x"}) { errors { __typename } } }'
TWO_OPERATIONS = "query One { one: __typename } query Two { two: __typename }"
WRONG_SHAPES: dict[str, list[Any]] = {
    "query": [1, 1.5, True, ["{ __typename }"], {"query": "{ __typename }"}],
    "variables": [1, "{}", True, [], [{}], ["x"]],
    "operationName": [1, 0, True, False, ["One"], [], {"name": "One"}, {}],
    "extensions": [1, "{}", True, [], ["x"]],
}
NOT_JSON = {
    "nothing": b"",
    "text": b"query { __typename }",
    "a cut object": b'{"query": "{ __typename }"',
    "text behind it": b'{"query": "{ __typename }"} x',
    "NaN": b'{"query": "{ __typename }", "variables": {"first": NaN}}',
    "Infinity": b'{"query": "{ __typename }", "variables": {"first": Infinity}}',
    "a number without end": b'{"query": "{ __typename }", "variables": {"first": 1e999}}',
    "an integer without end": b'{"query": "{ __typename }", "variables": {"first": 1%s}}' % (b"0" * 5000),
    "invalid UTF-8": b'{"query": "{ __typename } # \xff"}',
    "half a surrogate pair": b'{"query": "{ __typename } # \\ud800"}',
    "UTF-16": '{"query": "{ __typename }"}'.encode("utf-16"),
    "nesting without end": b"[" * 100_000,
    "variables without end": b'{"query": "{ __typename }", "variables": {"first":' + b"[" * 60_000,
}
REQUEST_ERRORS = {
    "syntax": ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
    "validation": ({"query": "{ notThere }"}, "GRAPHQL_VALIDATION_FAILED"),
    "coercion": ({"query": QUERY, "variables": {"first": "many"}}, "BAD_USER_INPUT"),
    "missing variable": ({"query": "query ($id: ID!) { job(id: $id) { id } }"}, "BAD_USER_INPUT"),
    "unknown operation": ({**SIMPLE, "operationName": "NotThere"}, "OPERATION_RESOLUTION_FAILURE"),
    "several operations": ({"query": TWO_OPERATIONS}, "OPERATION_RESOLUTION_FAILURE"),
    "only a fragment": ({"query": "fragment F on Query { __typename }"}, None),
    "too deep": ({"query": "{ jobs " + "{ edges { node " * 10 + "{ id }" + " } }" * 10 + " }"}, "QUERY_TOO_COMPLEX"),
}
VALUES_OF_NO_JOB = [10**18, -(10**18), 2**31, 10**400, 1.5, "1", True, [1], {"a": 1}]


# --- what is accepted and what is answered ---


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL_JSON, GRAPHQL_JSON),
        (f"{GRAPHQL_JSON}, {JSON}", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON};q=0.5, {JSON};q=0.9", JSON),
        (f"{JSON};q=0.5, {GRAPHQL_JSON};q=0.9", GRAPHQL_JSON),
        (f"text/html, {GRAPHQL_JSON};charset=utf-8", GRAPHQL_JSON),
        ("text/html, */*;q=0.1", JSON),
    ],
)
async def test_answer_has_the_media_type_that_was_asked_for(api: Api, accept: str | None, answered: str) -> None:
    response = await api.post(SIMPLE, accept=accept)
    assert response.status_code == 200
    assert response.headers["content-type"] == f"{answered}; charset=utf-8"
    assert response.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("accept", ["text/html", "image/*", f"{JSON};q=0", "nonsense"])
async def test_unknown_answer_types_are_not_acceptable(api: Api, accept: str) -> None:
    response = await api.post(SIMPLE, accept=accept)
    assert response.status_code == 406
    assert codes_of(response.json()) == ["BAD_REQUEST"]


@pytest.mark.parametrize("content_type", [JSON, f"{JSON}; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
async def test_json_in_utf8_is_accepted(api: Api, content_type: str) -> None:
    body = json.dumps({"query": '{ jobs(filter: {search: "ünïcødé ☃"}) { totalCount } }'}, ensure_ascii=False).encode()
    response = await api.post(body, headers={"Content-Type": content_type})
    assert response.json() == {"data": {"jobs": {"totalCount": 0}}}


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/graphql",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        f"{JSON}; charset=utf-16",
        f"text/plain; {JSON}",
    ],
)
async def test_any_other_body_is_an_unsupported_media_type(api: Api, content_type: str) -> None:
    response = await api.post(json.dumps(SIMPLE).encode(), headers={"Content-Type": content_type})
    assert response.status_code == 415
    assert codes_of(response.json()) == ["BAD_REQUEST"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def test_other_methods_are_told_which_are_allowed(api: Api, method: str) -> None:
    response = await api.http.request(method, "/graphql", headers={"Accept": JSON})
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"


async def test_null_parameters_are_like_absent_ones(api: Api) -> None:
    body = {**SIMPLE, "variables": None, "operationName": None, "extensions": None}
    assert (await api.post(body)).json() == {"data": {"__typename": "Query"}}


async def test_maps_are_accepted_where_maps_belong(api: Api) -> None:
    body = {"query": QUERY, "operationName": "Named", "variables": {"first": 1}, "extensions": {"any": {"thing": 1}}}
    response = await api.post(body, accept=GRAPHQL_JSON)
    assert response.status_code == 200
    assert isinstance(response.json()["data"]["jobs"]["totalCount"], int)


# --- request errors ---


@pytest.mark.parametrize("what", REQUEST_ERRORS)
async def test_request_error_is_400_without_data_for_a_modern_client(api: Api, what: str) -> None:
    body, code = REQUEST_ERRORS[what]
    response = await api.post(body, accept=GRAPHQL_JSON)
    assert response.status_code == 400
    assert response.headers["content-type"] == f"{GRAPHQL_JSON}; charset=utf-8"
    assert "data" not in response.json()
    assert code is None or codes_of(response.json()) == [code]
    assert all(error["message"] for error in response.json()["errors"])


@pytest.mark.parametrize("what", REQUEST_ERRORS)
async def test_request_error_is_200_without_data_for_an_older_client(api: Api, what: str) -> None:
    body, code = REQUEST_ERRORS[what]
    response = await api.post(body, accept=JSON)
    assert response.status_code == 200
    assert "data" not in response.json()
    assert code is None or codes_of(response.json()) == [code]


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON])
@pytest.mark.parametrize("what", NOT_JSON)
async def test_what_is_not_json_is_400(api: Api, what: str, accept: str) -> None:
    response = await api.post(NOT_JSON[what], accept=accept)
    assert response.status_code == 400
    assert codes_of(response.json()) == ["BAD_REQUEST"]
    assert "data" not in response.json()


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON])
@pytest.mark.parametrize(
    ("parameter", "value"), [(name, value) for name, values in WRONG_SHAPES.items() for value in values]
)
async def test_parameter_of_the_wrong_shape_is_400(api: Api, parameter: str, value: object, accept: str) -> None:
    response = await api.post({**SIMPLE, parameter: value}, accept=accept)
    assert response.status_code == 400
    assert codes_of(response.json()) == ["BAD_REQUEST"]
    assert "data" not in response.json()


@pytest.mark.parametrize("body", [[], [SIMPLE], [SIMPLE, SIMPLE], None, 1, "x", True])
async def test_body_that_is_no_object_is_400_and_batches_are_refused(api: Api, body: object) -> None:
    response = await api.post(json.dumps(body).encode())
    assert response.status_code == 400
    assert codes_of(response.json()) == ["BAD_REQUEST"]


@pytest.mark.parametrize("body", [{}, {"query": None}, {"query": ""}, {"id": "x"}, {"extensions": {}}])
async def test_missing_query_is_400(api: Api, body: dict[str, Any]) -> None:
    response = await api.post(body)
    assert response.status_code == 400
    assert codes_of(response.json()) == ["BAD_REQUEST"]


@pytest.mark.parametrize("value", VALUES_OF_NO_JOB, ids=lambda value: str(value)[:20])
async def test_values_out_of_range_are_user_errors_and_no_fault(api: Api, value: object) -> None:
    ways = [
        ("query ($v: Int) { jobs(first: $v) { totalCount } }", "v"),
        ("mutation ($v: GenerateImageInput!) { generateImage(input: $v) { errors { __typename } } }", "guidanceScale"),
        ("mutation ($v: GenerateImageInput!) { generateImage(input: $v) { errors { __typename } } }", "seed"),
        ("mutation ($v: GenerateImageInput!) { generateImage(input: $v) { errors { __typename } } }", "steps"),
    ]
    for query, field in ways:
        # An empty prompt, so that no value that happens to be in range queues a job.
        variables = {"v": value} if field == "v" else {"v": {"prompt": "", field: value}}
        answer = await api.graphql(query, variables)
        assert "errors" not in answer or codes_of(answer) == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("literal", ["1e999", "-1e999", "1" + "0" * 400, "1" + "0" * 5000, "99999999999"])
async def test_literals_out_of_range_are_request_errors_and_no_fault(api: Api, literal: str) -> None:
    for field in ("guidanceScale", "seed", "steps"):
        query = 'mutation { generateImage(input: {prompt: "", FIELD: VALUE}) { errors { __typename } } }'
        answer = await api.graphql(query.replace("FIELD", field).replace("VALUE", literal))
        if "errors" in answer:
            assert set(codes_of(answer)) <= {"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "BAD_USER_INPUT"}
        else:
            assert answer["data"]["generateImage"]["errors"] == [{"__typename": "InvalidInputError"}]


@pytest.mark.parametrize(
    "opening, closing", [("{ ... ", " }"), ("{ jobs(filter: {modelIds: [", "]}) { totalCount } }")]
)
async def test_nesting_of_any_depth_is_answered(api: Api, opening: str, closing: str) -> None:
    for depth in (*range(20, 480, 20), 900):
        if "jobs" in opening:
            query = opening + "[" * depth + "]" * depth + closing
        else:
            query = "{ ... " * depth + "{ __typename }" + " }" * depth
        response = await api.post({"query": query})
        assert response.status_code == 200, depth
        answer = response.json()
        assert "errors" not in answer or "INTERNAL_SERVER_ERROR" not in codes_of(answer), depth


async def test_fragments_that_spread_each_other_cost_no_time(api: Api) -> None:
    fragments = [f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(40)]
    query = "{ ...F0 } " + " ".join(fragments) + " fragment F40 on Query { __typename }"
    async with asyncio.timeout(10):
        answer = await api.graphql(query)
    assert "errors" not in answer or codes_of(answer) == ["QUERY_TOO_COMPLEX"]


async def test_fragments_in_a_circle_are_a_validation_error(api: Api) -> None:
    answer = await api.graphql("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }")
    assert codes_of(answer) == ["GRAPHQL_VALIDATION_FAILED"]


@pytest.mark.parametrize(
    "query",
    [
        "{ " + " ".join(f"a{n}: __typename" for n in range(31)) + " }",
        "{ " + "__typename " * 21 + " }",
        "{ __typename " + "@include(if: true) " * 9 + " }",
        "{ " + "__typename " * 1001 + " }",
    ],
    ids=["aliases", "root fields", "directives", "tokens"],
)
async def test_limits_of_a_document_have_a_code_of_their_own(api: Api, query: str) -> None:
    assert codes_of(await api.graphql(query)) == ["QUERY_TOO_COMPLEX"]


# --- operations and their names ---


async def test_name_picks_one_of_several_operations(api: Api) -> None:
    for name, data in (("One", {"one": "Query"}), ("Two", {"two": "Query"})):
        response = await api.post({"query": TWO_OPERATIONS, "operationName": name})
        assert response.json() == {"data": data}


@pytest.mark.parametrize("name", ["", "one", "Three", "x" * 5000])
async def test_name_that_picks_none_runs_none(api: Api, name: str) -> None:
    response = await api.post({"query": TWO_OPERATIONS, "operationName": name})
    assert codes_of(response.json()) == ["OPERATION_RESOLUTION_FAILURE"]
    assert len(response.content) < 1000


async def test_subscription_needs_a_transport_that_streams(api: Api) -> None:
    for accept in (JSON, GRAPHQL_JSON):
        response = await api.post({"query": "subscription { jobsUpdated { cursor } }"}, accept=accept)
        assert response.status_code == 400
        assert codes_of(response.json()) == ["BAD_REQUEST"]
        assert "data" not in response.json()


# --- GET ---


async def test_query_over_get_is_answered(api: Api) -> None:
    parameters = {"query": QUERY, "variables": '{"first": 1}', "operationName": "Named", "extensions": '{"a": 1}'}
    response = await api.get(parameters, accept=GRAPHQL_JSON)
    assert response.status_code == 200
    assert "errors" not in response.json()


@pytest.mark.parametrize(
    "headers",
    [
        {"GraphQL-Require-Preflight": "1"},
        {"Apollo-Require-Preflight": "1"},
        {"X-Requested-With": "XMLHttpRequest"},
        {"Content-Type": JSON},
        {"Sec-Fetch-Site": "same-origin"},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_get_with_a_header_that_no_link_can_send_is_answered(api: Api, headers: dict[str, str]) -> None:
    assert (await api.get(SIMPLE, headers=headers)).json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Content-Type": "text/plain"}])
@pytest.mark.parametrize("accept", [JSON, "text/event-stream", "*/*"])
async def test_get_without_such_a_header_runs_nothing(api: Api, headers: dict[str, str], accept: str) -> None:
    response = await api.get(SIMPLE, headers=headers, accept=accept)
    assert response.status_code == 400
    assert codes_of(response.json()) == ["BAD_REQUEST"]


async def test_mutation_over_get_is_not_allowed(api: Api) -> None:
    for accept in (JSON, GRAPHQL_JSON):
        response = await api.get({"query": CANCEL_NOTHING}, accept=accept)
        assert response.status_code == 405
        assert response.headers["allow"] == "POST"
        assert codes_of(response.json()) == ["BAD_REQUEST"]


@pytest.mark.parametrize(
    "query",
    [
        'mutation { generateImage(input: {prompt: "p", reference: "REF"}) { errors { __typename } } }',
        'subscription { generateImage(input: {prompt: "p", reference: "REF", idempotencyKey: "REF"}) { cursor } }',
    ],
    ids=["mutation", "one-shot subscription"],
)
async def test_nothing_can_be_queued_over_get_with_events(api: Api, query: str) -> None:
    before = await api.total()
    parameters = {"query": query.replace("REF", secrets.token_hex(8))}
    url, headers = "/graphql", {"Accept": "text/event-stream", "GraphQL-Require-Preflight": "1"}
    async with api.http.stream("GET", url, params=parameters, headers=headers) as response:
        answer = "".join([text async for text in response.aiter_text()])
    assert await api.total() == before
    assert "BAD_REQUEST" in answer


@pytest.mark.parametrize("accept", [JSON, "*/*"])
async def test_get_without_a_query_is_400(api: Api, accept: str) -> None:
    assert (await api.get({}, accept=accept)).status_code == 400


@pytest.mark.parametrize(
    "parameters",
    [
        {"variables": "{"},
        {"variables": "[]"},
        {"variables": "1"},
        {"variables": '"x"'},
        {"extensions": "nonsense"},
        {"extensions": "[1]"},
        {"variables": '{"first": NaN}'},
        {"variables": "[" * 5000},
    ],
    ids=str,
)
async def test_get_with_wrong_parameters_is_400(api: Api, parameters: dict[str, str]) -> None:
    response = await api.get({"query": QUERY, **parameters})
    assert response.status_code == 400
    assert codes_of(response.json()) == ["BAD_REQUEST"]


# --- sizes ---


async def test_body_over_the_limit_is_413_when_announced(api: Api) -> None:
    response = await api.post({"query": "{ __typename }" + " " * 140_000})
    assert response.status_code == 413
    assert codes_of(response.json()) == ["BAD_REQUEST"]


async def test_body_over_the_limit_is_413_when_not_announced(api: Api) -> None:
    async def chunks() -> Any:
        for _ in range(20):
            yield b" " * 10_000

    response = await api.http.post("/graphql", content=chunks(), headers={"Content-Type": JSON})
    assert response.status_code == 413


async def test_body_just_under_the_limit_is_read(api: Api) -> None:
    body = json.dumps(SIMPLE).encode()
    response = await api.post(body + b" " * (128 * 1024 - len(body)))
    assert response.json() == {"data": {"__typename": "Query"}}


# --- who may ask ---


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[", "a b"]
)
async def test_strange_host_names_are_misdirected(api: Api, host: str) -> None:
    response = await api.post(SIMPLE, headers={"Host": host})
    assert response.status_code == 421
    assert "data" not in response.json()


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "LOCALHOST", "127.0.0.1", "[::1]", "[::1]:8000"])
async def test_own_host_names_are_answered(api: Api, host: str) -> None:
    assert (await api.post(SIMPLE, headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1", "nonsense"]
)
async def test_pages_of_other_origins_are_forbidden(api: Api, origin: str) -> None:
    for method, path in (("POST", "/graphql"), ("GET", "/graphql"), ("POST", "/text2image"), ("OPTIONS", "/graphql")):
        response = await api.http.request(method, path, headers={"Origin": origin, "Content-Type": JSON}, content=b"{}")
        assert response.status_code == 403, (method, path)
        assert "access-control-allow-origin" not in response.headers


async def test_pages_of_the_own_origin_are_answered(api: Api) -> None:
    origin = str(api.http.base_url).rstrip("/")
    assert (await api.post(SIMPLE, headers={"Origin": origin})).status_code == 200


async def test_allowed_origins_and_hosts_are_let_in(start_server: StartServer) -> None:
    server = start_server(allowed_origins="https://app.example", allowed_hosts="api.example,127.0.0.1")
    async with Api(server.origin) as api:
        headers = {"Origin": "https://app.example", "Host": "api.example"}
        response = await api.post(SIMPLE, headers=headers)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "https://app.example"
        preflight = await api.http.options(
            "/graphql",
            headers={
                **headers,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type",
            },
        )
        assert preflight.status_code == 200
        assert "POST" in preflight.headers["access-control-allow-methods"]
        assert (await api.post(SIMPLE, headers={"Origin": "https://evil.example"})).status_code == 403
        assert (await api.post(SIMPLE, headers={"Host": "localhost"})).status_code == 421


# --- faults, and what the log may say ---


async def test_fault_is_masked_and_has_a_code(start_server: StartServer) -> None:
    server = start_server()
    async with Api(server.origin) as api:
        await api.finished((await api.generate())["id"])
        for path in server.data_dir.glob("jobs.sqlite3*"):
            path.write_bytes(b"this is no database" * 1000)
        response = await api.post({"query": '{ jobs(filter: {search: "a secret prompt"}) { totalCount } }'})
        assert response.status_code == 200
        answer = response.json()
        assert codes_of(answer)[0] in ("INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE")
        for word in ("sqlite", "database", "disk", str(server.data_dir), "Traceback"):
            assert word not in answer["errors"][0]["message"]
        assert (await api.http.get("/healthz")).status_code == 200
    assert "a secret prompt" not in server.log


async def test_log_holds_no_prompt(api: Api, shared_server: ServerProcess) -> None:
    secret = secrets.token_hex(16)
    await api.finished((await api.generate(prompt=f"a prompt {secret}", negativePrompt=secret, reference=secret))["id"])
    await api.try_to_generate(prompt=secret * 100)
    await api.graphql(f'{{ jobs(filter: {{search: "{secret}"}}) {{ nothing }} }}')
    await api.graphql(f'{{ jobs(filter: {{search: "{secret}"')
    await api.graphql(GENERATE, {"input": {"prompt": secret, "seed": secret}})
    await api.http.get("/text2image", params={"prompt": secret, "width": "65", "height": "64"})
    await api.http.get("/graphql", params={"query": f'{{ job(id: "{secret}") {{ id }} }}'})
    assert secret not in shared_server.log

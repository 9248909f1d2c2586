"""IDs, nodes and pages, as Relay wants them; and what a list does with nonsense."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.clients.graphql_http import Api, codes_of, new_key
from tests.clients.server_process import ServerProcess

UUID = "0199c0de-0000-7000-8000-000000000001"
PAGE = """
query Page($first: Int, $after: String, $last: Int, $before: String, $filter: JobFilter) {
  jobs(first: $first, after: $after, last: $last, before: $before, filter: $filter) {
    totalCount
    edges { cursor node { id createdAt status } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"
NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


NO_IDS = [
    "",
    " ",
    "x",
    "====",
    "ü☃",
    UUID,
    encoded("GenerationJob"),
    encoded("GenerationJob:"),
    encoded("GenerationJob:x"),
    encoded(f"GenerationJob:{UUID}"),
    encoded(f"GenerationJob:{UUID}:1"),
    encoded("Image:x/0"),
    encoded(f"Image:{UUID}/0"),
    encoded(f"Image:{UUID}/-1"),
    encoded(f"Image:{UUID}/99999999999999999999"),
    encoded("Model:no such model"),
    encoded("Style:no such style"),
    encoded("Query:x"),
    encoded("JobFilter:x"),
    encoded(":"),
    base64.b64encode(b"\xff\xfe:\x00").decode(),
    "A" * 10_000,
    "25785",
]
NO_CURSORS = ["", "x", "====", "ü☃", encoded("j1:1"), encoded("j1:x:y"), encoded(f"j1:{'9' * 18}:{UUID}"), "A" * 5000]


class Library:
    """Thirty jobs of one test; `ids` newest first."""

    def __init__(self, api: Api, word: str, ids: list[str]) -> None:
        self.api = api
        self.word = word
        self.ids = ids

    async def page(self, **arguments: Any) -> dict[str, Any]:
        """A page of these jobs."""
        job_filter = {"search": self.word, **arguments.pop("filter", {})}
        page: dict[str, Any] = (await self.api.data(PAGE, {**arguments, "filter": job_filter}))["jobs"]
        return page

    async def ids_of(self, **arguments: Any) -> list[str]:
        """The IDs of a page."""
        return [edge["node"]["id"] for edge in (await self.page(**arguments))["edges"]]


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return {}


@pytest.fixture
async def library(api: Api, shared_server: ServerProcess, made: dict[str, Any]) -> AsyncIterator[Library]:
    """Made by the first test that wants it. Most are canceled, so that it takes no time."""
    if not made:
        made["word"] = new_key()
        made["ids"] = []
        blockers = [await api.generate(steps=100) for _ in range(2)]
        for _ in range(30):
            made["ids"].insert(0, (await api.generate(prompt=f"a library {made['word']} of 50% of_all Ünïcode"))["id"])
        for job_id in made["ids"][2:] + [blocker["id"] for blocker in blockers]:
            await api.cancel(job_id)
        for job_id in made["ids"][:2]:
            await api.finished(job_id)
    yield Library(api, made["word"], made["ids"])


# --- nodes ---


async def test_every_object_is_found_by_its_id(api: Api) -> None:
    job = await api.finished((await api.generate(style="anime"))["id"])
    listed = await api.data("{ models { id } styles { id } }")
    ids = {
        "GenerationJob": job["id"],
        "Image": job["images"][0]["id"],
        "Model": listed["models"][0]["id"],
        "Style": listed["styles"][0]["id"],
    }
    for type_name, node_id in ids.items():
        assert (await api.data(NODE, {"id": node_id}))["node"] == {"__typename": type_name, "id": node_id}
    found = (await api.data(NODES, {"ids": [*ids.values(), "x", *ids.values()]}))["nodes"]
    expected = [{"__typename": type_name, "id": node_id} for type_name, node_id in ids.items()]
    assert found == [*expected, None, *expected]


@pytest.mark.parametrize("node_id", NO_IDS, ids=lambda value: value[:16])
async def test_id_of_nothing_is_null(api: Api, node_id: str) -> None:
    assert await api.data(NODE, {"id": node_id}) == {"node": None}
    assert await api.data(NODES, {"ids": [node_id, node_id]}) == {"nodes": [None, None]}
    assert await api.data("query ($id: ID!) { job(id: $id) { id } model(id: $id) { id } }", {"id": node_id}) == {
        "job": None,
        "model": None,
    }


async def test_number_is_an_id_too(api: Api) -> None:
    assert await api.data("{ node(id: 25785) { id } nodes(ids: [0, -1]) { id } }") == {
        "node": None,
        "nodes": [None, None],
    }


async def test_id_of_another_type_is_not_found(api: Api) -> None:
    job = await api.generate()
    listed = await api.data("{ models { id } styles { id } }")
    query = "query ($job: ID!, $model: ID!) { job(id: $model) { id } model(id: $job) { id } }"
    assert await api.data(query, {"job": job["id"], "model": listed["models"][0]["id"]}) == {"job": None, "model": None}


async def test_nodes_are_at_most_a_hundred(api: Api) -> None:
    assert len((await api.data(NODES, {"ids": ["x"] * 100}))["nodes"]) == 100
    assert codes_of(await api.graphql(NODES, {"ids": ["x"] * 101})) == ["BAD_USER_INPUT"]
    assert (await api.data(NODES, {"ids": []}))["nodes"] == []


async def test_model_says_what_it_is_and_what_it_takes(api: Api) -> None:
    query = """{ models { name isDefault availability description license
      limits { maxCount maxDimension maxPromptLength maxSteps sizeMultiple }
      defaults { width height steps guidanceScale } } }"""
    (model,) = (await api.data(query))["models"]
    assert (model["name"], model["isDefault"], model["availability"]) == ("sketch", True, "READY")
    assert "not a diffusion model" in model["description"]
    assert model["limits"]["sizeMultiple"] == 8
    assert model["defaults"]["width"] <= model["limits"]["maxDimension"]


# --- pages ---


async def test_pages_forward_have_every_job_once(library: Library) -> None:
    found: list[str] = []
    arguments: dict[str, Any] = {"first": 7}
    while True:
        page = await library.page(**arguments)
        assert page["totalCount"] == 30
        found += [edge["node"]["id"] for edge in page["edges"]]
        info = page["pageInfo"]
        assert (info["startCursor"], info["endCursor"]) == (page["edges"][0]["cursor"], page["edges"][-1]["cursor"])
        assert info["hasPreviousPage"] is (len(found) > 7)
        if not info["hasNextPage"]:
            break
        arguments["after"] = info["endCursor"]
    assert found == library.ids


async def test_pages_backward_have_every_job_once(library: Library) -> None:
    found: list[str] = []
    arguments: dict[str, Any] = {"last": 7}
    while True:
        page = await library.page(**arguments)
        found = [edge["node"]["id"] for edge in page["edges"]] + found
        assert page["pageInfo"]["hasNextPage"] is (len(found) > 7)
        if not page["pageInfo"]["hasPreviousPage"]:
            break
        arguments["before"] = page["pageInfo"]["startCursor"]
    assert found == library.ids


async def test_between_two_cursors_is_what_lies_between(library: Library) -> None:
    edges = (await library.page(first=30))["edges"]
    after, before = edges[4]["cursor"], edges[10]["cursor"]
    assert await library.ids_of(after=after, before=before) == library.ids[5:10]
    assert await library.ids_of(after=after, before=before, first=2) == library.ids[5:7]
    assert await library.ids_of(after=after, before=before, last=2) == library.ids[8:10]
    assert await library.ids_of(after=before, before=after) == []
    assert await library.ids_of(after=edges[-1]["cursor"]) == []
    assert await library.ids_of(before=edges[0]["cursor"]) == []


async def test_page_does_not_shift_when_jobs_are_added_or_deleted(api: Api) -> None:
    word = new_key()
    ids = [(await api.generate(prompt=word))["id"] for _ in range(4)][::-1]
    library = Library(api, word, ids)
    first = await library.page(first=2)
    await api.generate(prompt=f"{word} again")
    await api.delete(ids[1])
    assert await library.ids_of(first=2, after=first["pageInfo"]["endCursor"]) == ids[2:]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({}, 20),
        ({"first": None, "last": None}, 20),
        ({"first": 0}, 0),
        ({"last": 0}, 0),
        ({"first": -5}, 0),
        ({"last": -(2**31)}, 0),
        ({"first": 101}, 30),
        ({"first": 2**31 - 1}, 30),
        ({"last": 2850082}, 30),
        ({"first": 3, "last": 5}, 3),
    ],
    ids=str,
)
async def test_page_sizes_are_brought_within_bounds(library: Library, arguments: dict[str, Any], count: int) -> None:
    page = await library.page(**arguments)
    assert len(page["edges"]) == count
    assert page["totalCount"] == 30
    if not count:
        assert page["pageInfo"]["startCursor"] is None and page["pageInfo"]["endCursor"] is None


async def test_page_has_at_most_a_hundred_jobs(api: Api) -> None:
    for _ in range(max(0, 101 - await api.total())):
        await api.generate()
    page = (await api.data(PAGE, {"first": 1000}))["jobs"]
    assert len(page["edges"]) == 100
    assert page["totalCount"] > 100 and page["pageInfo"]["hasNextPage"] is True


@pytest.mark.parametrize("cursor", NO_CURSORS, ids=lambda value: value[:16])
async def test_cursor_that_is_none_counts_as_none(library: Library, cursor: str) -> None:
    assert await library.ids_of(first=3, after=cursor) == library.ids[:3]
    assert await library.ids_of(last=3, before=cursor) == library.ids[-3:]


# --- filters ---


async def test_statuses_narrow_the_list(library: Library) -> None:
    assert await library.ids_of(filter={"statuses": ["SUCCEEDED"]}) == library.ids[:2]
    assert await library.ids_of(first=50, filter={"statuses": ["SUCCEEDED", "CANCELED"]}) == library.ids
    assert (await library.page(filter={"statuses": ["CANCELED"]}))["totalCount"] == 28
    assert (await library.page(filter={"statuses": ["FAILED"]}))["totalCount"] == 0
    assert (await library.page(filter={"statuses": []}))["totalCount"] == 30


async def test_models_narrow_the_list(library: Library) -> None:
    model_id = (await library.api.data("{ models { id } }"))["models"][0]["id"]
    for given, count in (([model_id], 30), (["sketch"], 30), (["x"], 0), (["x", model_id], 30), ([], 30)):
        assert (await library.page(filter={"modelIds": given}))["totalCount"] == count, given


async def test_instants_narrow_the_list(library: Library) -> None:
    edges = (await library.page(first=30))["edges"]
    middle = edges[10]["node"]["createdAt"]
    assert await library.ids_of(first=30, filter={"createdAfter": middle}) == library.ids[:11]
    assert await library.ids_of(first=30, filter={"createdBefore": middle}) == library.ids[11:]
    shifted = (datetime.fromisoformat(middle) + timedelta(hours=2)).replace(tzinfo=None).isoformat() + "+02:00"
    assert await library.ids_of(first=30, filter={"createdAfter": shifted}) == library.ids[:11]
    for extreme in ("0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z"):
        assert (await library.page(filter={"createdAfter": extreme}))["totalCount"] == 30
    assert (await library.page(filter={"createdAfter": "9999-12-31T23:59:59Z"}))["totalCount"] == 0


@pytest.mark.parametrize(
    "instant",
    ["", "yesterday", "2026-13-01T00:00:00Z", "2026-11-22T10:00:00", "0001-01-01T00:00:00+23:59", 1, True, []],
    ids=str,
)
async def test_instant_that_is_none_is_a_bad_request(api: Api, instant: object) -> None:
    answer = await api.graphql(PAGE, {"filter": {"createdAfter": instant}})
    assert codes_of(answer) == ["BAD_USER_INPUT"]


@pytest.mark.parametrize(
    ("search", "is_found"),
    [
        ("LIBRARY", True),
        ("of 50% of_all", True),
        ("ünïCODE", True),
        ("of 50_", False),
        ("%", True),
        ("lib%ry", False),
        ("of*all", False),
        ("a library  ", False),
        ("' OR 1=1 --", False),
        ("\\", False),
        ("\0", False),
        ("", True),
        ("x" * 3000, False),
    ],
)
async def test_search_looks_for_the_text_as_it_is(library: Library, search: str, is_found: bool) -> None:
    job_filter = {"search": search, "statuses": ["SUCCEEDED"]}
    page = (await library.api.data(PAGE, {"first": 100, "filter": job_filter}))["jobs"]
    found = {edge["node"]["id"] for edge in page["edges"]}
    assert (library.ids[0] in found) is is_found

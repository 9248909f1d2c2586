"""Trusted documents: the files of three compilers, how requests name them, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from strawberry.exceptions import MissingQueryError

from graphql_api.schema import schema
from graphql_api.schema.documents import DocumentRules
from graphql_api.schema.execution import JobSchema
from graphql_api.schema.limits import QueryLimits
from graphql_api.schema.trusted import TrustedDocuments, read_trusted_documents

TEXT = "query Kind { __typename }"
OTHER = "query Other { other: __typename }"
DIGEST = hashlib.sha256(TEXT.encode()).hexdigest()
RELAY = {"5d41402abc4b2a76b9719d911017c592": TEXT, "other": OTHER}
APOLLO = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [
        {"id": DIGEST, "name": "Kind", "type": "query", "body": TEXT},
        {"id": "other", "name": "Other", "type": "query", "body": OTHER},
    ],
}


def written(folder: Path, content: object) -> Path:
    path = folder / "documents.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def serving(*, only_trusted: bool = False, **texts: str) -> JobSchema:
    trusted = TrustedDocuments.of(texts or {"kind": TEXT})
    return schema.with_rules(DocumentRules(trusted=trusted, only_trusted=only_trusted))


def persisted(digest: object = DIGEST, version: object = 1) -> dict[str, Any]:
    """What Apollo Client and urql send."""
    return {"persistedQuery": {"version": version, "sha256Hash": digest}}


async def answer(server: JobSchema, query: str | None, extensions: dict[str, Any] | None) -> Any:
    """The data, or code and message of the only error, which is the same over a transport of streams."""
    result = await server.execute(query, operation_extensions=extensions)
    results = [each async for each in await server.stream(query, operation_extensions=extensions)]
    assert [(each.data, each.errors and each.errors[0].formatted) for each in results] == [
        (result.data, result.errors and result.errors[0].formatted)
    ]
    if not result.errors:
        return result.data
    (error,) = result.errors
    assert error.path is None
    return str((error.extensions or {})["code"]), error.message


# --- files ---


@pytest.mark.parametrize("content", [RELAY, APOLLO], ids=["by ID", "a manifest of Apollo"])
def test_the_files_of_compilers_are_read(tmp_path: Path, content: object) -> None:
    documents = read_trusted_documents(written(tmp_path, content))

    assert documents.texts == {TEXT, OTHER}
    assert documents.find("other") == OTHER
    assert documents.find(DIGEST) == documents.find(f"sha256:{DIGEST}") == TEXT
    assert documents.find("missing") is None
    assert documents.find(TEXT) is None


def test_the_id_that_relay_gives_finds_its_document(tmp_path: Path) -> None:
    assert read_trusted_documents(written(tmp_path, RELAY)).find("5d41402abc4b2a76b9719d911017c592") == TEXT


def test_an_id_called_operations_is_an_id(tmp_path: Path) -> None:
    assert read_trusted_documents(written(tmp_path, {"operations": TEXT})).find("operations") == TEXT


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ([], "must hold a JSON object"),
        ("null", "must hold a JSON object"),
        ({}, "holds no documents"),
        ({"a": 1}, "'a' does not"),
        ({"a": {"text": TEXT}}, "'a' does not"),
        ({"": TEXT}, "'' does not"),
        ({**APOLLO, "version": 2}, "must be a manifest"),
        ({**APOLLO, "format": "another"}, "must be a manifest"),
        ({**APOLLO, "operations": {}}, "must be a manifest"),
        ({**APOLLO, "operations": []}, "holds no documents"),
        ({**APOLLO, "operations": [{"id": "x"}]}, "operation 0 must have"),
        ({**APOLLO, "operations": ["x"]}, "operation 0 must have"),
        ({**APOLLO, "operations": [{"id": 1, "body": TEXT}]}, "operation 0 must have"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_file_that_is_none_is_told_with_the_name_of_the_setting(
    tmp_path: Path, content: object, problem: str
) -> None:
    with pytest.raises(ValueError, match="TEXT2IMAGE_DOCUMENTS") as caught:
        read_trusted_documents(written(tmp_path, content))
    assert problem in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(ValueError, match=r"TEXT2IMAGE_DOCUMENTS: .* cannot be read"):
            read_trusted_documents(path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not JSON"):
        read_trusted_documents(tmp_path / "binary.json")


@pytest.mark.parametrize("text", ["{ notThere }", "{", "", "fragment F on Query { __typename }", "{ models }"])
def test_a_document_that_does_not_fit_the_schema_is_told_at_the_start(text: str) -> None:
    with pytest.raises(ValueError, match="TEXT2IMAGE_DOCUMENTS"):
        serving(bad=text)


def test_only_trusted_documents_need_a_file() -> None:
    with pytest.raises(ValueError, match="TEXT2IMAGE_DOCUMENTS"):
        schema.with_rules(DocumentRules(only_trusted=True))


# --- requests ---


@pytest.mark.parametrize(
    "extensions",
    [
        {"documentId": "kind"},
        {"documentId": DIGEST},
        {"documentId": f"sha256:{DIGEST}"},
        persisted(),
        {**persisted(), "documentId": f"sha256:{DIGEST}"},
        {**persisted(), "any": {"thing": 1}},
    ],
    ids=str,
)
@pytest.mark.parametrize("query", [None, "", TEXT])
@pytest.mark.parametrize("only_trusted", [False, True])
async def test_a_document_is_run_by_its_id(extensions: dict[str, Any], query: str | None, only_trusted: bool) -> None:
    assert await answer(serving(only_trusted=only_trusted), query, extensions) == {"__typename": "Query"}


@pytest.mark.parametrize("extensions", [{"documentId": "missing"}, {"documentId": TEXT}, persisted("0" * 64)])
async def test_an_unknown_id_is_told_as_clients_expect_it(extensions: dict[str, Any]) -> None:
    expected = ("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound")
    assert await answer(serving(), None, extensions) == expected
    assert await answer(serving(only_trusted=True), None, extensions) == expected


@pytest.mark.parametrize("extensions", [{"documentId": "kind"}, persisted()])
async def test_a_server_without_documents_says_so(extensions: dict[str, Any]) -> None:
    assert await answer(schema, None, extensions) == ("PERSISTED_QUERY_NOT_SUPPORTED", "PersistedQueryNotSupported")


@pytest.mark.parametrize("server", [schema, serving()], ids=["without documents", "with documents"])
async def test_a_query_must_be_the_document_of_its_id(server: JobSchema) -> None:
    assert (await answer(server, OTHER, persisted()))[0] == "BAD_REQUEST"
    assert (await answer(server, OTHER, {"documentId": "kind"}))[0] == "BAD_REQUEST"
    assert await answer(server, TEXT, persisted()) == {"__typename": "Query"}


async def test_no_client_registers_a_document() -> None:
    server = serving()
    digest = hashlib.sha256(OTHER.encode()).hexdigest()

    assert await answer(server, OTHER, persisted(digest)) == {"other": "Query"}
    assert (await answer(server, None, persisted(digest)))[0] == "PERSISTED_QUERY_NOT_FOUND"


@pytest.mark.parametrize(
    "extensions",
    [
        {"persistedQuery": []},
        {"persistedQuery": "x"},
        {"persistedQuery": 1},
        {"persistedQuery": False},
        {"persistedQuery": {}},
        {"persistedQuery": {"version": 1}},
        {"persistedQuery": {"sha256Hash": DIGEST}},
        persisted(version=2),
        persisted(version="1"),
        persisted(version=True),
        persisted(version=None),
        persisted(version=[1]),
        persisted(digest=1),
        persisted(digest=None),
        persisted(digest=""),
        persisted(digest=[DIGEST]),
        {"documentId": 1},
        {"documentId": True},
        {"documentId": [DIGEST]},
        {"documentId": {}},
        {**persisted(), "documentId": "another"},
    ],
    ids=str,
)
@pytest.mark.parametrize("query", [None, TEXT])
async def test_parameters_of_the_wrong_shape_are_a_bad_request(extensions: dict[str, Any], query: str | None) -> None:
    assert (await answer(serving(), query, extensions))[0] == "BAD_REQUEST"


@pytest.mark.parametrize("extensions", [None, {}, {"persistedQuery": None}, {"documentId": None}, {"documentId": ""}])
async def test_neither_query_nor_id_is_a_missing_query(extensions: dict[str, Any] | None) -> None:
    with pytest.raises(MissingQueryError):
        await serving().execute(None, operation_extensions=extensions)


@pytest.mark.parametrize("query", [OTHER, f"{TEXT} ", "{", "{ notThere }", "{ __schema { types { name } } }"])
async def test_with_an_allow_list_nothing_else_is_run(query: str) -> None:
    expected = ("DOCUMENT_NOT_TRUSTED", "This server runs trusted documents only.")
    digest = hashlib.sha256(query.encode()).hexdigest()

    assert await answer(serving(only_trusted=True), query, None) == expected
    assert await answer(serving(only_trusted=True), query, persisted(digest)) == expected


async def test_a_text_that_is_equal_to_a_document_needs_no_id() -> None:
    assert await answer(serving(only_trusted=True), TEXT, None) == {"__typename": "Query"}


async def test_without_an_allow_list_other_queries_are_run() -> None:
    assert await answer(serving(), OTHER, None) == {"other": "Query"}


async def test_the_limits_of_size_are_not_for_trusted_documents() -> None:
    text = "{ " + " ".join(f"a{number}: __typename" for number in range(40)) + " }"
    limits = QueryLimits(tokens=50)
    trusting = schema.with_rules(DocumentRules(trusted=TrustedDocuments.of({"wide": text}), limits=limits))

    assert len(await answer(trusting, None, {"documentId": "wide"})) == 40
    assert (await answer(trusting, text.replace("a0", "b0"), None))[0] == "QUERY_TOO_COMPLEX"


async def test_a_trusted_document_may_cost_no_more_than_others() -> None:
    text = "query ($n: Int) { " + " ".join(f"a{n}: jobs(first: $n) {{ ...P }}" for n in range(20)) + " }"
    text += " fragment P on GenerationJobConnection { edges { node { id images { id url } } } }"
    server = serving(page=text)

    result = await server.execute(None, {"n": 100}, operation_extensions={"documentId": "page"})

    assert [(error.extensions or {})["code"] for error in result.errors or ()] == ["QUERY_TOO_COMPLEX"]


async def test_the_operation_of_a_document_is_picked_by_its_name() -> None:
    server = serving(both=f"{TEXT} {OTHER}")
    extensions = {"documentId": "both"}

    result = await server.execute(None, operation_name="Other", operation_extensions=extensions)

    assert result.data == {"other": "Query"}
    assert (await answer(server, None, extensions))[0] == "OPERATION_RESOLUTION_FAILURE"


def test_rules_share_the_schema_and_leave_it_as_it_was() -> None:
    server = schema.with_rules(DocumentRules(allows_introspection=False))

    assert server._schema is schema._schema
    assert server._documents.read("{ __schema { description } }").errors
    assert schema._documents.read("{ __schema { description } }").errors == ()

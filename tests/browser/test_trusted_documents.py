"""A server that runs trusted documents only, and the pages on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graphql_api.http.pages import STUDIO_DOCUMENTS
from tests.browser.conftest import OpenStudio
from tests.clients.graphql_http import Api
from tests.clients.server_process import StartServer


@pytest.fixture
def only_trusted(tmp_path: Path) -> dict[str, Any]:
    """Settings of a server that trusts one document of its owner."""
    path = tmp_path / "documents.json"
    path.write_text(json.dumps({"kind": "{ __typename }"}))
    return {"documents": str(path), "documents_only": "true"}


async def test_studio_works_where_only_trusted_documents_run(
    open_studio: OpenStudio, start_server: StartServer, only_trusted: dict[str, Any]
) -> None:
    server = start_server(**only_trusted)
    studio = await open_studio(server.origin)
    await studio.generate("a lighthouse")
    await studio.pictured("a lighthouse")


@pytest.mark.usefixtures("chromium")
async def test_operations_of_the_studio_are_trusted_only_with_the_studio(
    start_server: StartServer, only_trusted: dict[str, Any]
) -> None:
    texts = json.loads(STUDIO_DOCUMENTS.read_text()).values()
    server = start_server(studio="false", **only_trusted)
    async with Api(server.origin) as api:
        codes = {(await api.graphql(text))["errors"][0]["extensions"]["code"] for text in texts}
        assert codes == {"DOCUMENT_NOT_TRUSTED"}
        assert await api.data("{ __typename }") == {"__typename": "Query"}

"""What tools that others wrote say of schema.graphql: relay-compiler, graphql-eslint and graphql-inspector."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.node import FOLDER, javascript, node_environment, run_javascript

SCHEMA = FOLDER.parents[2] / "schema.graphql"
RELEASED = FOLDER / "schema.released.graphql"
OPERATIONS = (
    "componentsPageQuery",
    "componentsJobsPaginationQuery",
    "componentsJobRefetchQuery",
    "componentsGenerateMutation",
    "componentsDeleteMutation",
    "componentsJobSubscription",
    "componentsJobsSubscription",
)


@pytest.fixture
def relay_project(tmp_path: Path) -> Path:
    """A folder with components and the schema, as relay-compiler wants it."""
    shutil.copytree(FOLDER / "relay", tmp_path, dirs_exist_ok=True)
    shutil.copy(SCHEMA, tmp_path)
    return tmp_path


def compile_with_relay(project: Path) -> subprocess.CompletedProcess[str]:
    """Run relay-compiler."""
    command = [*javascript("node_modules/relay-compiler/cli.js"), "--noWatchman", "relay.config.json"]
    return subprocess.run(command, cwd=project, env=node_environment(), capture_output=True, text=True)


def test_relay_compiles_connections_refetching_edges_and_subscriptions(relay_project: Path) -> None:
    done = compile_with_relay(relay_project)
    assert done.returncode == 0, done.stdout
    for operation in OPERATIONS:
        assert (relay_project / "__generated__" / f"{operation}.graphql.js").is_file()


def test_relay_would_not_compile_against_a_schema_without_connections(relay_project: Path) -> None:
    schema = relay_project / "schema.graphql"
    schema.write_text(schema.read_text().replace("  pageInfo: PageInfo!\n", ""))
    assert compile_with_relay(relay_project).returncode != 0


def test_linter_finds_nothing() -> None:
    assert run_javascript("lint_schema.mjs", str(SCHEMA)) == []


def test_linter_would_find_a_type_without_a_description(tmp_path: Path) -> None:
    worse = tmp_path / "schema.graphql"
    worse.write_text(SCHEMA.read_text().replace('"""Width to height."""\n', "", 1))
    (finding,) = run_javascript("lint_schema.mjs", str(worse))
    assert "require-description" in finding


def test_no_change_since_the_release_breaks_a_client() -> None:
    assert run_javascript("compare_schemas.mjs", str(RELEASED), str(SCHEMA)) == []


def test_change_that_breaks_a_client_would_be_found(tmp_path: Path) -> None:
    worse = tmp_path / "schema.graphql"
    worse.write_text(SCHEMA.read_text().replace("blurHash: String!", "blurHash: String", 1))
    (change,) = run_javascript("compare_schemas.mjs", str(RELEASED), str(worse))
    assert "blurHash" in change

"""docs/operations.md: its table of variables is that of Config, and what it quotes and names is there."""

from __future__ import annotations

import json
import re

import pytest

from graphql_api.adapters.job_store.migrations import SchemaTooNew
from graphql_api.settings import Settings
from infra.config import ENVIRONMENTS, PREFIX, Config, ConfigError, read_config
from infra.pages import DOCS, table_names, with_tables

ROOT = DOCS.parent
PAGE = (DOCS / "operations.md").read_text("utf-8")
TEXT = " ".join(PAGE.split())


def test_table_of_variables_is_what_the_code_says() -> None:
    assert table_names(PAGE) == ["variables"]
    assert with_tables(PAGE) == PAGE, "write the page anew: python -m infra.pages"


@pytest.mark.parametrize("name", Config.model_fields)
def test_variable_has_a_row_with_its_description(name: str) -> None:
    description = Config.model_fields[name].description
    assert description
    [row] = re.findall(rf"^\| `{PREFIX}{name.upper()}` \| (.*) \|$", PAGE, re.MULTILINE)
    assert row.endswith(description)
    for environment, values in ENVIRONMENTS.items():
        assert (f"{environment}: `" in row) == (name in values)


def test_variables_that_the_text_names_are_there() -> None:
    pages = PAGE + (DOCS / "cost.md").read_text("utf-8")
    # The typo is one that is quoted.
    named = set(re.findall(rf"\b{PREFIX}([A-Z_]+[A-Z])\b", pages)) - {"ENVIROMENT"}
    assert {name.lower() for name in named} <= Config.model_fields.keys()
    settings = set(re.findall(r"\bTEXT2IMAGE_([A-Z_]+[A-Z])\b", pages))
    assert {name.lower() for name in settings} <= Settings.model_fields.keys()


def test_example_is_a_configuration() -> None:
    match = re.search(r"cat > deploy.env <<'END'\n(.*?)END\n", PAGE, re.DOTALL)
    assert match is not None
    config = read_config(dict(line.split("=", 1) for line in match[1].splitlines()))
    assert config.is_async
    assert config.instances_min == 0


@pytest.mark.parametrize(
    "environ",
    [{"DEPLOY_REGION": "us-east-1"}, {"DEPLOY_ENVIROMENT": "small"}],
    ids=["nothing draws", "a typo"],
)
def test_messages_of_ours_are_quoted_as_they_are(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as refused:
        read_config(environ)
    assert f"`Nothing was written: {refused.value}`" in PAGE


def test_refusal_of_a_newer_schema_is_quoted_as_it_is() -> None:
    assert f"`{SchemaTooNew(3, 2)}`" in TEXT


def test_page_names_the_cdk_that_is_pinned() -> None:
    package = json.loads((ROOT / "infra" / "package.json").read_text())
    assert f"`aws-cdk` {package['devDependencies']['aws-cdk']}" in PAGE


def test_links_within_the_pages_lead_somewhere() -> None:
    for name in ("operations.md", "cost.md"):
        page = (DOCS / name).read_text("utf-8")
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page):
            path = DOCS / target if target else DOCS / name
            assert path.exists(), target
            if anchor:
                heads = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
                assert anchor in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}, anchor


def test_page_says_first_that_nobody_has_deployed_it() -> None:
    assert "Nobody has deployed this to a real account yet" in PAGE.partition("## ")[0]

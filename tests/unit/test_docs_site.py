"""The pages that the site is built from: what they are made of is all there, and they hold together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from graphql import build_schema, is_introspection_type, is_specified_scalar_type
from pydantic.fields import FieldInfo

from docsite.__main__ import ROOT, pages, write
from docsite.links import settle_links
from docsite.markdown import prose, table, widen_lists
from docsite.plots import PLOTS, Plot, draw, with_plots
from docsite.schema_page import schema_page
from docsite.settings_page import default_of, kind_of, settings_page
from graphql_api.settings import Settings

SDL = (ROOT / "schema.graphql").read_text()
SCHEMA_PAGE = schema_page(SDL)
SETTINGS_PAGE = settings_page()
GRAPHQL = re.compile(r"```graphql\n(.*?)```", re.DOTALL)


def entry_at(page: str, anchor: str) -> str:
    """What the page has on the line of the anchor and, for a heading, in the paragraphs below it."""
    found = re.search(rf"^.*{{ #{re.escape(anchor)} }}.*(?:\n(?!#).*)*", page, re.MULTILINE)
    assert found, f"{anchor} is not on the page"
    return found[0].splitlines()[0] if found[0].startswith("|") else found[0]


# --- the schema ------------------------------------------------------------------------------------------------------


def test_every_type_is_there_with_all_its_parts_and_their_descriptions() -> None:
    roots = {"Query": "query-", "Mutation": "mutation-", "Subscription": "subscription-"}
    seen = 0
    for name, kind in build_schema(SDL).type_map.items():
        if is_introspection_type(kind) or is_specified_scalar_type(kind):
            continue
        prefix = roots.get(name, f"{name}.")
        if name not in roots:
            assert prose(kind.description or "") in entry_at(SCHEMA_PAGE, name)
        parts = getattr(kind, "fields", None) or getattr(kind, "values", {})
        for part, value in parts.items():
            entry = entry_at(SCHEMA_PAGE, f"{prefix}{part}")
            assert prose(value.description) in entry
            for argument, given in getattr(value, "args", {}).items():
                assert f"`{argument}`" in entry
                assert prose(given.description) in entry
            seen += 1

    assert seen > 200


def test_operations_come_before_types() -> None:
    titles = re.findall(r"^## (.*)$", SCHEMA_PAGE, re.MULTILINE)

    assert titles == [
        "Queries", "Mutations", "Subscriptions", "Objects", "Interfaces", "Unions", "Inputs", "Enums", "Scalars",
    ]  # fmt: skip


@pytest.mark.parametrize("page", [SCHEMA_PAGE, SETTINGS_PAGE], ids=["schema", "settings"])
def test_links_within_a_reference_lead_somewhere(page: str) -> None:
    anchors = re.findall(r"\{ #(\S+) \}", page)

    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) - set(anchors) == set()


def test_types_say_who_uses_them() -> None:
    entry = entry_at(SCHEMA_PAGE, "GenerateImageInput")

    assert "Used by [`query estimate`](#query-estimate), [`mutation generateImage`](#mutation-generateImage)" in entry


def test_defaults_deprecations_and_arguments_of_fields_are_told() -> None:
    page = schema_page(
        """
        type Query { shops: [Shop!]! }
        "A shop | a <stall>." type Shop {
          "Its name." name("At most." length: Int! = 20): String
          "Old." title: String @deprecated(reason: "Use `name`.")
        }
        "One way." input Way @oneOf { "By foot." foot: Int  "By car." car: Int }
        """
    )

    assert "Answers with [`[Shop!]!`](#Shop)." in page
    assert r"A shop | a \<stall\>." in page
    assert "| `name`{ #Shop.name } | `String` | Its name.<br>`length`: `Int!` = `20`. At most. |" in page
    assert "| `title`{ #Shop.title } | `String` | **Deprecated:** Use `name`. Old. |" in page
    assert "Exactly one of the fields is given" in entry_at(page, "Way")


# --- the settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_there_with_its_default(name: str) -> None:
    field = Settings.model_fields[name]
    entry = entry_at(SETTINGS_PAGE, name.upper())

    assert entry.startswith(f"### `TEXT2IMAGE_{name.upper()}` ")
    assert field.description
    default = default_of(field)
    assert (f"default `{default}`*" if default else "default: empty") in entry
    # Without markup, since names of other settings are links.
    assert re.sub(r"\W", "", field.description) in re.sub(r"\(#\w+\)|\W", "", entry)


def test_setting_that_is_in_no_group_is_an_error() -> None:
    with pytest.raises(ValueError, match="colour"):
        settings_page({**Settings.model_fields, "colour": FieldInfo(annotation=str, default="red")})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("database_connections", "whole number, from 2 to 1,000"),
        ("job_timeout", "number, above 0"),
        ("lease", "number, from 1 on"),
        ("auth", "one of `none`, `keys`, `jwt`"),
        ("allowed_hosts", "list, separated by commas"),
        ("explorer", "`true` or `false`"),
    ],
)
def test_kinds_and_ranges_of_settings_are_said_in_words(name: str, kind: str) -> None:
    assert kind_of(Settings.model_fields[name]) == kind


def test_other_names_of_a_setting_are_told() -> None:
    assert "also read from `AWS_REGION`, then `AWS_DEFAULT_REGION`" in entry_at(SETTINGS_PAGE, "AWS_REGION")


# --- plots -----------------------------------------------------------------------------------------------------------

TABLE = "| | product | baseline | |\n| --- | ---: | ---: | ---: |\n| rate | 1,000 (500 to 2,000) | 250 | 4.0 |\n"
PAGE = f"# Speed\n\n## How fast?\n\nIn short.\n\n{TABLE}\nWell.\n\n## How slow?\n\n{TABLE}"


def test_bars_are_as_long_as_the_figures_of_the_table() -> None:
    figure = draw(Plot(section="How fast?", rows={"rate": "more"}), TABLE)

    assert re.findall(r'class="(\w+)" x="0" y="\d+" width="([\d.]+%)"', figure) == [
        ("product", "50.00%"),
        ("baseline", "12.50%"),
    ]
    assert '<line x1="25.00%" x2="100.00%"' in figure
    assert 'aria-label="rate: product 1,000 (500 to 2,000); baseline 250"' in figure
    assert "more is better" in figure


def test_plot_stands_in_front_of_the_table_of_its_section() -> None:
    page = with_plots(PAGE, (Plot(section="How slow?", rows={"rate": "less"}),))

    before, after = page.split('<figure class="plot">')
    assert before == PAGE.removesuffix(TABLE)
    assert after.endswith(f"</figure>\n\n{TABLE}")


@pytest.mark.parametrize(
    ("section", "row"), [("How fast?", "no such row"), ("How", "rate"), ("Speed", "rate")], ids=["row", "part", "title"]
)
def test_plot_of_what_is_not_there_is_an_error(section: str, row: str) -> None:
    with pytest.raises(ValueError, match="No "):
        with_plots(PAGE, (Plot(section=section, rows={row: "more"}),))


def test_plot_of_words_is_an_error() -> None:
    with pytest.raises(ValueError, match="fast"):
        draw(Plot(section="How fast?", rows={"rate": "more"}), TABLE.replace("250", "fast"))


def test_benchmarks_have_their_plots() -> None:
    page = dict(pages(ROOT, ""))["benchmarks.md"]

    assert page.count('<figure class="plot">') == len(PLOTS)


# --- Markdown and links ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "place", "link", "settled"),
    [
        ("docs/cost.md", "cost.md", "[`infra/a.py`](../infra/a.py)", "[`infra/a.py`](https://host/blob/infra/a.py)"),
        ("docs/clients/a.md", "clients/a.md", "[b](../b.md#c)", "[b](../b.md#c)"),
        ("docs/clients/README.md", "clients/README.md", "[a](a.md)", "[a](a.md)"),
        ("CHANGELOG.md", "changelog.md", "[docs/a.md](docs/a.md)", "[docs/a.md](a.md)"),
        ("docs/a.md", "a.md", "[d](#e), [f](https://f.example/)", "[d](#e), [f](https://f.example/)"),
        ("docs/a.md", "a.md", "```js\nf[a](../b)\n```", "```js\nf[a](../b)\n```"),
    ],
)
def test_links_hold_on_the_site(source: str, place: str, link: str, settled: str) -> None:
    assert settle_links(link, source, place, "https://host/blob/") == settled


def test_files_of_a_repository_without_an_address_are_named() -> None:
    page = settle_links("[`infra/a.py`](../infra/a.py), [the script](../scripts/b)", "docs/cost.md", "cost.md", "")

    assert page == "`infra/a.py`, the script (`scripts/b`)"


def test_files_that_pages_lead_to_are_in_the_repository() -> None:
    named = {
        (ROOT / path.removeprefix("repository:/"))
        for _, page in pages(ROOT, "repository:/")
        for path in re.findall(r"\]\((repository:/[^)]+)\)", page)
    }

    assert named
    assert {path for path in named if not path.exists()} == set()


def test_parts_of_items_are_indented_by_four() -> None:
    page = "- a\n  b\n\n  ```sh\n  c\n  ```\n- d\n\ne\n\n```\n- f\n  g\n```\n"

    assert widen_lists(page) == "- a\n    b\n\n    ```sh\n    c\n    ```\n\n- d\n\ne\n\n```\n- f\n  g\n```\n"


def test_columns_that_are_empty_are_left_out() -> None:
    assert table(("a", "b", "c"), [("1", "", "x|y"), ("2", "", "`x|y`")]) == [
        "| a | c |", "| --- | --- |", r"| 1 | x\|y |", "| 2 | `x|y` |", "",
    ]  # fmt: skip
    assert table(("a",), []) == []


# --- the site as a whole ---------------------------------------------------------------------------------------------


def test_every_page_is_in_the_navigation_but_for_single_decisions() -> None:
    named = re.findall(r"^ +- [^:]+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    written = [place for place, _ in pages(ROOT, "") if not place.startswith("decisions/0")]

    assert sorted(named) == sorted(written)


def test_every_decision_is_in_the_list_of_decisions() -> None:
    listed = re.findall(r"\]\((\d{4}[^)]+)\)", (ROOT / "docs/decisions/README.md").read_text())

    assert listed == sorted(path.name for path in (ROOT / "docs/decisions").glob("0*.md"))


def test_operations_of_the_first_page_are_those_of_the_readme() -> None:
    first, readme = (GRAPHQL.findall((ROOT / path).read_text()) for path in ("docs/index.md", "README.md"))

    assert first == readme
    assert len(first) == 2


def test_writing_leaves_nothing_of_an_earlier_time(tmp_path: Path) -> None:
    target = tmp_path / "pages"
    target.mkdir()
    (target / "gone.md").touch()

    write(ROOT, target, "")

    written = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert written >= {place for place, _ in pages(ROOT, "")}
    assert written >= {"reference/schema.graphql", "images/steps.jpg", "stylesheets/site.css"}
    assert "gone.md" not in written

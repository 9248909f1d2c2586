"""The schema as an artefact."""

import re
from pathlib import Path

import pytest
from graphql import is_input_object_type, is_interface_type, is_object_type

from graphql_api.schema import print_schema, schema
from graphql_api.settings import Settings

ROOT = Path(__file__).parents[2]
TABS = sorted((ROOT / "ui" / "graphiql" / "tabs").glob("*.graphql"))


def test_the_committed_schema_is_the_one_that_the_program_prints() -> None:
    assert (ROOT / "schema.graphql").read_text() == f"{print_schema()}\n"


def test_everything_has_a_description() -> None:
    undescribed = []
    for name, kind in schema._schema.type_map.items():
        if name.startswith("__") or name in ("String", "Int", "Float", "Boolean", "ID"):
            continue
        if not kind.description:
            undescribed.append(name)
        if is_object_type(kind) or is_interface_type(kind) or is_input_object_type(kind):
            for field_name, field in kind.fields.items():
                arguments = getattr(field, "args", {})
                undescribed += [f"{name}.{field_name}"] if not field.description else []
                undescribed += [f"{name}.{field_name}({each})" for each in arguments if not arguments[each].description]
        undescribed += [
            f"{name}.{each}" for each, value in getattr(kind, "values", {}).items() if not value.description
        ]

    assert undescribed == []


def test_the_explorer_has_a_tab_for_each_thing_to_do() -> None:
    assert [tab.stem for tab in TABS] == ["cancel", "follow", "generate", "history", "one_shot"]


@pytest.mark.parametrize("tab", TABS, ids=lambda tab: tab.stem)
def test_the_tabs_of_the_explorer_hold_valid_operations(tab: Path) -> None:
    assert schema._documents.read(tab.read_text()).errors == ()


def test_every_setting_is_in_the_readme_with_its_default() -> None:
    readme = (ROOT / "README.md").read_text()
    for name, field in Settings.model_fields.items():
        row = next((line for line in readme.splitlines() if line.startswith(f"| `{name.upper()}` |")), None)

        assert row is not None, f"{name} has no row in the README"
        assert field.description
        default = ",".join(field.default) if isinstance(field.default, tuple) else str(field.default)
        shown = row.split("|")[2].strip().strip("`")
        assert shown == {"True": "true", "False": "false"}.get(default, default), row


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TEXT2IMAGE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TEXT2IMAGE_ALLOWED_HOSTS", "a.example, b.example")
    settings = Settings()

    assert settings.database_url == f"sqlite:{tmp_path}/jobs.sqlite3"
    assert settings.images_url == f"file:{tmp_path}"
    assert settings.allowed_hosts == ("a.example", "b.example")


def test_the_operations_of_the_readme_are_valid() -> None:
    blocks = re.findall(r"```graphql\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

    assert len(blocks) == 2
    assert [schema._documents.read(block).errors for block in blocks] == [(), ()]

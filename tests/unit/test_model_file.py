"""Model files: what they may say, and how what is wrong is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_api.bootstrap import declared_models, open_services
from graphql_api.domain.generation import ModelDefaults
from graphql_api.model_file import DeclaredModel, ModelFileError, line_of, read_model_file
from graphql_api.settings import Settings

WHOLE = """\
# two models
[[model]]
name = "sd21"
endpoint = "sagemaker:sd21-endpoint"
description = "Stable Diffusion 2.1"
license = "CreativeML Open RAIL++-M"
price_per_second = 0.00039
concurrency = 1
max_attempts = 1
pay_again = false
timeout = 65
patience = 900.5

[model.defaults]
width = 768
height = 512
steps = 30
guidance_scale = 8

[model.limits]
max_count = 2
max_dimension = 768
max_prompt_length = 400
max_steps = 60
size_multiple = 64

[model.codec_options]
request = "json"

[[model]]
name = "other"
endpoint = "sketch:"
"""


def read(tmp_path: Path, text: str) -> list[DeclaredModel]:
    path = tmp_path / "models.toml"
    path.write_text(text)
    return list(read_model_file(path))


def refusal_of(tmp_path: Path, text: str) -> str:
    with pytest.raises(ModelFileError) as refusal:
        read(tmp_path, text)
    return str(refusal.value).replace(f"{tmp_path}/", "")


def test_a_file_declares_models_and_the_first_is_the_default(tmp_path: Path) -> None:
    first, second = read(tmp_path, WHOLE)

    assert [first.model.name, second.model.name] == ["sd21", "other"]
    assert first.model.defaults == ModelDefaults(width=768, height=512, steps=30, guidance_scale=8.0)
    assert (first.model.limits.max_dimension, first.model.limits.size_multiple) == (768, 64)
    assert first.model.price_per_second == 0.00039
    assert (first.entry.timeout, first.entry.patience, first.entry.max_attempts) == (65, 900.5, 1)
    assert first.codec.name == second.codec.name == "jumpstart-sd"
    assert first.where.endswith("models.toml, line 4")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "sd21"\n', "", "line 2: name: field required."),
        ('name = "sd21"', "name = 7", "line 3: name:"),
        ('name = "sd21"', 'name = "a b"', "line 3: name:"),
        ('name = "other"', 'name = "sd21"', "line 31: name: there is a model 'sd21' already."),
        ('endpoint = "sketch:"\n', "", "line 30: endpoint: field required."),
        ("max_count = 2", "max_count = 0", "line 21: limits.max_count: input should be greater than or equal to 1."),
        ("max_count = 2", 'max_count = "2"', "line 21: limits.max_count:"),
        ("max_count = 2", "max_cuont = 2", "line 21: limits.max_cuont: extra inputs are not permitted."),
        ("size_multiple = 64", "size_multiple = 3", "line 25: limits.size_multiple:"),
        ("width = 768", "width = 1024", "line 15: defaults.width: width is above max_dimension, which is 768."),
        ("width = 768", "width = 760", "line 15: defaults.width: width is no multiple of size_multiple, which is 64."),
        ("steps = 30", "steps = 61", "line 17: defaults.steps: steps is above max_steps, which is 60."),
        ("price_per_second = 0.00039", "price_per_second = -1", "line 7: price_per_second:"),
        ("concurrency = 1", "codec = 'nothing'", "line 8: codec: there is no codec 'nothing'"),
        ('request = "json"', 'reqest = "json"', "line 27: codec_options:"),
        ("timeout = 65", "timeout = 0", "line 11: timeout:"),
        ("# two models", "model = 3", "line 2"),
        ("# two models", "[[model", "line 1"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in WHOLE

    assert told in refusal_of(tmp_path, WHOLE.replace(old, new, 1))


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = WHOLE.replace("max_count = 2", "max_count = 0").replace("steps = 30", "steps = 0")

    assert len(refusal_of(tmp_path, text).splitlines()) == 2


def test_a_file_without_a_model_is_refused(tmp_path: Path) -> None:
    assert "line 1: model: field required" in refusal_of(tmp_path, "")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_model_file(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_model_file(tmp_path / "models.toml")


def test_a_value_over_several_lines_is_told_by_its_first(tmp_path: Path) -> None:
    text = '[[model]]\n\n# about it\ndescription = """\nlong\n"""\nname = "a"\nendpoint = "sketch:"\n'

    assert line_of(text, ("model", 0, "description")) == 4
    assert line_of(text, ("model", 0, "name")) == 7


@given(st.integers(0, 5), st.integers(0, 5))
def test_the_line_of_a_key_is_where_it_stands(blank_lines: int, tables: int) -> None:
    text = (
        "[[model]]\nname = 'x'\n" * tables + "\n" * blank_lines + "[[model]]\n" + "# c\n" * blank_lines + "name = 'y'\n"
    )

    assert line_of(text, ("model", tables, "name")) == text[: text.rindex("name")].count("\n") + 1


def test_one_model_needs_only_its_endpoint() -> None:
    (declared,) = declared_models(Settings(endpoint="sagemaker:my-endpoint?variant=blue"))

    assert (declared.model.name, declared.codec.name) == ("my-endpoint", "jumpstart-sd")


def test_an_unknown_codec_of_the_one_model_is_told() -> None:
    with pytest.raises(ModelFileError, match="TEXT2IMAGE_ENDPOINT: There is no codec 'x'; known are "):
        declared_models(Settings(endpoint="sagemaker:my-endpoint", codec="x"))


def test_a_model_file_and_an_endpoint_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="exclude each other"):
        declared_models(Settings(models=str(tmp_path / "m.toml"), endpoint="sagemaker:x"))


def test_price_of_the_one_model_may_be_a_setting(tmp_path: Path) -> None:
    for endpoint in ("sagemaker:my-endpoint", "sketch:"):
        (priced,) = declared_models(Settings(endpoint=endpoint, price_per_second=0.00039))
        (unknown,) = declared_models(Settings(endpoint=endpoint))
        assert (priced.model.price_per_second, unknown.model.price_per_second) == (0.00039, None)
    with pytest.raises(ModelFileError, match="TEXT2IMAGE_PRICE_PER_SECOND") as refusal:
        declared_models(Settings(models=str(tmp_path / "m.toml"), price_per_second=0.00039))
    assert "\n" not in str(refusal.value)


async def test_a_missing_region_is_told_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ValueError, match="set AWS_REGION"):
        async with open_services(Settings(data_dir=tmp_path, endpoint="sagemaker:sd")):
            pass

"""Which models there are: one TOML file, or one endpoint.

    [[model]]
    name = "sd21"                            # what callers choose
    endpoint = "sagemaker:my-endpoint"       # where it runs
    codec = "jumpstart-sd"                   # how its family spells requests and answers

Everything else has defaults that suit the family. A file is checked as a whole when the server starts, and what is
wrong is told with its line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graphql_api.codecs import CODECS, codec_named
from graphql_api.domain.generation import Dimensions, Model, ModelDefaults, ModelLimits
from graphql_api.ports import ModelCodec

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
KeyPath = tuple[str | int, ...]


class ModelFileError(ValueError):
    """What is wrong with the file, and where."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Defaults(_Table):
    """Values where a request leaves them out; None for the family's own."""

    width: int | None = Field(default=None, ge=64, le=4096)
    height: int | None = Field(default=None, ge=64, le=4096)
    steps: int | None = Field(default=None, ge=1, le=1000)
    guidance_scale: float | None = Field(default=None, ge=0, le=30)


class Limits(_Table):
    """What is accepted; None for the family's own."""

    max_count: int | None = Field(default=None, ge=1, le=16)
    min_dimension: int | None = Field(default=None, ge=8, le=4096)
    max_dimension: int | None = Field(default=None, ge=64, le=4096)
    max_prompt_length: int | None = Field(default=None, ge=1, le=20_000)
    max_steps: int | None = Field(default=None, ge=1, le=1000)
    size_multiple: Literal[1, 2, 4, 8, 16, 32, 64] | None = None


class ModelEntry(_Table):
    """One `[[model]]`. Times are in seconds, the price in US dollars; None is the setting of the same name."""

    name: str = Field(pattern=NAME_PATTERN)
    endpoint: str = Field(min_length=1)
    codec: str = "jumpstart-sd"
    codec_options: Mapping[str, str | bool | int] = {}
    description: str | None = None
    license: str | None = None
    defaults: Defaults = Defaults()
    limits: Limits = Limits()
    price_per_second: Annotated[float, Field(ge=0)] | None = None
    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    max_attempts: Annotated[int, Field(ge=1, le=100)] | None = None
    pay_again: bool = False
    timeout: Annotated[float, Field(gt=0, le=3600)] | None = None
    patience: Annotated[float, Field(ge=0)] | None = None


class _File(_Table):
    model: list[ModelEntry] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredModel:
    """A model as it was declared and checked, without what runs it. `where` says where the endpoint is named."""

    entry: ModelEntry
    model: Model
    codec: ModelCodec
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """What suits a model family where a file says nothing."""

    width: int = 512
    height: int = 512
    steps: int = 50
    guidance_scale: float = 7.5
    max_count: int = 4
    min_dimension: int = 64
    max_dimension: int = 1024
    max_prompt_length: int = 2_000
    max_steps: int = 100
    size_multiple: int = 8


# Stable Diffusion 1 and 2.1-base were trained at 512 pixels, SDXL and SD 3.5 at 1024. JumpStart's SDXL takes sizes
# above 256 pixels, of which 320 is the first multiple of 64.
_FAMILIES: Mapping[str, _Family] = {
    "jumpstart-imagegeneration": _Family(
        width=1024, height=1024, guidance_scale=7.0, min_dimension=320, size_multiple=64
    ),
    "stability-sdk": _Family(width=1024, height=1024, guidance_scale=7.0, max_dimension=1536, size_multiple=64),
    "stability-sd3": _Family(width=1024, height=1024, steps=40, guidance_scale=4.5, max_dimension=1536, max_count=1),
}


def single_model(endpoint: str, codec: str, *, where: str, price_per_second: float | None = None) -> DeclaredModel:
    """The one model of a server without a file, named like its endpoint; its price is in US dollars, None where nobody
    knows it. Raises ModelFileError."""
    scheme, _, rest = endpoint.partition(":")
    name = rest.partition("?")[0]
    if not re.fullmatch(NAME_PATTERN, name):
        name = scheme if re.fullmatch(NAME_PATTERN, scheme) else "model"
    try:
        entry = ModelEntry(name=name, endpoint=endpoint or ":", codec=codec, price_per_second=price_per_second)
        return _declared(entry, where=where)
    except _Wrong as error:
        raise ModelFileError(f"{where}: {error}") from error


def read_model_file(path: Path) -> Sequence[DeclaredModel]:
    """Every model of a file, the default first. Raises ModelFileError."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"The model file {path} cannot be read: {error}.") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelFileError(f"{path}: {error}.") from error
    try:
        entries = _File.model_validate(document).model
    except ValidationError as error:
        raise ModelFileError(
            "\n".join(_told(path, text, each["loc"], each["msg"]) for each in error.errors())
        ) from error
    names = [entry.name for entry in entries]
    declared = []
    for index, entry in enumerate(entries):
        here: KeyPath = ("model", index)
        if entry.name in names[:index]:
            raise ModelFileError(_told(path, text, (*here, "name"), f"there is a model '{entry.name}' already"))
        try:
            declared.append(_declared(entry, where=f"{path}, line {line_of(text, (*here, 'endpoint'))}"))
        except _Wrong as error:
            raise ModelFileError(_told(path, text, (*here, *error.path), str(error))) from error
    return declared


class _Wrong(ValueError):
    def __init__(self, message: str, *path: str) -> None:
        super().__init__(message)
        self.path = path


def _declared(entry: ModelEntry, *, where: str) -> DeclaredModel:
    try:
        codec = codec_named(entry.codec, entry.codec_options)
    except ValueError as error:
        raise _Wrong(str(error), "codec_options" if entry.codec in CODECS else "codec") from error
    family = _FAMILIES.get(entry.codec, _Family())
    model = Model(
        name=entry.name,
        description=entry.description,
        license=entry.license,
        defaults=_defaults(entry.defaults, family),
        limits=_limits(entry.limits, family, codec),
        price_per_second=entry.price_per_second,
    )
    _check(model)
    return DeclaredModel(entry=entry, model=model, codec=codec, where=where)


def _defaults(given: Defaults, family: _Family) -> ModelDefaults:
    return ModelDefaults(
        width=given.width or family.width,
        height=given.height or family.height,
        steps=given.steps or family.steps,
        guidance_scale=family.guidance_scale if given.guidance_scale is None else given.guidance_scale,
    )


def _limits(given: Limits, family: _Family, codec: ModelCodec) -> ModelLimits:
    return ModelLimits(
        max_count=given.max_count or family.max_count,
        min_dimension=given.min_dimension or family.min_dimension,
        max_dimension=given.max_dimension or family.max_dimension,
        max_prompt_length=given.max_prompt_length or family.max_prompt_length,
        max_steps=given.max_steps or family.max_steps,
        size_multiple=given.size_multiple or family.size_multiple,
        sizes=tuple(codec.sizes),
        without=frozenset(codec.without),
    )


def _check(model: Model) -> None:
    """Refuse defaults that the model's own limits refuse."""
    defaults, limits = model.defaults, model.limits
    for side, pixels in (("width", defaults.width), ("height", defaults.height)):
        if pixels < limits.min_dimension:
            raise _Wrong(f"{side} is below min_dimension, which is {limits.min_dimension}", "defaults", side)
        if pixels > limits.max_dimension:
            raise _Wrong(f"{side} is above max_dimension, which is {limits.max_dimension}", "defaults", side)
        if pixels % limits.size_multiple:
            raise _Wrong(f"{side} is no multiple of size_multiple, which is {limits.size_multiple}", "defaults", side)
    if defaults.steps > limits.max_steps:
        raise _Wrong(f"steps is above max_steps, which is {limits.max_steps}", "defaults", "steps")
    if limits.sizes and Dimensions(width=defaults.width, height=defaults.height) not in limits.sizes:
        known = ", ".join(f"{size.width}x{size.height}" for size in limits.sizes)
        raise _Wrong(f"the model makes only these sizes: {known}", "defaults", "width")


# --- lines -----------------------------------------------------------------------------------------------------------


def line_of(text: str, path: KeyPath) -> int:
    """The line on which the value at a path begins, or where the table is that should hold it.

    The parser keeps no lines. But the value is there from one prefix of the file on, and not before.
    """
    lines = text.splitlines(keepends=True)
    before = 0
    for count in range(1, len(lines) + 1):
        try:
            document = tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue
        if _holds(document, path):
            return before + 1
        before = count
    return line_of(text, path[:-1]) if path else 1


def _holds(value: Any, path: KeyPath) -> bool:
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _told(path: Path, text: str, loc: KeyPath, message: str) -> str:
    name = ".".join(str(each) for each in loc[2:]) or "model"
    return f"{path}, line {line_of(text, loc)}: {name}: {message[:1].lower()}{message[1:].removesuffix('.')}."

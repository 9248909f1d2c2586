"""The models that this server can run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from graphql_api.domain.errors import ModelNotFound
from graphql_api.domain.generation import Model, ModelAvailability
from graphql_api.ports import ModelCodec, ModelEndpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnableModel:
    """A model with what runs it. `concurrency` is how many of its jobs one worker runs at a time."""

    model: Model
    endpoint: ModelEndpoint
    codec: ModelCodec
    concurrency: int


class ModelRegistry:
    """The models by name. The first one is the default."""

    def __init__(self, models: Sequence[RunnableModel]) -> None:
        if not models:
            raise ValueError("At least one model is needed.")
        first, *others = (replace(each, model=replace(each.model, is_default=False)) for each in models)
        first = replace(first, model=replace(first.model, is_default=True))
        self._models: Mapping[str, RunnableModel] = {each.model.name: each for each in (first, *others)}
        self.default_name = first.model.name

    def __iter__(self) -> Iterator[RunnableModel]:
        return iter(self._models.values())

    @property
    def names(self) -> Sequence[str]:
        """Names of all models, the default first."""
        return tuple(self._models)

    def find(self, name: str) -> RunnableModel | None:
        """The model of this name, or None."""
        return self._models.get(name)

    def get(self, name: str | None) -> RunnableModel:
        """The model of this name, or the default for None. Raises ModelNotFound."""
        found = self._models.get(self.default_name if name is None else name)
        if found is None:
            raise ModelNotFound("There is no model with this ID.", path=("modelId",))
        return found

    async def availability(self, name: str) -> ModelAvailability:
        """Whether a job of this model would start now."""
        found = self._models.get(name)
        return ModelAvailability.UNAVAILABLE if found is None else await found.endpoint.availability()

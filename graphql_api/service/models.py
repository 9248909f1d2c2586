"""The models that this server can run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from graphql_api.domain.errors import ModelNotFound
from graphql_api.domain.generation import Model, ModelAvailability
from graphql_api.domain.job import Job
from graphql_api.ports import DeferredEndpoint, ModelCodec, ModelEndpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationPolicy:
    """When an invocation of a model is sent, given up and sent again. Times are in seconds.

    `max_attempts` is how often a job may be sent where an earlier invocation may have run, and so have been paid for.
    `pays_again` tells whether that is done also when an invocation failed in a way that may pass, rather than only when
    a worker was lost. `patience_seconds` is how long to wait for an endpoint that does not take invocations.
    """

    max_attempts: int = 3
    pays_again: bool = False
    timeout_seconds: float = 600.0
    patience_seconds: float = 1800.0

    def allows_another(self, job: Job) -> bool:
        """Whether a job whose latest invocation is lost may be sent once more."""
        return job.losses + 1 < self.max_attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnableModel:
    """A model with what runs it. `concurrency` is how many of its jobs one worker runs at a time."""

    model: Model
    endpoint: ModelEndpoint | DeferredEndpoint
    codec: ModelCodec
    concurrency: int
    policy: InvocationPolicy = InvocationPolicy()

    @property
    def can_stop(self) -> bool:
        """Whether the model stops when its invocation is left."""
        return not isinstance(self.endpoint, DeferredEndpoint) and self.endpoint.can_stop

    @property
    def reports_steps(self) -> bool:
        """Whether the model tells of its steps."""
        return not isinstance(self.endpoint, DeferredEndpoint) and self.endpoint.reports_steps


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

"""The GraphQL schema, built once."""

from __future__ import annotations

from strawberry.schema.config import StrawberryConfig

from graphql_api.schema.execution import JobSchema
from graphql_api.schema.mutation import Mutation
from graphql_api.schema.query import Query
from graphql_api.schema.scalars import SCALARS
from graphql_api.schema.subscription import Subscription
from graphql_api.schema.types import GenerationJob, Image, Model, Style, Viewer, WebhookDelivery


def _build(*, is_sorted: bool = False) -> JobSchema:
    return JobSchema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[GenerationJob, Image, Model, Style, Viewer, WebhookDelivery],
        config=StrawberryConfig(sort_schema=is_sorted, scalar_map=SCALARS),
    )


schema = _build()


def print_schema() -> str:
    """The schema in the schema definition language, in alphabetical order."""
    # For this alone: a sorted schema of Strawberry 0.341 cannot tell which member of a union an object is.
    return _build(is_sorted=True).as_str()


__all__ = ["print_schema", "schema"]

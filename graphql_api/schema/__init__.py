"""The GraphQL schema, built once."""

from __future__ import annotations

from strawberry.schema.config import StrawberryConfig

from graphql_api.schema.execution import JobSchema
from graphql_api.schema.mutation import Mutation
from graphql_api.schema.query import Query
from graphql_api.schema.scalars import SCALARS
from graphql_api.schema.subscription import Subscription
from graphql_api.schema.types import GenerationJob, Image, Model, Style

schema = JobSchema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[GenerationJob, Image, Model, Style],
    config=StrawberryConfig(sort_schema=True, scalar_map=SCALARS),
)

__all__ = ["schema"]

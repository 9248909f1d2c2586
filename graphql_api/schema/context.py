"""What every resolver gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from strawberry.types.info import Info as StrawberryInfo

from graphql_api.domain.ids import CallerId
from graphql_api.service.jobs import JobService
from graphql_api.service.models import ModelRegistry
from graphql_api.service.watching import WatchService


@dataclass(slots=True, kw_only=True)
class Context:
    """Who asks, and the service. Shared by all operations of a socket, so it holds nothing of a single operation."""

    caller_id: CallerId
    jobs: JobService
    watching: WatchService
    models: ModelRegistry
    transport: Literal["http", "websocket"]
    may_write: bool = True
    """Whether the request may have effects. A GET may not: any page can make a browser send one."""
    connection_params: dict[str, object] | None = None


Info = StrawberryInfo[Context, None]

"""What every resolver gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from strawberry.types.info import Info as StrawberryInfo

from graphql_api.domain.caller import Caller
from graphql_api.domain.errors import NotPermitted
from graphql_api.domain.ids import CallerId
from graphql_api.service.fair_use import FairUse
from graphql_api.service.jobs import JobService
from graphql_api.service.models import ModelRegistry
from graphql_api.service.watching import WatchService
from graphql_api.service.webhooks import Webhooks


@dataclass(slots=True, kw_only=True)
class Context:
    """Who asks, and the service. Shared by all operations of a socket, so it holds nothing of a single operation."""

    caller: Caller
    jobs: JobService
    watching: WatchService
    models: ModelRegistry
    fair_use: FairUse
    webhooks: Webhooks
    transport: Literal["http", "websocket"]
    may_write: bool = True
    """Whether the request may have effects. A GET may not: any page can make a browser send one."""
    connection_params: dict[str, object] | None = None
    retry_after_seconds: float | None = None
    """When to send a request again that was refused for now, where an answer can say so."""

    @property
    def caller_id(self) -> CallerId:
        """Whose jobs it is about."""
        return self.caller.id

    def check_may_write(self) -> None:
        """Raises NotPermitted when the caller may only look."""
        if not self.caller.may_write:
            raise NotPermitted


Info = StrawberryInfo[Context, None]

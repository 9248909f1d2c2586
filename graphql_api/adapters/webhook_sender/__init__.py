"""How webhooks are sent: over HTTPS, to public addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from graphql_api.ports import WebhookSender


@asynccontextmanager
async def open_webhook_sender(networks: Sequence[str] = ()) -> AsyncIterator[WebhookSender]:
    """A sender that reaches public addresses, and those of `networks`, also without TLS. Raises ValueError when one of
    these is no network."""
    from graphql_api.adapters.webhook_sender.addresses import AddressRule
    from graphql_api.adapters.webhook_sender.sender import HttpWebhookSender

    yield HttpWebhookSender(AddressRule(networks))

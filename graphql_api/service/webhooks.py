"""Webhooks as callers see them: whether one may be used, what became of it, once more, and the secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphql_api.domain.errors import DeliveryNotFound, InvalidInput
from graphql_api.domain.ids import CallerId, JobId, as_job_id
from graphql_api.domain.job import Job
from graphql_api.domain.webhook import Delivery, Webhook
from graphql_api.ports import JobStore, WebhookSender
from graphql_api.service.clock import Clock, utc_now
from graphql_api.service.webhook_signing import WebhookSecrets

_JOB_ID_CHARS = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailing:
    """What a server needs that sends webhooks."""

    store: JobStore
    sender: WebhookSender
    secrets: WebhookSecrets


class Webhooks:
    """Without a `mailing`, this server has no webhooks, and knows of no deliveries."""

    def __init__(self, mailing: Mailing | None = None, *, clock: Clock = utc_now) -> None:
        self._mailing = mailing
        self._clock = clock

    def check_form(self, webhook: Webhook) -> None:
        """Raises InvalidInput when nothing can be sent to a webhook, as far as can be told by looking at it."""
        mailing = self._mailing_or_refusal()
        if not webhook.events:
            raise InvalidInput("A webhook needs at least one event.", path=("webhook", "events"))
        _raise_for(mailing.sender.check_form(webhook.url))

    async def check_host(self, caller_id: CallerId, webhook: Webhook) -> None:
        """Raises InvalidInput when nothing can be sent to the host of a webhook, ServiceUnavailable when that cannot be
        told now. This may take seconds, and callers share the means: who gets here must have been counted."""
        _raise_for(await self._mailing_or_refusal().sender.check(webhook.url, lane=caller_id))

    async def deliveries(self, job_id: JobId) -> Sequence[Delivery]:
        """What the webhook of a job was told or is to be told, by rising revision."""
        return () if self._mailing is None else await self._mailing.store.deliveries(job_id)

    async def replay(self, caller_id: CallerId, delivery_id: str) -> Delivery:
        """Send a delivery once more, from the beginning, whatever became of it; it is sent soon after this returns.

        Raises DeliveryNotFound for what is not a delivery of the caller's, also one of somebody else.
        """
        job_id = as_job_id(delivery_id[:_JOB_ID_CHARS])
        if self._mailing is None or job_id is None:
            raise DeliveryNotFound(path=("id",))
        store = self._mailing.store
        if isinstance(await store.find(job_id, caller_id=caller_id), Job):
            for delivery in await store.deliveries(job_id):
                replayed = delivery.replayed(at=self._clock())
                if delivery.id == delivery_id and await store.save_delivery(replayed):
                    return replayed
        raise DeliveryNotFound(path=("id",))

    def secret_of(self, caller_id: CallerId) -> str | None:
        """What the caller's receivers verify signatures with; None when this server sends none."""
        return None if self._mailing is None else self._mailing.secrets.secret_of(caller_id)

    def _mailing_or_refusal(self) -> Mailing:
        if self._mailing is None:
            raise InvalidInput("This server sends no webhooks.", path=("webhook",))
        return self._mailing


def _raise_for(problem: str | None) -> None:
    if problem is not None:
        raise InvalidInput(problem, path=("webhook", "url"))

"""The postman: tells webhooks what happened to jobs, again and again until they have heard it, for a day.

Any number of processes may have one. A delivery is claimed for a time, sent, and what became of it is written; if its
postman is lost in between, another sends it again, with the same ID.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from graphql_api import metrics
from graphql_api.domain.errors import NotDelivered, ServiceUnavailable
from graphql_api.domain.webhook import Delivery, DeliveryAttempt, DeliveryState
from graphql_api.ports import DueDelivery, JobDeliveries, WebhookSender
from graphql_api.service.clock import Clock, utc_now
from graphql_api.service.lanes import Lane, Lanes
from graphql_api.service.webhook_messages import WebhookMessages
from graphql_api.service.webhook_signing import WebhookSecrets

logger = logging.getLogger(__name__)

BACKOFF_SECONDS = (5, 30, 120, 300, 900, 1800, 3600, 7200, 14_400)
"""How long to wait before the next attempt; the last one again and again."""
PATIENCE = timedelta(hours=24)
"""How long after its beginning a delivery is attempted."""

_JITTER = 0.1
_GONE = 410
_CLAIM_AT_ONCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PostmanOptions:
    """How much at a time. Times are in seconds.

    `in_hand` deliveries are claimed at a time and `at_a_time` are being sent: of these `per_host` to one host and
    `per_caller` for one caller, so that receivers who do not answer hold up neither others nor, under many names, other
    callers. One waits for its turn for `wait_seconds`, and is then put off. The lease must be longer than that and a
    request together, with time left for writing down what became of it.
    """

    in_hand: int = 100
    at_a_time: int = 20
    per_host: int = 4
    per_caller: int = 12
    poll_seconds: float = 1.0
    wait_seconds: float = 15.0
    lease_seconds: float = 60.0


class Postman:
    """Sends the deliveries that are due."""

    def __init__(
        self,
        store: JobDeliveries,
        sender: WebhookSender,
        secrets: WebhookSecrets,
        messages: WebhookMessages,
        *,
        options: PostmanOptions | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._store = store
        self._sender = sender
        self._secrets = secrets
        self._messages = messages
        self._options = options = options or PostmanOptions()
        self._clock = clock
        self._slots = asyncio.Semaphore(options.at_a_time)
        self._hosts = Lanes(options.per_host)
        self._callers = Lanes(options.per_caller)
        self._store_answers = True

    async def run(self) -> None:
        """Send until cancelled. What is being sent then is left; somebody sends it again when its lease is over."""
        options = self._options
        hand: set[asyncio.Task[None]] = set()
        try:
            while True:
                limit = min(options.in_hand - len(hand), _CLAIM_AT_ONCE)
                claimed = await self._claim(limit)
                for due in claimed:
                    task = asyncio.create_task(self._handle(due))
                    hand.add(task)
                    task.add_done_callback(hand.discard)
                if len(hand) >= options.in_hand:
                    await asyncio.wait(hand, return_when=asyncio.FIRST_COMPLETED)
                elif len(claimed) < limit:
                    await asyncio.sleep(options.poll_seconds)
        finally:
            for task in hand:
                task.cancel()
            await asyncio.gather(*hand, return_exceptions=True)

    async def _claim(self, limit: int) -> Sequence[DueDelivery]:
        try:
            claimed = await self._store.claim_deliveries(limit, lease_seconds=self._options.lease_seconds)
        except Exception as error:
            # Also what this version of the program cannot read must not end the postman.
            if self._store_answers:
                logger.warning("the postman cannot get at its deliveries: %s", error, exc_info=error)
            self._store_answers = False
            return ()
        self._store_answers = True
        return claimed

    async def _handle(self, due: DueDelivery) -> None:
        try:
            delivery = await self._sent_or_put_off(due)
            await self._save(delivery, due.claim)
        except Exception as error:
            # It comes again when its lease is over; the others go on.
            logger.exception("delivery %s broke off", due.delivery.id, exc_info=error)

    async def _sent_or_put_off(self, due: DueDelivery) -> Delivery:
        lanes = (self._hosts.of(_host_of(due.delivery)), self._callers.of(due.delivery.caller_id))
        if any(lane.is_full for lane in lanes):
            return self._put_off(due.delivery, lanes)
        async with AsyncExitStack() as stack:
            for lane in lanes:
                stack.enter_context(lane.entered())
            try:
                async with asyncio.timeout(self._options.wait_seconds):
                    for slots in (*(lane.slots for lane in lanes), self._slots):
                        await stack.enter_async_context(slots)
            except TimeoutError:
                return self._put_off(due.delivery, lanes)
            attempt = await self._attempt(due)
            for lane in lanes:
                lane.took(attempt.seconds)
        return self._attempted(due.delivery, attempt)

    def _put_off(self, delivery: Delivery, lanes: Sequence[Lane]) -> Delivery:
        busy = [lane.put_off() for lane in lanes if lane.is_full or lane.slots.locked()]
        seconds = max(busy, default=self._options.poll_seconds)
        return replace(delivery, next_attempt_at=self._clock() + timedelta(seconds=seconds))

    async def _attempt(self, due: DueDelivery) -> DeliveryAttempt:
        delivery, loop, at = due.delivery, asyncio.get_running_loop(), self._clock()
        began_at, status_code, problem = loop.time(), None, None
        try:
            body = await self._messages.body_of(delivery, due.job)
            signature = self._secrets.sign(delivery.caller_id, delivery.id, at, body)
            headers = {"content-type": "application/json", **signature}
            status_code = await self._sender.send(delivery.url, body, headers)
            outcome = "delivered" if 200 <= status_code < 300 else "refused"
            problem = None if outcome == "delivered" else f"the answer was {status_code}"
        except NotDelivered as error:
            outcome, problem = "no_answer", error.message
        except Exception as error:
            outcome, problem = "fault", "this server could not send it"
            logger.warning("delivery %s could not be sent: %s", delivery.id, error, exc_info=error)
        metrics.WEBHOOK_ATTEMPTS.labels(outcome).inc()
        return DeliveryAttempt(at=at, seconds=loop.time() - began_at, status_code=status_code, problem=problem)

    def _attempted(self, delivery: Delivery, attempt: DeliveryAttempt) -> Delivery:
        next_attempt_at = None if attempt.status_code == _GONE else self._next_attempt_at(delivery)
        attempted = delivery.attempted(attempt, next_attempt_at=next_attempt_at)
        if attempted.state is DeliveryState.GAVE_UP:
            metrics.WEBHOOKS_GIVEN_UP.inc()
            # Paths and queries of receivers are secrets as often as not.
            logger.warning("delivery %s to %s was given up: %s", delivery.id, _host_of(delivery), attempt.problem)
        return attempted

    def _next_attempt_at(self, delivery: Delivery) -> datetime | None:
        """When to try again after one more attempt, or None when that would be too late."""
        # What happened before it was replayed does not count.
        earlier = sum(attempt.at >= delivery.begun_at for attempt in delivery.attempts)
        seconds = BACKOFF_SECONDS[min(earlier, len(BACKOFF_SECONDS) - 1)]
        next_at = self._clock() + timedelta(seconds=seconds * random.uniform(1 - _JITTER, 1 + _JITTER))
        return next_at if next_at <= delivery.begun_at + PATIENCE else None

    async def _save(self, delivery: Delivery, claim: int) -> None:
        """Write it as soon as the store answers, unless it takes so long that somebody else has the delivery by now."""
        loop = asyncio.get_running_loop()
        lease_ends_at = loop.time() + self._options.lease_seconds
        while True:
            try:
                await self._store.save_delivery(delivery, claim=claim)
                return
            except ServiceUnavailable:
                if loop.time() >= lease_ends_at:
                    raise
                await asyncio.sleep(self._options.poll_seconds)


def _host_of(delivery: Delivery) -> str:
    try:
        return urlsplit(delivery.url).hostname or ""
    except ValueError:
        return ""

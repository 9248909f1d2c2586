"""What callers may use: who is let in, who is refused with which words, and what is told of it. Decision 16."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from graphql_api.adapters.job_store import open_job_store
from graphql_api.adapters.rate_limiter.memory import MemoryRateLimiter
from graphql_api.domain.caller import Caller, CallerLimits, CallerRole
from graphql_api.domain.errors import (
    BudgetExceeded,
    IdempotencyConflict,
    NotPermitted,
    QueueFull,
    RateLimited,
    Text2ImageError,
)
from graphql_api.domain.ids import CallerId
from graphql_api.domain.job import Job
from graphql_api.ports import MAX_BUDGET, MAX_LIMIT, JobStore
from graphql_api.service.fair_use import FRESH_SECONDS, FairUse, LimitKind, LimitUse
from graphql_api.settings import Settings
from tests.clients.waiting import eventually
from tests.contract.sample_jobs import a_job
from tests.unit.shop import ALICE, CALLER, REQUEST, ScriptedEndpoint, a_jpeg, a_shop, an_answer

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
PIXELS = 768 * 768
"""Of REQUEST."""


@dataclass
class Hands:
    """Both clocks, which a test sets."""

    now: datetime = NOW
    seconds: float = 1000.0

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        """As time.monotonic."""
        return self.seconds

    def forward(self, seconds: float) -> None:
        """So many seconds pass."""
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds


class Counted:
    """A store whose reads for FairUse are counted."""

    def __init__(self, real: JobStore) -> None:
        self._real = real
        self.reads = 0

    async def count_active(self, caller_id: CallerId, limit: int) -> int:
        self.reads += 1
        return await self._real.count_active(caller_id, limit)

    async def charged(self, account: str, month: str) -> int:
        self.reads += 1
        return await self._real.charged(account, month)


class Reading:
    """A store that reads a figure at once, and answers when it may."""

    def __init__(self, charges: int) -> None:
        self.charges = charges
        self.waiting = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def charged(self, account: str, month: str) -> int:
        found = self.charges
        self.waiting += not self.may_answer.is_set()
        await self.may_answer.wait()
        return found


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[JobStore]:
    async with open_job_store(f"sqlite:{tmp_path / 'jobs.db'}") as opened:
        yield opened


@pytest.fixture
def counted(store: JobStore) -> Counted:
    return Counted(store)


@pytest.fixture
def fair_use(counted: Counted, hands: Hands) -> FairUse:
    return FairUse(MemoryRateLimiter(), counted, clock=hands, monotonic=hands.monotonic)  # type: ignore[arg-type]


def with_limits(limits: CallerLimits, name: str = "alice") -> Caller:
    """A caller who has these limits."""
    return replace(CALLER, id=CallerId(name), account=name, limits=limits)


def queued(caller: Caller, *, reserved: int = 0) -> Job:
    """A job of a caller that was made now."""
    return replace(a_job(), caller_id=caller.id, account=caller.account, created_at=NOW, reserved=reserved)


async def add(
    fair_use: FairUse, store: JobStore, caller: Caller, *, pixels: int = 1, reserved: int | None = None
) -> Job:
    """Add a job, if the caller may."""
    async with fair_use.admitting(caller, pixels=pixels, reserved=reserved):
        return (await store.add(queued(caller, reserved=reserved or 0))).job


async def added_at_once(
    fair_use: FairUse, store: JobStore, caller: Caller, *, calls: int, reserved: int | None = None
) -> int:
    """How many of so many concurrent jobs were let in."""
    results = await asyncio.gather(
        *(add(fair_use, store, caller, reserved=reserved) for _ in range(calls)), return_exceptions=True
    )
    unexpected = [each for each in results if not isinstance(each, (Job, RateLimited, BudgetExceeded))]
    assert unexpected == []
    return sum(isinstance(each, Job) for each in results)


async def add_nothing(fair_use: FairUse, caller: Caller, *, reserved: int) -> None:
    """Be let in, if the caller may."""
    async with fair_use.admitting(caller, pixels=1, reserved=reserved):
        pass


async def places(fair_use: FairUse, calls: int) -> int:
    """How many places of 1 in a budget of 100 can be had, and are held."""
    found = await asyncio.gather(
        *(fair_use.place_in_budget("alice", 100, 1) for _ in range(calls)), return_exceptions=True
    )
    return sum(not isinstance(each, BudgetExceeded) for each in found)


def use_of(usage: list[LimitUse], kind: LimitKind) -> tuple[float | None, float, datetime | None]:
    (found,) = [each for each in usage if each.kind is kind]
    return found.limit, found.used, found.resets_at


def test_limits_are_the_callers_own_and_the_servers_where_there_are_none(store: JobStore) -> None:
    fair_use = FairUse(MemoryRateLimiter(), store, CallerLimits(sockets=1, streams=2))
    caller = with_limits(CallerLimits(sockets=0, jobs_in_flight=3))

    assert fair_use.limits_of(caller) == CallerLimits(sockets=0, streams=2, jobs_in_flight=3)


@pytest.mark.parametrize(
    "name",
    [
        "requests_per_minute",
        "jobs_per_minute",
        "jobs_in_flight",
        "pixels_per_day",
        "sockets_per_caller",
        "streams_per_caller",
        "dollars_per_month",
    ],
)
def test_settings_have_no_limit_that_nothing_can_count(name: str) -> None:
    most = MAX_BUDGET if name == "dollars_per_month" else MAX_LIMIT
    assert getattr(Settings.model_validate({name: most}), name) == most
    with pytest.raises(ValueError, match=name):
        Settings.model_validate({name: most + 1})


async def test_greatest_limits_can_be_counted(fair_use: FairUse, store: JobStore) -> None:
    limits = CallerLimits(
        jobs_per_minute=MAX_LIMIT, jobs_in_flight=MAX_LIMIT, pixels_per_day=MAX_LIMIT, dollars_per_month=MAX_BUDGET
    )
    await add(fair_use, store, with_limits(limits), reserved=1)


async def test_requests_a_minute_are_counted_by_caller(fair_use: FairUse) -> None:
    alice = with_limits(CallerLimits(requests_per_minute=2))
    for _ in range(2):
        await fair_use.admit_request(alice)
    with pytest.raises(RateLimited, match="requests a minute") as caught:
        await fair_use.admit_request(alice)
    await fair_use.admit_request(replace(alice, id=CallerId("bob")))

    assert 0 < caught.value.retry_after_seconds <= 120


def test_request_of_a_caller_without_a_limit_waits_for_nothing(fair_use: FairUse) -> None:
    with pytest.raises(StopIteration):
        fair_use.admit_request(CALLER).send(None)


async def test_jobs_a_minute_are_counted(fair_use: FairUse, store: JobStore) -> None:
    alice = with_limits(CallerLimits(jobs_per_minute=2))

    assert await added_at_once(fair_use, store, alice, calls=5) == 2
    with pytest.raises(RateLimited, match="jobs a minute"):
        await add(fair_use, store, alice)


async def test_pixels_a_day_are_counted(fair_use: FairUse, store: JobStore) -> None:
    alice = with_limits(CallerLimits(pixels_per_day=10))
    await add(fair_use, store, alice, pixels=6)
    with pytest.raises(RateLimited, match="pixels a day"):
        await add(fair_use, store, alice, pixels=6)
    await add(fair_use, store, alice, pixels=4)


async def test_jobs_that_are_refused_for_another_reason_use_no_pixels(fair_use: FairUse, store: JobStore) -> None:
    alice = with_limits(CallerLimits(pixels_per_day=10, jobs_in_flight=0))
    with pytest.raises(RateLimited):
        await add(fair_use, store, alice, pixels=10)

    assert use_of([*await fair_use.usage(alice)], LimitKind.PIXELS_PER_DAY) == (10, 0, None)


async def test_job_that_the_store_did_not_add_uses_no_pixels_but_one_of_the_jobs_a_minute(fair_use: FairUse) -> None:
    alice = with_limits(CallerLimits(pixels_per_day=10, jobs_per_minute=10))
    with pytest.raises(QueueFull):
        async with fair_use.admitting(alice, pixels=10, reserved=None):
            raise QueueFull(retry_after_seconds=1)
    async with fair_use.admitting(alice, pixels=10, reserved=None) as admission:
        admission.undo()

    usage = [*await fair_use.usage(alice)]
    assert use_of(usage, LimitKind.PIXELS_PER_DAY) == (10, 0, None)
    assert use_of(usage, LimitKind.JOBS_PER_MINUTE)[:2] == (10, 2)


async def test_hanging_up_gives_no_pixels_back(fair_use: FairUse) -> None:
    alice = with_limits(CallerLimits(pixels_per_day=10))
    with pytest.raises(asyncio.CancelledError):
        async with fair_use.admitting(alice, pixels=10, reserved=None):
            raise asyncio.CancelledError

    assert use_of([*await fair_use.usage(alice)], LimitKind.PIXELS_PER_DAY)[:2] == (10, 10)


async def test_jobs_in_flight_are_counted_until_they_end(fair_use: FairUse, store: JobStore) -> None:
    alice = with_limits(CallerLimits(jobs_in_flight=2))
    jobs = [await add(fair_use, store, alice) for _ in range(2)]
    with pytest.raises(RateLimited, match="in flight") as caught:
        await add(fair_use, store, alice)
    await store.delete(jobs[0].id, at=NOW)

    await add(fair_use, store, alice)
    assert 5 <= caught.value.retry_after_seconds <= 10


async def test_concurrent_jobs_get_the_places_in_flight_and_no_more(fair_use: FairUse, store: JobStore) -> None:
    alice, bob = (with_limits(CallerLimits(jobs_in_flight=5), name) for name in ("alice", "bob"))
    added = await asyncio.gather(*(added_at_once(fair_use, store, each, calls=30) for each in (alice, bob)))

    assert added == [5, 5]


async def test_small_jobs_that_come_in_while_the_store_is_read_are_counted(hands: Hands) -> None:
    store = Reading(90)
    fair_use = FairUse(MemoryRateLimiter(), store, clock=hands, monotonic=hands.monotonic)  # type: ignore[arg-type]
    alice = with_limits(CallerLimits(dollars_per_month=0.000_1))
    (await fair_use.place_in_budget("alice", 100, 1)).leave()
    store.charges += 1
    store.may_answer.clear()
    large = asyncio.create_task(add_nothing(fair_use, alice, reserved=50))
    await eventually(lambda: store.waiting)

    held = store.charges + await places(fair_use, 9)
    store.may_answer.set()
    with pytest.raises(BudgetExceeded):
        await large
    held += await places(fair_use, 30)

    assert held == 100


async def test_jobs_in_flight_of_other_processes_are_seen(fair_use: FairUse, store: JobStore, hands: Hands) -> None:
    alice = with_limits(CallerLimits(jobs_in_flight=2))
    await add(fair_use, store, alice)
    for _ in range(2):
        await store.add(queued(alice))
    hands.forward(FRESH_SECONDS)

    with pytest.raises(RateLimited):
        await add(fair_use, store, alice)


async def test_store_is_asked_once_a_second_while_there_is_room(
    fair_use: FairUse, store: JobStore, counted: Counted, hands: Hands
) -> None:
    alice = with_limits(CallerLimits(jobs_in_flight=1000, dollars_per_month=1000))
    await added_at_once(fair_use, store, alice, calls=50, reserved=1)
    assert counted.reads == 2
    hands.forward(FRESH_SECONDS)
    await added_at_once(fair_use, store, alice, calls=50, reserved=1)
    assert counted.reads == 4


async def test_caller_without_limits_is_never_asked_for(fair_use: FairUse, store: JobStore, counted: Counted) -> None:
    await add(fair_use, store, CALLER, reserved=5)

    assert (counted.reads, fair_use.size) == (0, 0)


async def test_job_that_could_not_be_added_takes_no_place(fair_use: FairUse, store: JobStore) -> None:
    alice = with_limits(CallerLimits(jobs_in_flight=1))
    with pytest.raises(ZeroDivisionError):
        async with fair_use.admitting(alice, pixels=1, reserved=None):
            raise ZeroDivisionError
    await add(fair_use, store, alice)


async def test_budget_refuses_what_would_exceed_it_until_the_next_month(
    fair_use: FairUse, store: JobStore, hands: Hands
) -> None:
    alice = with_limits(CallerLimits(dollars_per_month=1.0))
    await add(fair_use, store, alice, reserved=600_000)
    with pytest.raises(BudgetExceeded) as caught:
        await add(fair_use, store, alice, reserved=400_001)
    await add(fair_use, store, alice, reserved=400_000)
    with pytest.raises(BudgetExceeded):
        await add(fair_use, store, alice, reserved=0)

    assert caught.value.retry_after_seconds == (DECEMBER - NOW).total_seconds()
    hands.forward(caught.value.retry_after_seconds)
    async with fair_use.admitting(alice, pixels=1, reserved=600_000):
        pass


async def test_concurrent_jobs_do_not_exceed_the_budget(fair_use: FairUse, store: JobStore) -> None:
    alice = with_limits(CallerLimits(dollars_per_month=1.0))

    assert await added_at_once(fair_use, store, alice, calls=30, reserved=300_000) == 3
    assert await store.charged(alice.account, "2026-11") == 900_000


async def test_budget_belongs_to_the_account(fair_use: FairUse, store: JobStore) -> None:
    alice = with_limits(CallerLimits(dollars_per_month=1.0))
    bob = replace(alice, id=CallerId("bob"))
    await add(fair_use, store, alice, reserved=1_000_000)

    with pytest.raises(BudgetExceeded):
        await add(fair_use, store, bob, reserved=1)


async def test_model_without_a_price_needs_no_budget(fair_use: FairUse, store: JobStore) -> None:
    await add(fair_use, store, with_limits(CallerLimits(dollars_per_month=0.0)), reserved=None)


async def test_what_is_given_back_may_be_spent_again(fair_use: FairUse, store: JobStore) -> None:
    alice = with_limits(CallerLimits(dollars_per_month=1.0))
    job = await add(fair_use, store, alice, reserved=1_000_000)
    await store.delete(job.id, at=NOW)

    await add(fair_use, store, alice, reserved=1_000_000)


@pytest.mark.parametrize("what", ["socket", "stream"])
def test_sockets_and_streams_are_counted_while_they_are_open(fair_use: FairUse, what: str) -> None:
    alice = with_limits(CallerLimits(sockets=2, streams=2))
    one_more = getattr(fair_use, what)
    with ExitStack() as open_ones:
        for _ in range(2):
            open_ones.enter_context(one_more(alice))
        with pytest.raises(RateLimited, match=r"connections|streams"), one_more(alice):
            pass
        with one_more(replace(alice, id=CallerId("bob"))):
            assert fair_use.size == 2
    with one_more(alice):
        pass

    assert fair_use.size == 0


async def test_figures_of_callers_who_left_are_forgotten(fair_use: FairUse, store: JobStore, hands: Hands) -> None:
    limits = CallerLimits(jobs_in_flight=1, dollars_per_month=1.0)
    for number in range(100):
        async with fair_use.admitting(with_limits(limits, f"caller-{number}"), pixels=1, reserved=1):
            pass
    assert fair_use.size == 200
    hands.forward(2 * FRESH_SECONDS)
    await add(fair_use, store, with_limits(limits), reserved=1)

    assert fair_use.size <= 3


async def test_usage_tells_every_kind(fair_use: FairUse, store: JobStore) -> None:
    limits = CallerLimits(
        requests_per_minute=60,
        jobs_per_minute=10,
        jobs_in_flight=5,
        pixels_per_day=1000,
        sockets=3,
        streams=4,
        dollars_per_month=2.5,
    )
    alice = with_limits(limits)
    await fair_use.admit_request(alice)
    await add(fair_use, store, alice, pixels=300, reserved=500_000)
    with fair_use.socket(alice), fair_use.stream(alice):
        usage = [*await fair_use.usage(alice)]

    assert [each.kind for each in usage] == list(LimitKind)
    assert use_of(usage, LimitKind.REQUESTS_PER_MINUTE)[:2] == (60, 1)
    assert use_of(usage, LimitKind.JOBS_PER_MINUTE)[:2] == (10, 1)
    assert use_of(usage, LimitKind.PIXELS_PER_DAY)[:2] == (1000, 300)
    assert use_of(usage, LimitKind.JOBS_IN_FLIGHT) == (5, 1, None)
    assert use_of(usage, LimitKind.SOCKETS) == (3, 1, None)
    assert use_of(usage, LimitKind.STREAMS) == (4, 1, None)
    assert use_of(usage, LimitKind.DOLLARS_PER_MONTH) == (2.5, 0.5, DECEMBER)
    assert use_of(usage, LimitKind.REQUESTS_PER_MINUTE)[2] is not None


async def test_usage_of_a_caller_without_limits_tells_what_is_known_anyhow(fair_use: FairUse, store: JobStore) -> None:
    await fair_use.admit_request(CALLER)
    await add(fair_use, store, CALLER, reserved=500_000)
    with fair_use.socket(CALLER):
        usage = [*await fair_use.usage(CALLER)]

    assert {each.limit for each in usage} == {None}
    assert {each.kind: each.used for each in usage if each.used} == {
        LimitKind.JOBS_IN_FLIGHT: 1,
        LimitKind.SOCKETS: 1,
        LimitKind.DOLLARS_PER_MONTH: 0.5,
    }


# --- submitting ------------------------------------------------------------------------------------------------------


async def test_reader_may_not_submit(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        with pytest.raises(NotPermitted):
            await shop.jobs.submit(replace(CALLER, role=CallerRole.READER), REQUEST)

        assert await shop.store.count_active(ALICE, 10) == 0


async def test_job_that_is_refused_is_not_queued(tmp_path: Path) -> None:
    limits = CallerLimits(pixels_per_day=PIXELS)
    async with a_shop(tmp_path, ScriptedEndpoint([]), defaults=limits) as shop:
        await shop.jobs.submit(CALLER, REQUEST)
        with pytest.raises(RateLimited):
            await shop.jobs.submit(CALLER, REQUEST)

        assert await shop.store.count_active(ALICE, 10) == 1


async def test_pixels_of_all_images_count(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([]), defaults=CallerLimits(pixels_per_day=3 * PIXELS - 1)) as shop:
        with pytest.raises(RateLimited):
            await shop.jobs.submit(CALLER, replace(REQUEST, count=3))
        await shop.jobs.submit(CALLER, replace(REQUEST, count=2))


@pytest.mark.parametrize(
    "limits",
    [CallerLimits(jobs_per_minute=1), CallerLimits(jobs_in_flight=1), CallerLimits(pixels_per_day=PIXELS)],
    ids=["jobs a minute", "in flight", "pixels"],
)
async def test_repeat_of_a_key_is_never_refused_by_a_limit(tmp_path: Path, limits: CallerLimits) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([]), defaults=limits) as shop:
        first = await shop.jobs.submit(CALLER, replace(REQUEST, idempotency_key="k"))
        again = await shop.jobs.submit(CALLER, replace(REQUEST, idempotency_key="k"))
        with pytest.raises(RateLimited):
            await shop.jobs.submit(CALLER, replace(REQUEST, idempotency_key="other"))
        with pytest.raises(IdempotencyConflict):
            await shop.jobs.submit(CALLER, replace(REQUEST, prompt="a dog", idempotency_key="k"))

        assert (again.is_new, again.job.id) == (False, first.job.id)


async def test_only_jobs_that_are_queued_use_pixels(tmp_path: Path) -> None:
    limits = CallerLimits(pixels_per_day=10 * PIXELS)
    async with a_shop(tmp_path, ScriptedEndpoint([]), defaults=limits) as shop:
        for _ in range(5):
            await shop.jobs.submit(CALLER, replace(REQUEST, idempotency_key="k"))
        refused: list[Text2ImageError] = []
        for service, request in (
            (shop.jobs, replace(REQUEST, prompt="a dog", idempotency_key="k")),
            (replace(shop.jobs, max_queued=1), REQUEST),
        ):
            with pytest.raises((IdempotencyConflict, QueueFull)) as caught:
                await service.submit(CALLER, request)
            refused.append(caught.value)

        assert [type(each) for each in refused] == [IdempotencyConflict, QueueFull]
        assert shop.jobs.fair_use is not None
        usage = [*await shop.jobs.fair_use.usage(CALLER)]
        assert use_of(usage, LimitKind.PIXELS_PER_DAY)[1] == PIXELS


async def test_budget_is_spent_by_what_jobs_cost(tmp_path: Path) -> None:
    endpoint = ScriptedEndpoint([an_answer(a_jpeg())])
    spent = CallerLimits(dollars_per_month=0.000_001)
    async with a_shop(tmp_path, endpoint, price=1000.0, defaults=spent) as shop, shop.working():
        # Nobody knows what the first one will cost, so it is let in.
        job = await shop.end_of((await shop.jobs.submit(CALLER, REQUEST)).job)
        assert job.cost is not None
        assert job.cost > 1
        with pytest.raises(BudgetExceeded, match="budget"):
            await shop.jobs.submit(CALLER, REQUEST)


async def test_jobs_of_others_do_not_exist(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        job = (await shop.jobs.submit(CALLER, REQUEST)).job

        assert await shop.jobs.get(CallerId("bob"), job.id) is None
        assert await shop.jobs.get(ALICE, job.id) == job


async def test_service_without_fair_use_refuses_nothing(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([]), defaults=CallerLimits(jobs_in_flight=0)) as shop:
        unlimited = replace(shop.jobs, fair_use=None)

        assert (await unlimited.submit(CALLER, REQUEST)).is_new

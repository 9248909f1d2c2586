"""Batches: what goes together, what does not, and who learns what of a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from graphql_api.adapters.job_store.batches import MOST_ITEMS, Batches
from graphql_api.domain.errors import ServiceUnavailable
from tests.clients.waiting import eventually

Item = tuple[str, int]


class Recorder:
    """Doubles numbers, batch by batch, as fast as it is allowed to."""

    def __init__(self) -> None:
        self.batches: list[list[Item]] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.errors: list[Exception] = []

    async def run(self, items: Sequence[Item]) -> Sequence[int]:
        self.batches.append(list(items))
        await self.may_go_on.wait()
        if self.errors:
            raise self.errors.pop()
        if any(number < 0 for _, number in items):
            raise ValueError("negative")
        return [2 * number for _, number in items]

    def batches_of(self) -> Batches[Item, int]:
        return Batches(self.run, key=lambda item: item[0])


async def test_what_comes_up_together_goes_together_and_each_gets_its_own_result() -> None:
    recorder = Recorder()
    batches = recorder.batches_of()

    results = await asyncio.gather(*(batches.ask((str(number), number)) for number in range(5)))

    assert results == [0, 2, 4, 6, 8]
    assert [len(batch) for batch in recorder.batches] == [5]


async def test_what_comes_up_meanwhile_goes_with_the_next() -> None:
    recorder = Recorder()
    recorder.may_go_on.clear()
    batches = recorder.batches_of()
    first = asyncio.create_task(batches.ask(("a", 1)))
    await eventually(lambda: recorder.batches)
    others = [asyncio.create_task(batches.ask((name, 2))) for name in "bcd"]
    await asyncio.sleep(0)
    recorder.may_go_on.set()

    assert await first == 2
    assert await asyncio.gather(*others) == [4, 4, 4]
    assert [len(batch) for batch in recorder.batches] == [1, 3]


async def test_two_items_with_one_key_are_never_in_one_batch() -> None:
    recorder = Recorder()
    batches = recorder.batches_of()

    results: list[int] = await asyncio.gather(*[batches.ask(("same", number)) for number in range(3)])

    assert results == [0, 2, 4]
    assert recorder.batches == [[("same", 0)], [("same", 1)], [("same", 2)]]


async def test_batches_are_bounded() -> None:
    recorder = Recorder()
    batches = recorder.batches_of()

    await asyncio.gather(*(batches.ask((str(number), number)) for number in range(MOST_ITEMS + 1)))

    assert [len(batch) for batch in recorder.batches] == [MOST_ITEMS, 1]


async def test_item_that_spoils_a_batch_fails_alone() -> None:
    recorder = Recorder()
    batches = recorder.batches_of()

    results = await asyncio.gather(
        batches.ask(("a", 1)), batches.ask(("b", -1)), batches.ask(("c", 3)), return_exceptions=True
    )

    assert results[0] == 2
    assert isinstance(results[1], ValueError)
    assert results[2] == 6


async def test_outage_fails_everybody_in_the_batch_at_once_and_nobody_after_it() -> None:
    recorder = Recorder()
    recorder.errors = [ServiceUnavailable()]
    batches = recorder.batches_of()

    results = await asyncio.gather(*(batches.ask((name, 1)) for name in "ab"), return_exceptions=True)

    assert all(isinstance(result, ServiceUnavailable) for result in results)
    assert len(recorder.batches) == 1
    assert await batches.ask(("c", 1)) == 2


async def test_whoever_leaves_before_its_batch_begins_is_not_in_it() -> None:
    recorder = Recorder()
    recorder.may_go_on.clear()
    batches = recorder.batches_of()
    first = asyncio.create_task(batches.ask(("a", 1)))
    await eventually(lambda: recorder.batches)
    second, third = (asyncio.create_task(batches.ask((name, 1))) for name in "bc")
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    recorder.may_go_on.set()

    assert (await first, await third) == (2, 2)
    with pytest.raises(asyncio.CancelledError):
        await second
    assert [name for batch in recorder.batches for name, _ in batch] == ["a", "c"]


async def test_closing_waits_for_what_is_under_way() -> None:
    recorder = Recorder()
    recorder.may_go_on.clear()
    batches = recorder.batches_of()
    asked = asyncio.create_task(batches.ask(("a", 1)))
    await eventually(lambda: recorder.batches)
    closing = asyncio.create_task(batches.close())
    await asyncio.sleep(0)
    assert not closing.done()
    recorder.may_go_on.set()
    await closing

    assert asked.done() or await asked == 2

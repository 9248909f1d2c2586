"""What waits for a server that is away is bounded, and the best of it is kept."""

from __future__ import annotations

from graphql_api.adapters.event_broker import valkey_outbox
from graphql_api.adapters.event_broker.valkey_outbox import Outbox, Parcel, Rank


def parcel(name: str, rank: Rank = Rank.MOVE, *, merge_key: str | None = None, size: int = 1) -> Parcel:
    return Parcel(0, rank, [(name,)], size, is_notice=True, merge_key=merge_key)


def names(parcels: list[Parcel]) -> list[str]:
    return [str(each.commands[0][0]) for each in parcels]


def an_outbox() -> tuple[Outbox, list[Parcel]]:
    dropped: list[Parcel] = []
    return Outbox(dropped.append), dropped


def filled(outbox: Outbox, *parcels: Parcel) -> None:
    for each in parcels:
        outbox.put(each)


def test_parcels_are_taken_in_the_order_in_which_they_were_put_in() -> None:
    outbox, _ = an_outbox()
    filled(outbox, *(parcel(str(number)) for number in range(1200)))

    taken = []
    while outbox:
        taken += outbox.take()

    assert names(taken) == [str(number) for number in range(1200)]


def test_later_report_of_progress_takes_the_place_of_an_earlier_one() -> None:
    outbox, dropped = an_outbox()
    filled(
        outbox,
        parcel("first", Rank.PROGRESS, merge_key="job"),
        parcel("move"),
        parcel("second", Rank.PROGRESS, merge_key="job"),
        parcel("other", Rank.PROGRESS, merge_key="other job"),
    )

    assert names(outbox.take()) == ["move", "second", "other"]
    assert dropped == []


def test_moves_are_kept_when_there_is_no_room_for_progress() -> None:
    outbox, dropped = an_outbox()
    full = valkey_outbox.MAX_PARCELS
    filled(outbox, *(parcel(f"progress {number}", Rank.PROGRESS) for number in range(10)))
    filled(outbox, *(parcel(f"move {number}") for number in range(full)))

    assert len(outbox) == full
    assert names(dropped) == [f"progress {number}" for number in range(10)]

    filled(outbox, parcel("one more"))

    assert len(outbox) == full
    assert names(dropped)[10:] == ["move 0"]


def test_few_previews_wait() -> None:
    outbox, dropped = an_outbox()
    filled(outbox, *(parcel(f"preview {number}", Rank.PREVIEW) for number in range(valkey_outbox.MAX_PREVIEWS + 5)))

    assert len(outbox) == valkey_outbox.MAX_PREVIEWS
    assert names(dropped) == [f"preview {number}" for number in range(5)]


def test_batch_is_not_larger_than_a_server_takes_in_one_piece() -> None:
    outbox, _ = an_outbox()
    filled(outbox, *(parcel(str(number), size=valkey_outbox.BATCH_BYTES // 2) for number in range(5)))

    assert [names(outbox.take()) for _ in range(3)] == [["0", "1"], ["2", "3"], ["4"]]


def test_what_was_not_sent_comes_first_again_unless_something_later_took_its_place() -> None:
    outbox, dropped = an_outbox()
    filled(outbox, parcel("a"), parcel("old", Rank.PROGRESS, merge_key="job"), parcel("b"))
    taken = outbox.take()
    filled(outbox, parcel("c"), parcel("new", Rank.PROGRESS, merge_key="job"))

    outbox.put_back(taken)

    assert names(outbox.take()) == ["a", "b", "c", "new"]
    assert dropped == []


def test_what_comes_back_is_bounded_too() -> None:
    outbox, dropped = an_outbox()
    filled(outbox, parcel("sent in vain"))
    taken = outbox.take()
    filled(outbox, *(parcel(str(number)) for number in range(valkey_outbox.MAX_PARCELS)))

    outbox.put_back(taken)

    assert len(outbox) == valkey_outbox.MAX_PARCELS
    assert names(dropped) == ["sent in vain"]

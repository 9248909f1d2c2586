"""What waits to be sent to a server, bounded whatever happens."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import count

from graphql_api.adapters.event_broker.valkey_link import Command

MAX_PARCELS = 20_000
"""A move is two to four parcels: one per topic, and one that forgets what was kept while the job ran."""
MAX_PREVIEWS = 64
BATCH_PARCELS = 500
BATCH_BYTES = 1024 * 1024


class Rank(IntEnum):
    """What goes first when there is no room; each is worth more than those before it."""

    PREVIEW = 0
    PROGRESS = 1
    MOVE = 2
    LOSS = 3


@dataclass(slots=True, eq=False)
class Parcel:
    """Commands for one slot that are sent together. A later parcel with the same `merge_key` takes the place of one
    that waits. `is_notice` tells whether somebody is left in the dark when it is dropped."""

    slot: int
    rank: Rank
    commands: Sequence[Command]
    size: int
    is_notice: bool
    merge_key: str | None = None


class Outbox:
    """Parcels in the order in which they were put in."""

    def __init__(self, on_dropped: Callable[[Parcel], None]) -> None:
        self._on_dropped = on_dropped
        self._waiting: OrderedDict[str | int, Parcel] = OrderedDict()
        self._by_rank: dict[Rank, OrderedDict[str | int, None]] = {rank: OrderedDict() for rank in Rank}
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, parcel: Parcel) -> None:
        """Add a parcel at the end; when there is no room, the oldest of the least worth is dropped."""
        key = self._key(parcel)
        if key in self._waiting:
            if parcel.rank is Rank.LOSS:
                # It says the same, and would never be sent if each further loss put it at the end.
                return
            self._remove(key)
        self._waiting[key] = parcel
        self._by_rank[parcel.rank][key] = None
        self._make_room()

    def put_back(self, parcels: Sequence[Parcel]) -> None:
        """Add parcels at the front that were taken and not sent, unless a later one has taken their place."""
        for parcel in reversed(parcels):
            key = self._key(parcel)
            if key not in self._waiting:
                self._waiting[key] = parcel
                self._waiting.move_to_end(key, last=False)
                self._by_rank[parcel.rank][key] = None
                self._by_rank[parcel.rank].move_to_end(key, last=False)
        self._make_room()

    def take(self) -> list[Parcel]:
        """Take the next parcels, as many as go into one batch."""
        taken: list[Parcel] = []
        size = 0
        while self._waiting and len(taken) < BATCH_PARCELS and size < BATCH_BYTES:
            key, parcel = self._waiting.popitem(last=False)
            del self._by_rank[parcel.rank][key]
            taken.append(parcel)
            size += parcel.size
        return taken

    def take_all(self) -> list[Parcel]:
        """Take everything."""
        taken = list(self._waiting.values())
        self._waiting.clear()
        for keys in self._by_rank.values():
            keys.clear()
        return taken

    def _make_room(self) -> None:
        while len(self._by_rank[Rank.PREVIEW]) > MAX_PREVIEWS:
            self._drop(Rank.PREVIEW)
        while len(self._waiting) > MAX_PARCELS:
            self._drop(next(rank for rank in Rank if self._by_rank[rank]))

    def _drop(self, rank: Rank) -> None:
        key = next(iter(self._by_rank[rank]))
        self._on_dropped(self._remove(key))

    def _remove(self, key: str | int) -> Parcel:
        parcel = self._waiting.pop(key)
        del self._by_rank[parcel.rank][key]
        return parcel

    def _key(self, parcel: Parcel) -> str | int:
        return next(self._numbers) if parcel.merge_key is None else parcel.merge_key

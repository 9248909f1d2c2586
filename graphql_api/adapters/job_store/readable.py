"""Reading rows that another version of the program may have written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from graphql_api.ports import DueDelivery

logger = logging.getLogger(__name__)

Row = TypeVar("Row", bound="Columns")


class Columns(Protocol):
    """A row, by the numbers of its columns."""

    def __getitem__(self, index: int, /) -> object: ...


def readable(rows: Iterable[Row], read: Callable[[Row], DueDelivery]) -> Sequence[DueDelivery]:
    """The deliveries of rows, whose first column is the ID of the job, without those that cannot be read. They are
    left until their lease is over: a newer version may know what to do with them."""
    deliveries = []
    for row in rows:
        try:
            deliveries.append(read(row))
        except Exception as error:
            # Whatever is wrong with one row, the others were claimed with it and must be sent.
            logger.warning("a delivery of job %s cannot be read by this version: %s", row[0], error)
    return deliveries

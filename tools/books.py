"""An order book rebuilt from events, order by order in queue order, as a feed handler would; the engine is not asked.

`Book.apply` takes every event row of a replay; `Book.of_state` reads the same book out of state rows.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from core.kinds import KEPT_PLACE, REMOVED, RESTING, ROW_SIZE, SIDE_MASK, EventKind, Side, StateKind
from core.messages import InstrumentState, OrderState
from core.rows import from_row
from tools.event_rows import EventRow

_GONE = frozenset({EventKind.CANCELED, EventKind.EXPIRED})


@dataclass(slots=True)
class BookOrder:
    """An order that stands in a book; price in ticks, leaves in lots."""

    order_number: int
    client_order_id: int
    account: int
    side: int
    price: int
    leaves: int


class Level(NamedTuple):
    """A price, the open quantity there, and the orders in queue order."""

    price: int
    quantity: int
    orders: tuple[BookOrder, ...]


class Book:
    """Both sides of one instrument."""

    def __init__(self, instrument: int) -> None:
        self.instrument = instrument
        self._orders: dict[int, BookOrder] = {}
        # Per side, price: order number: order. A dict keeps the order in which keys came, which is that of the queue.
        self._sides: tuple[dict[int, dict[int, BookOrder]], dict[int, dict[int, BookOrder]]] = ({}, {})

    @staticmethod
    def of_state(rows: bytes, instrument: int) -> "Book":
        """The book in the state rows of a venue (core.snapshot.dump), which stand in queue order."""
        book = Book(instrument)
        for row in state_rows(rows, StateKind.ORDER):
            if isinstance(row, OrderState) and row.instrument == instrument:
                side = row.flags & SIDE_MASK
                order = (row.order_number, row.client_order_id, row.account, side, row.price, row.leaves)
                book._add(BookOrder(*order))
        return book

    def apply(self, event: EventRow) -> None:
        """Change the book as this event says; events of other instruments and kinds change nothing."""
        if event.instrument != self.instrument:
            return
        kind = event.kind
        if (kind == EventKind.EXECUTED and not event.flags & REMOVED) or kind == EventKind.REDUCED:
            self._set_leaves(event.order_number, event.leaves)
        elif kind in _GONE:
            self._remove(event.order_number)
        elif kind == EventKind.RESTED or (kind == EventKind.ACCEPTED and event.flags & RESTING):
            self._add(_order_of(event))
        elif kind == EventKind.REPLACED:
            self._replace(event)

    def _replace(self, event: EventRow) -> None:
        order = self._orders[event.order_number]
        if event.flags & KEPT_PLACE:
            order.client_order_id, order.leaves = event.client_order_id, event.leaves
            return
        self._remove(event.order_number)
        if event.flags & RESTING:
            self._add(_order_of(event))

    def _set_leaves(self, number: int, leaves: int) -> None:
        self._orders[number].leaves = leaves
        if leaves == 0:
            self._remove(number)

    def _add(self, order: BookOrder) -> None:
        self._orders[order.order_number] = order
        self._sides[order.side].setdefault(order.price, {})[order.order_number] = order

    def _remove(self, number: int) -> None:
        order = self._orders.pop(number, None)
        if order is None:
            return
        queue = self._sides[order.side][order.price]
        del queue[number]
        if not queue:
            del self._sides[order.side][order.price]

    def __len__(self) -> int:
        return len(self._orders)

    def levels(self, side: int, depth: int | None = None) -> list[Level]:
        """The levels of a side from the best outwards, all or so many."""
        prices = sorted(self._sides[side], reverse=side == Side.BUY)[:depth]
        return [_level(price, self._sides[side][price]) for price in prices]

    def ahead(self, number: int) -> tuple[int, int] | None:
        """How many orders stand before this one at its price, and their open quantity; None if it does not stand."""
        order = self._orders.get(number)
        if order is None:
            return None
        count = quantity = 0
        for other in self._sides[order.side][order.price].values():
            if other is order:
                break
            count, quantity = count + 1, quantity + other.leaves
        return count, quantity


def _level(price: int, queue: dict[int, BookOrder]) -> Level:
    orders = tuple(queue.values())
    return Level(price, sum(order.leaves for order in orders), orders)


def _order_of(event: EventRow) -> BookOrder:
    side = event.flags & SIDE_MASK
    return BookOrder(event.order_number, event.client_order_id, event.account, side, event.price, event.leaves)


def state_rows(rows: bytes, kind: int) -> Iterator[object]:
    """The state rows of one kind, as Structs."""
    for at in range(0, len(rows), ROW_SIZE):
        if struct.unpack_from("<q", rows, at)[0] == kind:
            yield from_row(rows, at)


def instruments(rows: bytes) -> dict[str, InstrumentState]:
    """The instruments in state rows, by symbol."""
    found = (row for row in state_rows(rows, StateKind.INSTRUMENT) if isinstance(row, InstrumentState))
    return {row.symbol: row for row in found}

"""Both sides of a book by price, followed through events: the open quantity and the number of orders at each price.

Where `tools.books.Book` keeps every queue, this keeps sums, so that the best levels can be had after every row.
"""

from itertools import islice
from typing import NamedTuple

from sortedcontainers import SortedDict

from core.kinds import KEPT_PLACE, REMOVED, RESTING, SIDE_MASK, EventKind, Side, StateKind
from core.messages import OrderState
from tools.books import state_rows
from tools.event_rows import EventRow


class PriceLevel(NamedTuple):
    """A level: price in ticks, open quantity in lots, number of orders."""

    price: int
    quantity: int
    orders: int


class Ladders:
    """The two ladders of one instrument."""

    def __init__(self) -> None:
        # Side, price and open lots by order number; open lots and number of orders by price, best first: by its negative for buys.
        self._orders: dict[int, tuple[int, int, int]] = {}
        self._sides: tuple[SortedDict[int, tuple[int, int]], ...] = (SortedDict(), SortedDict())

    def apply(self, event: EventRow) -> bool:
        """Change the ladders as an event of this instrument says; whether it may have changed them."""
        kind, number = event.kind, event.order_number
        if kind == EventKind.EXECUTED:
            if event.flags & REMOVED:
                return False
            self._set(number, event.leaves)
        elif kind in {EventKind.ACCEPTED, EventKind.RESTED}:
            if not event.flags & RESTING:
                return False
            self.add(number, event.flags & SIDE_MASK, event.price, event.leaves)
        elif kind in {EventKind.REDUCED, EventKind.CANCELED, EventKind.EXPIRED}:
            # The leaves quantity of an order that is gone is 0; one that never stood is not known here.
            self._set(number, event.leaves)
        elif kind == EventKind.REPLACED:
            self._replace(event)
        else:
            return False
        return True

    def _replace(self, event: EventRow) -> None:
        if event.flags & KEPT_PLACE:
            self._set(event.order_number, event.leaves)
            return
        self._set(event.order_number, 0)
        if event.flags & RESTING:
            self.add(event.order_number, event.flags & SIDE_MASK, event.price, event.leaves)

    def add(self, number: int, side: int, price: int, leaves: int) -> None:
        """An order comes to stand."""
        self._orders[number] = side, price, leaves
        self._change(side, price, leaves, 1)

    def _set(self, number: int, leaves: int) -> None:
        known = self._orders.get(number)
        if known is None:
            return
        side, price, before = known
        if leaves == 0:
            del self._orders[number]
        else:
            self._orders[number] = side, price, leaves
        self._change(side, price, leaves - before, -(leaves == 0))

    def _change(self, side: int, price: int, lots: int, orders: int) -> None:
        key = -price if side == Side.BUY else price
        ladder = self._sides[side]
        quantity, count = ladder.get(key, (0, 0))
        if count + orders == 0:
            del ladder[key]
        else:
            ladder[key] = quantity + lots, count + orders

    def best(self, side: int) -> int | None:
        """The best price of a side."""
        ladder = self._sides[side]
        return abs(ladder.peekitem(0)[0]) if ladder else None

    def levels(self, side: int, depth: int | None = None) -> list[PriceLevel]:
        """The levels of a side from the best outwards, all or so many."""
        return [PriceLevel(abs(key), *level) for key, level in islice(self._sides[side].items(), depth)]


def ladders_of(rows: bytes) -> dict[int, Ladders]:
    """The ladders in the state rows of a venue (core.snapshot.dump), by instrument, where orders stand."""
    found: dict[int, Ladders] = {}
    for row in state_rows(rows, StateKind.ORDER):
        if isinstance(row, OrderState):
            ladders = found.setdefault(row.instrument, Ladders())
            ladders.add(row.order_number, row.flags & SIDE_MASK, row.price, row.leaves)
    return found

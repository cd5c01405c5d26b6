"""Both sides of a book by price, followed through events: the open quantity and the number of orders at each price.

Where `tools.books.Book` keeps every queue, this keeps sums beside it, so that the best levels can be had after every row.
Like it, it is the whole book: what hides and what icebergs do not show is counted.
"""

from itertools import islice
from typing import NamedTuple

from sortedcontainers import SortedDict

from core.kinds import Side, StateKind
from core.messages import InstrumentState
from tools.books import Book, BookOrder, standing, state_rows
from tools.event_rows import ORDER_EVENTS, EventRow


class PriceLevel(NamedTuple):
    """A level: price in ticks, open quantity in lots, number of orders."""

    price: int
    quantity: int
    orders: int


class Ladders:
    """The two ladders of one instrument."""

    def __init__(self, instrument: int) -> None:
        self._book = Book(instrument)
        # Open lots and number of orders by price, best first: by its negative for buys.
        self._sides: tuple[SortedDict[int, tuple[int, int]], ...] = (SortedDict(), SortedDict())

    def apply(self, event: EventRow) -> bool:
        """Change the ladders as an event of this instrument says; whether it may have changed them."""
        if event.kind not in ORDER_EVENTS:
            # What market data shows of an order changes nothing of what is open.
            self._book.apply(event)
            return False
        known = self._book.find(event.order_number)
        before = (known.side, known.price, known.leaves) if known is not None else None
        self._book.apply(event)
        found = self._book.find(event.order_number)
        after = (found.side, found.price, found.leaves) if found is not None else None
        if before == after:
            return False
        if before is not None:
            self._change(*before[:2], -before[2], -1)
        if after is not None:
            self._change(*after, 1)
        return True

    def add(self, order: BookOrder) -> None:
        """An order comes to stand."""
        self._book.stand(order)
        self._change(order.side, order.price, order.leaves, 1)

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
    """The ladders in the state rows of a venue (core.snapshot.dump), by instrument."""
    found: dict[int, Ladders] = {}
    for row in state_rows(rows, StateKind.INSTRUMENT):
        if isinstance(row, InstrumentState):
            ladders = found[row.instrument] = Ladders(row.instrument)
            for order in standing(rows, row.instrument):
                ladders.add(order)
    return found

"""An order book rebuilt from events, order by order in the order in which they trade; the engine is not asked.

It is the whole book, hidden orders and what icebergs do not show included, with what market data shows of each order.
`Book.apply` takes every event row of a replay; `Book.of_state` reads the same book out of state rows.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from core.kinds import (
    HIDDEN,
    KEPT_PLACE,
    RESTING,
    ROW_SIZE,
    SIDE_MASK,
    TIME_IN_FORCE_MASK,
    TIME_IN_FORCE_SHIFT,
    EventKind,
    Link,
    Side,
    StateKind,
    TimeInForce,
)
from core.messages import InstrumentState, OrderState, TermsState
from core.rows import from_row
from tools.event_rows import EventRow

_GONE = frozenset({EventKind.CANCELED, EventKind.EXPIRED})
_NEVER_RESTS = frozenset({TimeInForce.IOC, TimeInForce.FOK})


@dataclass(slots=True)
class BookOrder:
    """An order that stands in a book; price in ticks, leaves in lots, and `shown` of these in market data."""

    order_number: int
    client_order_id: int
    account: int
    side: int
    price: int
    leaves: int
    shown: int = -1
    hidden: bool = False

    def __post_init__(self) -> None:
        if self.shown < 0:
            self.shown = 0 if self.hidden else self.leaves

    def set_leaves(self, leaves: int) -> None:
        """So much is open now; an iceberg that showed a part of it shows that still, or all that is left."""
        self.shown = leaves if self.shown == self.leaves and not self.hidden else min(self.shown, leaves)
        self.leaves = leaves


class Level(NamedTuple):
    """A price, the open quantity there, and the orders as they trade: those that hide come last."""

    price: int
    quantity: int
    orders: tuple[BookOrder, ...]

    @property
    def shown(self) -> int:
        """The quantity that market data shows."""
        return sum(order.shown for order in self.orders)


class Book:
    """Both sides of one instrument."""

    def __init__(self, instrument: int) -> None:
        self.instrument = instrument
        self._orders: dict[int, BookOrder] = {}
        # Per side, price: order number: order. A dict keeps the order in which keys came, which is that of the queue.
        self._sides: tuple[dict[int, dict[int, BookOrder]], dict[int, dict[int, BookOrder]]] = ({}, {})
        # What is open of live orders that do not stand: `Rested` tells no more than what is shown.
        self._outside: dict[int, int] = {}
        # Those about to be accepted that arrive only when another one has traded.
        self._held: set[int] = set()

    @staticmethod
    def of_state(rows: bytes, instrument: int) -> "Book":
        """The book in the state rows of a venue (core.snapshot.dump), which stand in queue order."""
        book = Book(instrument)
        for order in standing(rows, instrument):
            book.stand(order)
        return book

    def apply(self, event: EventRow) -> None:
        """Change the book as this event says; events of other instruments and kinds change nothing."""
        if event.instrument != self.instrument:
            return
        kind = event.kind
        if kind in {EventKind.EXECUTED, EventKind.REDUCED, EventKind.TRIGGERED}:
            self._set_leaves(event.order_number, event.leaves)
        elif kind in _GONE:
            self._remove(event.order_number)
        elif kind == EventKind.RESTED:
            self._rest(event)
        elif kind in {EventKind.ACCEPTED, EventKind.ACTIVATED}:
            self._enter(event)
        elif kind == EventKind.ORDERS_LINKED and event.flags != Link.ONE_CANCELS_OTHER:
            # The order numbers of the second and the third order.
            self._held |= {event.quantity, event.order_number}
        elif kind in {EventKind.REPLACED, EventKind.RESTATED}:
            self._move(event)
        elif kind in {EventKind.TRADED, EventKind.DISPLAY_CHANGED} and event.order_number in self._orders:
            self._orders[event.order_number].shown = event.leaves

    def _enter(self, event: EventRow) -> None:
        """An order came in, or has another place. One that hides is told no more of than this: what it trades is told later."""
        if event.order_number in self._held:
            self._held.remove(event.order_number)
            self._outside[event.order_number] = event.leaves
        elif event.flags & RESTING or (event.flags & HIDDEN and event.price and _may_rest(event.flags)):
            self.stand(_order_of(event))
        else:
            self._outside[event.order_number] = event.leaves

    def _rest(self, event: EventRow) -> None:
        """What is left of an order stands, or its next display behind all others."""
        order = _order_of(event)
        known = self._orders.get(event.order_number)
        order.leaves = known.leaves if known is not None else self._outside.get(event.order_number, event.leaves)
        self._remove(event.order_number)
        self.stand(order)

    def _move(self, event: EventRow) -> None:
        order = self._orders.get(event.order_number)
        if event.flags & KEPT_PLACE:
            if order is None:
                self._outside[event.order_number] = event.leaves
            else:
                order.client_order_id = event.client_order_id
                order.set_leaves(event.leaves)
            return
        self._remove(event.order_number)
        self._enter(event)

    def _set_leaves(self, number: int, leaves: int) -> None:
        order = self._orders.get(number)
        if leaves == 0:
            self._remove(number)
        elif order is not None:
            order.set_leaves(leaves)
        else:
            self._outside[number] = leaves

    def stand(self, order: BookOrder) -> None:
        """An order comes to stand behind all others at its price."""
        self._orders[order.order_number] = order
        self._sides[order.side].setdefault(order.price, {})[order.order_number] = order

    def _remove(self, number: int) -> None:
        self._outside.pop(number, None)
        order = self._orders.pop(number, None)
        if order is None:
            return
        queue = self._sides[order.side][order.price]
        del queue[number]
        if not queue:
            del self._sides[order.side][order.price]

    def __len__(self) -> int:
        return len(self._orders)

    def find(self, number: int) -> BookOrder | None:
        """The order of this number, if it stands."""
        return self._orders.get(number)

    def levels(self, side: int, depth: int | None = None) -> list[Level]:
        """The levels of a side from the best outwards, all or so many."""
        prices = sorted(self._sides[side], reverse=side == Side.BUY)[:depth]
        return [level_of(price, self.queue(side, price)) for price in prices]

    def queue(self, side: int, price: int) -> list[BookOrder]:
        """The orders at a price as they trade; empty where there is no such level."""
        return sorted(self._sides[side].get(price, {}).values(), key=_is_hidden)

    def ahead(self, number: int) -> tuple[int, int] | None:
        """How many orders stand before this one at its price, and their open quantity; None if it does not stand."""
        order = self._orders.get(number)
        if order is None:
            return None
        count = quantity = 0
        for other in self.queue(order.side, order.price):
            if other is order:
                break
            count, quantity = count + 1, quantity + other.leaves
        return count, quantity


def _is_hidden(order: BookOrder) -> bool:
    return order.hidden


def _may_rest(flags: int) -> bool:
    return flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK not in _NEVER_RESTS


def level_of(price: int, orders: list[BookOrder]) -> Level:
    """A level of these orders."""
    return Level(price, sum(order.leaves for order in orders), tuple(orders))


def _order_of(event: EventRow) -> BookOrder:
    side, hidden = event.flags & SIDE_MASK, bool(event.flags & HIDDEN)
    names = (event.order_number, event.client_order_id, event.account, side)
    return BookOrder(*names, event.price, event.leaves, 0 if hidden else event.leaves, hidden)


def standing(rows: bytes, instrument: int | None = None) -> Iterator[BookOrder]:
    """The orders that stand in state rows, of one instrument or all: of each its shown orders, then those that hide."""
    found: OrderState | None = None
    for at in range(0, len(rows), ROW_SIZE):
        kind = struct.unpack_from("<q", rows, at)[0]
        if kind == StateKind.DIGEST:
            break
        terms = _terms(rows, at) if kind == StateKind.TERMS else None
        if found is not None:
            if terms is None or terms.waits == 0:
                yield _standing(found, terms.shown if terms is not None else 0)
            found = None
        if kind == StateKind.ORDER:
            row = from_row(rows, at)
            assert isinstance(row, OrderState)
            found = row if instrument in {None, row.instrument} else None
    if found is not None:
        yield _standing(found, 0)


def _terms(rows: bytes, at: int) -> TermsState:
    row = from_row(rows, at)
    assert isinstance(row, TermsState)
    return row


def _standing(row: OrderState, shown: int) -> BookOrder:
    side, hidden = row.flags & SIDE_MASK, bool(row.flags & HIDDEN)
    names = (row.order_number, row.client_order_id, row.account, side)
    return BookOrder(*names, row.price, row.leaves, 0 if hidden else shown or row.leaves, hidden)


def state_rows(rows: bytes, kind: int) -> Iterator[object]:
    """The state rows of one kind, as Structs."""
    for at in range(0, len(rows), ROW_SIZE):
        if struct.unpack_from("<q", rows, at)[0] == kind:
            yield from_row(rows, at)


def instruments(rows: bytes) -> dict[str, InstrumentState]:
    """The instruments in state rows, by symbol."""
    found = (row for row in state_rows(rows, StateKind.INSTRUMENT) if isinstance(row, InstrumentState))
    return {row.symbol: row for row in found}

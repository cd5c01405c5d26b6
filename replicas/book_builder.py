"""The book of one instrument, made from its market data rows alone: docs/market-data.md, as clients and server run it.

Pure: rows go in by number, one after the other; whoever calls reads, waits and asks again. Prices are in ticks,
quantities in lots, times in nanoseconds since 1970.
"""

import struct
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from sortedcontainers import SortedDict

from core.kinds import (
    COLUMNS,
    KEPT_PLACE,
    RESTING,
    SIDE_MASK,
    TYPE_MASK,
    TYPE_SHIFT,
    EventKind,
    OrderType,
    Side,
    TradingState,
)
from journal.errors import Damaged, Gap

TRADES_KEPT: Final = 1_024
"""Trades that `BookBuilder.trades` remembers unless it is told otherwise."""

_ROW: Final = struct.Struct(f"<{COLUMNS}q")


class Impossible(Damaged):
    """A row that does not fit the book: whoever wrote it, or whoever keeps this book, has lost something."""


class Resting(NamedTuple):
    """An order as it stands in the book; of an iceberg `leaves` is what it shows."""

    order_number: int
    side: int
    price: int
    leaves: int


class Level(NamedTuple):
    """All orders of one side at one price: their quantity in lots, and how many they are."""

    price: int
    quantity: int
    orders: int


class Best(NamedTuple):
    """The best level of each side; None for an empty side."""

    bid: Level | None
    ask: Level | None


class Trade(NamedTuple):
    """A match. `side` is that of the incoming order; `market_data` numbers the row that told it."""

    market_data: int
    time: int
    match_number: int
    side: int
    price: int
    quantity: int


class _Queue:
    """The orders at one price in order of time: a dict keeps them in the order in which they were added."""

    __slots__ = ("orders", "quantity")

    def __init__(self) -> None:
        self.orders: dict[int, int] = {}
        self.quantity = 0


class BookBuilder:
    """Both sides of one instrument's book after the rows up to market data number `number`.

    After Impossible the book is not to be trusted: take a snapshot.
    """

    def __init__(self, instrument: int, trades_kept: int = TRADES_KEPT) -> None:
        """The empty book that stands before the instrument's first row."""
        self.instrument = instrument
        self.number = 0
        self.state: int = TradingState.OPEN
        self.trades: deque[Trade] = deque(maxlen=trades_kept)
        self._sides: tuple[SortedDict[int, _Queue], SortedDict[int, _Queue]] = (SortedDict(), SortedDict())
        self._places: dict[int, tuple[int, int]] = {}

    def restore(self, orders: Iterable[Resting], number: int, state: int = TradingState.OPEN) -> None:
        """Replace the book by a snapshot taken at this market data number: orders of one price in queue order."""
        self.number = number
        self.state = state
        for side in self._sides:
            side.clear()
        self._places.clear()
        for order in orders:
            self._add(order.order_number, order.side, order.price, order.leaves)

    def apply(self, row: bytes, at: int = 0) -> None:
        """Take the market data row that begins at this offset. Nothing is changed by a row that is refused.

        Gap unless its number is the next one, Impossible if it is another instrument's or does not fit the book.
        """
        columns = _ROW.unpack_from(row, at)
        number = columns[15]
        if number != self.number + 1:
            raise Gap(self._name(number), f"the next number is {self.number + 1}")
        if columns[6] != self.instrument:
            raise Impossible(self._name(number), f"the row is of instrument {columns[6]}")
        self._take(columns)
        self.number = number

    def _take(self, columns: tuple[int, ...]) -> None:
        kind, flags, price, order, leaves = columns[0], columns[5], columns[9], columns[11], columns[12]
        match kind:
            case EventKind.ACCEPTED | EventKind.RESTED:
                self._enter(columns[15], order, flags, price, leaves)
            case EventKind.EXECUTED:
                self._execute(columns)
            case EventKind.TRADED:
                self._trade_in_part(columns)
            case EventKind.REDUCED:
                self._change(columns[15], order, price, leaves)
            case EventKind.DISPLAY_CHANGED:
                self._show(columns[15], order, price, leaves)
            case EventKind.CANCELED | EventKind.EXPIRED:
                self._remove(columns[15], order)
            case EventKind.REPLACED if flags & KEPT_PLACE:
                self._change(columns[15], order, price, leaves)
            case EventKind.REPLACED | EventKind.RESTATED:
                self._move(columns[15], order, flags, price, leaves)
            case EventKind.TRADING_STATE_CHANGED:
                self.state = columns[8]
            case EventKind.INSTRUMENT_DEFINED:
                pass
            case _:
                raise Impossible(self._name(columns[15]), f"rows of kind {kind} are no market data")

    def _enter(self, number: int, order: int, flags: int, price: int, leaves: int) -> None:
        if not flags & RESTING or leaves < 1:
            raise Impossible(self._name(number), f"order {order} does not rest")
        if order in self._places:
            raise Impossible(self._name(number), f"order {order} stands in the book already")
        self._add(order, flags & SIDE_MASK, price, leaves)

    def _execute(self, columns: tuple[int, ...]) -> None:
        price, quantity, order, leaves = columns[9:13]
        side, at, queue = self._find(columns[15], order)
        # Which order of a price trades is not known here: an instrument may share its levels by steps.
        if at != price or quantity < 1 or leaves < 0 or queue.orders[order] != leaves + quantity:
            raise Impossible(
                self._name(columns[15]), f"order {order} cannot trade {quantity} at {price}, with {leaves} left"
            )
        self._print(columns, side)
        if leaves == 0:
            self._drop(order, side, at, queue)
        else:
            queue.quantity -= quantity
            queue.orders[order] = leaves

    def _print(self, columns: tuple[int, ...], side: int) -> None:
        self.trades.append(Trade(columns[15], columns[2], columns[13], 1 - side, columns[9], columns[10]))

    def _trade_in_part(self, columns: tuple[int, ...]) -> None:
        """A match of an iceberg, which is executed like any other order; or of a hidden one, which is nowhere here."""
        if columns[11] != 0:
            self._execute(columns)
        elif columns[12] != 0 or columns[10] < 1:
            raise Impossible(self._name(columns[15]), f"a hidden order traded {columns[10]} and shows {columns[12]}")
        else:
            self._print(columns, columns[5] & SIDE_MASK)

    def _show(self, number: int, order: int, price: int, leaves: int) -> None:
        """An iceberg shows less than before, or something else in its place; at 0 it has left."""
        side, at, queue = self._find(number, order)
        if leaves == 0 and at == price:
            self._drop(order, side, at, queue)
        else:
            self._change(number, order, price, leaves)

    def _change(self, number: int, order: int, price: int, leaves: int) -> None:
        _, at, queue = self._find(number, order)
        if at != price or not 1 <= leaves <= queue.orders[order]:
            raise Impossible(self._name(number), f"order {order} cannot keep its place with {leaves} at {price}")
        queue.quantity += leaves - queue.orders[order]
        queue.orders[order] = leaves

    def _move(self, number: int, order: int, flags: int, price: int, leaves: int) -> None:
        """Take an order out and, with RESTING, put it at the back of its price. Only a pegged one need not stand before."""
        if leaves < 1:
            raise Impossible(self._name(number), f"order {order} moves with {leaves}")
        if order in self._places or not _may_be_parked(flags):
            side, at, queue = self._find(number, order)
            if flags & SIDE_MASK != side:
                raise Impossible(self._name(number), f"order {order} becomes one of side {flags & SIDE_MASK}")
            self._drop(order, side, at, queue)
        elif not flags & RESTING:
            raise Impossible(self._name(number), f"order {order} stood nowhere and stands nowhere")
        if flags & RESTING:
            self._add(order, flags & SIDE_MASK, price, leaves)

    def _remove(self, number: int, order: int) -> None:
        side, at, queue = self._find(number, order)
        self._drop(order, side, at, queue)

    def _find(self, number: int, order: int) -> tuple[int, int, _Queue]:
        place = self._places.get(order)
        if place is None:
            raise Impossible(self._name(number), f"order {order} does not stand in the book")
        return place[0], place[1], self._sides[place[0]][place[1]]

    def _add(self, order: int, side: int, price: int, leaves: int) -> None:
        levels = self._sides[side]
        queue = levels.get(price)
        if queue is None:
            queue = levels[price] = _Queue()
        queue.orders[order] = leaves
        queue.quantity += leaves
        self._places[order] = (side, price)

    def _drop(self, order: int, side: int, price: int, queue: _Queue) -> None:
        queue.quantity -= queue.orders.pop(order)
        del self._places[order]
        if not queue.orders:
            del self._sides[side][price]

    def _name(self, number: int) -> str:
        return f"market data {number} of instrument {self.instrument}"

    def _levels(self, side: int) -> Iterator[tuple[int, _Queue]]:
        levels = self._sides[side]
        prices = reversed(levels) if side == Side.BUY else iter(levels)
        return ((price, levels[price]) for price in prices)

    def __len__(self) -> int:
        """How many orders stand in the book."""
        return len(self._places)

    def orders(self, side: int) -> Iterator[Resting]:
        """Level 3: the orders of a side, best price first, at one price in order of time. Take no row while it is being read."""
        for price, queue in self._levels(side):
            for order, leaves in queue.orders.items():
                yield Resting(order, side, price, leaves)

    def depth(self, side: int, levels: int | None = None) -> list[Level]:
        """Level 2: the best so many price levels of a side (None: all), best first."""
        found: list[Level] = []
        for price, queue in self._levels(side):
            if levels is not None and len(found) >= levels:
                break
            found.append(Level(price, queue.quantity, len(queue.orders)))
        return found

    def best(self) -> Best:
        """Level 1: the best level of each side."""
        bids, asks = self.depth(Side.BUY, 1), self.depth(Side.SELL, 1)
        return Best(bids[0] if bids else None, asks[0] if asks else None)


def _may_be_parked(flags: int) -> bool:
    """Whether an order may live without standing, and come back: it is pegged to a price that may be missing."""
    return flags >> TYPE_SHIFT & TYPE_MASK == OrderType.PEGGED

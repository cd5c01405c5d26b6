"""The state rows of a venue, read where they lie: what stood where after one row of the journal.

A state of a hundred thousand orders is thirteen megabytes. Whole columns are taken out of it by strided slices, and
only the rows that were asked for become objects.
"""

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import groupby, islice
from operator import attrgetter
from typing import Final, NamedTuple

from core.kinds import COLUMNS, DECIMALS_MASK, QUANTITY_DECIMALS_SHIFT, ROW_SIZE, SIDE_MASK, Side, StateKind
from core.limits import DAY_BASE, LEVELS_MAX, SUM_MAX
from core.messages import CurrencyState, EngineState, InstrumentState, Row
from core.rows import from_row
from journal.check import columns
from tools.books import BookOrder, Level
from tools.failures import Misuse

_ROW: Final = struct.Struct("<16q")
_NUMBER: Final = 1
_INSTRUMENT: Final = 2
_ACCOUNT: Final = 3
_FLAGS: Final = 6
_PRICE: Final = 7
_GRANTED: Final = 2


class OrderRow(NamedTuple):
    """The columns of an OrderState."""

    kind: int
    order_number: int
    instrument: int
    account: int
    session: int
    client_order_id: int
    flags: int
    price: int
    leaves: int
    executed: int
    expires: int
    maker_rate: int
    taker_rate: int
    timer: int
    column_14: int
    column_15: int

    @property
    def side(self) -> int:
        """BUY or SELL."""
        return self.flags & SIDE_MASK


def decimals(flags: int) -> tuple[int, int]:
    """Displayed decimals of price and quantity, in the flags of an instrument."""
    return flags & DECIMALS_MASK, flags >> QUANTITY_DECIMALS_SHIFT & DECIMALS_MASK


class BookAt:
    """Both sides of one instrument, best levels first, orders in queue order."""

    def __init__(self, instrument: InstrumentState, rows: "array[int]") -> None:
        """`rows` are all columns of its orders, as a state holds them: buys, then sells."""
        self.instrument = instrument
        self._rows = rows
        count = len(rows) // COLUMNS
        sells = bisect_left(range(count), 1, key=lambda at: rows[at * COLUMNS + _FLAGS] & SIDE_MASK)
        self._sides = {Side.BUY: range(sells), Side.SELL: range(sells, count)}

    @property
    def bids(self) -> tuple[Level, ...]:
        """All levels of the buys."""
        return tuple(self.levels(Side.BUY))

    @property
    def asks(self) -> tuple[Level, ...]:
        """All levels of the sells."""
        return tuple(self.levels(Side.SELL))

    def levels(self, side: int, depth: int | None = None) -> list[Level]:
        """The levels of a side from the best outwards, all or so many."""
        return list(islice(self._levels(self._sides[Side(side)]), depth and min(depth, LEVELS_MAX)))

    def _levels(self, places: range) -> Iterator[Level]:
        prices = self._rows[_PRICE::COLUMNS]
        for price, queue in groupby(places, prices.__getitem__):
            orders = tuple(map(self._order, queue))
            yield Level(price, sum(order.leaves for order in orders), orders)

    def _order(self, at: int) -> BookOrder:
        row = OrderRow(*self._rows[at * COLUMNS : (at + 1) * COLUMNS])
        return BookOrder(row.order_number, row.client_order_id, row.account, row.side, row.price, row.leaves)


class VenueState:
    """State rows as `Machine.rows` writes them, which are checked already."""

    def __init__(self, rows: bytes) -> None:
        self.rows = rows
        self._columns = columns(rows)
        kinds = self._columns[::COLUMNS]
        # The rows before DIGEST stand in the order of their kinds.
        self._kinds = kinds[: kinds.index(StateKind.DIGEST)]
        engine = from_row(rows)
        assert isinstance(engine, EngineState)
        self.engine = engine

    def column(self, kind: int, column: int) -> "array[int]":
        """One column of all rows of a kind."""
        begin, end = self._range(kind)
        return self._columns[begin * COLUMNS + column : end * COLUMNS : COLUMNS]

    def count(self, kind: int) -> int:
        """How many rows of a kind there are."""
        begin, end = self._range(kind)
        return end - begin

    def _range(self, kind: int) -> tuple[int, int]:
        return bisect_left(self._kinds, kind), bisect_right(self._kinds, kind)

    def structs(self, kind: int, number: int | None = None) -> Iterator[Row]:
        """The rows of a kind, or those whose first column is this number: they stand in its order."""
        begin, end = self._range(kind)
        if number is not None:
            numbers = self.column(kind, _NUMBER)
            begin, end = begin + bisect_left(numbers, number), begin + bisect_right(numbers, number)
        return (from_row(self.rows, at * ROW_SIZE) for at in range(begin, end))

    def currencies(self) -> dict[int, CurrencyState]:
        """The currencies by number."""
        return {row.currency: row for row in self.structs(StateKind.CURRENCY) if isinstance(row, CurrencyState)}

    @cached_property
    def listed(self) -> dict[int, InstrumentState]:
        """The instruments by number."""
        found = self.structs(StateKind.INSTRUMENT)
        return {row.instrument: row for row in found if isinstance(row, InstrumentState)}

    def instrument(self, symbol: str) -> InstrumentState:
        """The instrument with this symbol; Misuse names those there are."""
        listed = {row.symbol: row for row in self.listed.values()}
        if symbol not in listed:
            known = ", ".join(listed) or "none"
            raise Misuse(f"no instrument {symbol} at row {self.engine.sequence}; known: {known}")
        return listed[symbol]

    def orders(self, begin: int, end: int) -> list[OrderRow]:
        """The open orders by their place among all, which is that of the books; `end` is left out."""
        first, _ = self._range(StateKind.ORDER)
        view = memoryview(self.rows)[(first + begin) * ROW_SIZE : (first + end) * ROW_SIZE]
        return list(map(OrderRow._make, _ROW.iter_unpack(view)))

    def book(self, instrument: InstrumentState) -> BookAt:
        """The book of an instrument, which reads its levels when they are asked for."""
        instruments, (first, _) = self.column(StateKind.ORDER, _INSTRUMENT), self._range(StateKind.ORDER)
        begin, end = (find(instruments, instrument.instrument) + first for find in (bisect_left, bisect_right))
        return BookAt(instrument, self._columns[begin * COLUMNS : end * COLUMNS])

    def orders_of_account(self, number: int) -> list[OrderRow]:
        """Its open orders by order number."""
        accounts = self.column(StateKind.ORDER, _ACCOUNT)
        first, _ = self._range(StateKind.ORDER)
        places = (at for at, account in enumerate(accounts, start=first) if account == number)
        found = (OrderRow._make(_ROW.unpack_from(self.rows, at * ROW_SIZE)) for at in places)
        return sorted(found, key=attrgetter("order_number"))

    def sessions_of(self, account: int) -> tuple[int, ...]:
        """The sessions that were granted an account, by number; operators act for every account without a grant."""
        sessions, accounts = self.column(StateKind.GRANT, _NUMBER), self.column(StateKind.GRANT, _GRANTED)
        return tuple(session for session, granted in zip(sessions, accounts, strict=True) if granted == account)

    def place_of(self, number: int) -> int | None:
        """Where an open order stands among all; None if it is not open."""
        numbers = self.column(StateKind.ORDER, _NUMBER)
        try:
            return numbers.index(number)
        except ValueError:
            return None

    def ahead(self, at: int) -> tuple[int, int]:
        """How many orders stand before the one at this place in the queue of its price, and their open quantity."""
        order = self.orders(at, at + 1)[0]
        count = quantity = 0
        while at > 0:
            at -= 1
            before = self.orders(at, at + 1)[0]
            if (before.instrument, before.side, before.price) != (order.instrument, order.side, order.price):
                break
            count, quantity = count + 1, quantity + before.leaves
        return count, quantity

    def is_gone(self, number: int) -> bool:
        """Whether an order was accepted by then, and is not open any more."""
        return 1 <= number <= self.engine.order_numbers and self.place_of(number) is None

    def is_over(self, order: OrderRow) -> bool:
        """Whether an order's time is over, told or not."""
        return order.expires <= self.engine.time or SUM_MAX < order.expires < DAY_BASE + self.engine.days

"""The state rows of a venue, read where they lie: what stood where after one row of the journal.

A state of a hundred thousand orders is thirteen megabytes. Whole columns are taken out of it by strided slices, and
only the rows that were asked for become objects.
"""

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby, islice
from operator import attrgetter
from typing import Final, NamedTuple

from core.kinds import COLUMNS, DECIMALS_MASK, HIDDEN, QUANTITY_DECIMALS_SHIFT, ROW_SIZE, SIDE_MASK, Side, StateKind
from core.limits import DAY_BASE, LEVELS_MAX, SUM_MAX
from core.messages import CurrencyState, EngineState, InstrumentState, Row, RulesState, TermsState
from core.rows import from_row
from journal.check import columns
from tools.books import BookOrder, Level, level_of
from tools.failures import Misuse

_ROW: Final = struct.Struct("<16q")
_PLAIN: Final = TermsState()
"""The terms of an order that says nothing of any."""
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

    @property
    def hidden(self) -> bool:
        """Whether market data shows nothing of it."""
        return self.flags & HIDDEN != 0

    @property
    def ladder(self) -> tuple[int, int, int]:
        """Instrument, side and hidden bit: orders trade by price and queue within one of these."""
        return self.instrument, self.side, self.flags & HIDDEN


def decimals(flags: int) -> tuple[int, int]:
    """Displayed decimals of price and quantity, in the flags of an instrument."""
    return flags & DECIMALS_MASK, flags >> QUANTITY_DECIMALS_SHIFT & DECIMALS_MASK


class BookAt:
    """Both sides of one instrument, best levels first, orders as they trade; hidden ones and all of icebergs included."""

    def __init__(self, instrument: InstrumentState, state: "VenueState", places: Sequence[int]) -> None:
        """`places` are those of its standing orders among all: the shown ladder of each side, then the hidden ones."""
        self.instrument = instrument
        self._state = state
        flags, prices = state.column(StateKind.ORDER, _FLAGS), state.column(StateKind.ORDER, _PRICE)
        self._prices = prices
        sides = {side: [at for at in places if flags[at] & SIDE_MASK == side] for side in Side}
        if any(flags[at] & HIDDEN for at in places):
            # Sorting keeps the order of equals, in which those that hide come behind.
            sides[Side.BUY].sort(key=prices.__getitem__, reverse=True)
            sides[Side.SELL].sort(key=prices.__getitem__)
        self._sides = sides

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

    def _levels(self, places: list[int]) -> Iterator[Level]:
        for price, queue in groupby(places, self._prices.__getitem__):
            yield level_of(price, [self._order(at) for at in queue])

    def _order(self, at: int) -> BookOrder:
        row = self._state.order(at)
        names = (row.order_number, row.client_order_id, row.account, row.side)
        shown = 0 if row.hidden else self._state.terms(row.order_number).shown or row.leaves
        return BookOrder(*names, row.price, row.leaves, shown, row.hidden)


class VenueState:
    """State rows as `Machine.rows` writes them, which are checked already."""

    def __init__(self, rows: bytes) -> None:
        self.rows = rows
        self._columns = columns(rows)
        kinds = self._columns[::COLUMNS]
        self._kinds = kinds[: kinds.index(StateKind.DIGEST)]
        self._places: dict[int, Sequence[int]] = {}
        engine = from_row(rows)
        assert isinstance(engine, EngineState)
        self.engine = engine

    def column(self, kind: int, column: int) -> "array[int]":
        """One column of all rows of a kind."""
        places = self._rows_of(kind)
        if isinstance(places, range):
            return self._columns[places.start * COLUMNS + column : places.stop * COLUMNS : COLUMNS]
        return array("q", [self._columns[at * COLUMNS + column] for at in places])

    def count(self, kind: int) -> int:
        """How many rows of a kind there are."""
        return len(self._rows_of(kind))

    def _rows_of(self, kind: int) -> Sequence[int]:
        """Where the rows of a kind stand: mostly one behind the other, but RULES and TERMS stand between what they are of."""
        if kind not in self._places:
            count = self._kinds.count(kind)
            first = self._kinds.index(kind) if count else 0
            together = range(first, first + count)
            apart = self._kinds[first : first + count].count(kind) != count
            self._places[kind] = [at for at, other in enumerate(self._kinds) if other == kind] if apart else together
        return self._places[kind]

    def structs(self, kind: int, number: int | None = None) -> Iterator[Row]:
        """The rows of a kind, or those whose first column is this number: they stand in its order."""
        places = self._rows_of(kind)
        if number is not None:
            numbers = self.column(kind, _NUMBER)
            places = places[bisect_left(numbers, number) : bisect_right(numbers, number)]
        return (from_row(self.rows, at * ROW_SIZE) for at in places)

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

    def rules(self, instrument: int) -> RulesState | None:
        """The rules of an instrument; None where none were set."""
        return next((row for row in self.structs(StateKind.RULES, instrument) if isinstance(row, RulesState)), None)

    @cached_property
    def _terms(self) -> dict[int, TermsState]:
        return {row.order_number: row for row in self.structs(StateKind.TERMS) if isinstance(row, TermsState)}

    def terms(self, number: int) -> TermsState:
        """What an order has that is more than plain; nothing for a plain one."""
        return self._terms.get(number, _PLAIN)

    def order(self, at: int) -> OrderRow:
        """The open order at this place among all: those of the books first, then those that wait."""
        begin = self._rows_of(StateKind.ORDER)[at] * ROW_SIZE
        return OrderRow._make(_ROW.unpack_from(self.rows, begin))

    def book(self, instrument: InstrumentState) -> BookAt:
        """The book of an instrument, which reads its levels when they are asked for."""
        instruments = self.column(StateKind.ORDER, _INSTRUMENT)
        places: Sequence[int] = [at for at, of in enumerate(instruments) if of == instrument.instrument]
        if self._terms:
            numbers = self.column(StateKind.ORDER, _NUMBER)
            places = [at for at in places if self.terms(numbers[at]).waits == 0]
        return BookAt(instrument, self, places)

    def waiting(self, instrument: int) -> int:
        """How many live orders of an instrument stand in no book."""
        numbers, instruments = (self.column(StateKind.ORDER, column) for column in (_NUMBER, _INSTRUMENT))
        outside = {number for number, terms in self._terms.items() if terms.waits}
        return sum(of == instrument and number in outside for number, of in zip(numbers, instruments, strict=True))

    def orders_of_account(self, number: int) -> list[OrderRow]:
        """Its open orders by order number."""
        accounts = self.column(StateKind.ORDER, _ACCOUNT)
        found = (self.order(at) for at, account in enumerate(accounts) if account == number)
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

    def ahead(self, at: int) -> tuple[int, int] | None:
        """How many orders trade before the one at this place at its price, and their open quantity; None if it waits."""
        order = self.order(at)
        if self.terms(order.order_number).waits:
            return None
        count = quantity = 0
        while at > 0:
            at -= 1
            before = self.order(at)
            if (before.ladder, before.price) != (order.ladder, order.price):
                break
            count, quantity = count + 1, quantity + before.leaves
        if order.hidden:
            # What is shown at its price trades before all that hides there.
            level = [
                one for one in self.book(self.listed[order.instrument]).levels(order.side) if one.price == order.price
            ]
            shown = [other.leaves for other in level[0].orders if not other.hidden]
            count, quantity = count + len(shown), quantity + sum(shown)
        return count, quantity

    def is_gone(self, number: int) -> bool:
        """Whether an order was accepted by then, and is not open any more."""
        return 1 <= number <= self.engine.order_numbers and self.place_of(number) is None

    def is_over(self, order: OrderRow) -> bool:
        """Whether an order's time is over, told or not."""
        return order.expires <= self.engine.time or SUM_MAX < order.expires < DAY_BASE + self.engine.days

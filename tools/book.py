"""`lockstep book`: the ladder of an instrument at any moment."""

from dataclasses import replace
from itertools import zip_longest
from typing import Annotated, Any, Protocol

import typer
from rich.table import Table

from core.kinds import DECIMALS_MASK, QUANTITY_DECIMALS_SHIFT, Side
from core.messages import InstrumentState
from tools.books import Book, BookOrder, Level, instruments, level_of
from tools.failures import Misuse
from tools.moments import clock_text, moment
from tools.options import At, Journal, Json, Time
from tools.output import decimal_text, print_json, print_table
from tools.reading import machine_at, opened


def book(
    journal: Journal,
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="The instrument's symbol.", show_default=False)],
    at: At = None,
    time: Time = None,
    depth: Annotated[int, typer.Option(min=1, help="Levels of each side.")] = 10,
    orders: Annotated[bool, typer.Option("--orders", help="Order by order, in queue order.")] = False,
    shown: Annotated[bool, typer.Option("--shown", help="What market data shows, and nothing else.")] = False,
    as_json: Json = False,
) -> None:
    """Draw a book as it stood after any row or at any time: all of it, with what market data shows where that is less.

    Example: lockstep book venue AAA --at 1000 --depth 5
    """
    with opened(journal) as source:
        machine = machine_at(source, moment(source, at, time, ("--at", "--time")))
    rows = machine.rows()
    listed = instruments(rows)
    if symbol not in listed:
        known = ", ".join(listed) or "none"
        raise Misuse(f"no instrument {symbol} at row {machine.engine.sequence}; known: {known}")
    whole = Book.of_state(rows, listed[symbol].instrument)
    view = View(listed[symbol], ShownPart(whole) if shown else whole, depth)
    if as_json:
        print_json(view.json(machine.engine.sequence, machine.engine.now, orders=orders))
        return
    print(f"{symbol} after row {machine.engine.sequence}, {clock_text(machine.engine.now)}")
    print_table(view.table(orders=orders))


class Shown(Protocol):
    """A book, however it was rebuilt."""

    def levels(self, side: int, depth: int | None = None) -> list[Level]:
        """The levels of a side from the best outwards, all or so many."""


class ShownPart:
    """The part of a book that market data shows."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def levels(self, side: int, depth: int | None = None) -> list[Level]:
        """The levels of a side from the best outwards, all or so many."""
        found = []
        for level in self._book.levels(side):
            orders = [replace(order, leaves=order.shown) for order in level.orders if order.shown]
            if orders:
                found.append(level_of(level.price, orders))
        return found[:depth]


class View:
    """A book with the decimals that its instrument displays."""

    def __init__(self, instrument: InstrumentState, shown: Shown, depth: int) -> None:
        self._instrument = instrument
        self._price_decimals = instrument.flags & DECIMALS_MASK
        self._quantity_decimals = instrument.flags >> QUANTITY_DECIMALS_SHIFT & DECIMALS_MASK
        self._bids = shown.levels(Side.BUY, depth)
        self._asks = shown.levels(Side.SELL, depth)

    def json(self, sequence: int, time: int, *, orders: bool) -> dict[str, Any]:
        """The book in ticks and lots."""
        return {
            "symbol": self._instrument.symbol,
            "sequence": sequence,
            "time": time,
            "price_decimals": self._price_decimals,
            "quantity_decimals": self._quantity_decimals,
            "bids": [_level_json(level, orders=orders) for level in self._bids],
            "asks": [_level_json(level, orders=orders) for level in self._asks],
        }

    def table(self, *, orders: bool) -> Table:
        """Bids on the left, asks on the right, best first."""
        table = Table()
        headings = ("order", "quantity", "bid", "ask", "quantity", "order")
        for name in headings if orders else headings[1:-1]:
            table.add_column(name, justify="right" if name != "ask" else "left")
        split = self._order_cells if orders else self._level_cells
        blank = ("",) * (len(table.columns) // 2)
        for bid, ask in zip_longest(split(self._bids), split(self._asks), fillvalue=blank):
            table.add_row(*bid, *reversed(ask))
        return table

    def _level_cells(self, levels: list[Level]) -> list[tuple[str, ...]]:
        return [(self._marked(level.quantity, level.shown), self._price(level.price)) for level in levels]

    def _order_cells(self, levels: list[Level]) -> list[tuple[str, ...]]:
        return [
            (str(order.order_number), self._marked(order.leaves, order.shown), self._price(level.price))
            for level in levels
            for order in level.orders
        ]

    def _marked(self, lots: int, shown: int) -> str:
        """A quantity, with what market data shows of it where that is less."""
        if shown == lots:
            return self._quantity(lots)
        return f"{self._quantity(lots)} ({self._quantity(shown) + ' shown' if shown else 'hidden'})"

    def _price(self, ticks: int) -> str:
        return decimal_text(ticks, self._price_decimals)

    def _quantity(self, lots: int) -> str:
        return decimal_text(lots, self._quantity_decimals)


def _level_json(level: Level, *, orders: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"price": level.price, "quantity": level.quantity, "count": len(level.orders)}
    told["shown"] = level.shown
    if orders:
        told["orders"] = [_order_json(order) for order in level.orders]
    return told


def _order_json(order: BookOrder) -> dict[str, int]:
    return {
        "order_number": order.order_number,
        "client_order_id": order.client_order_id,
        "account": order.account,
        "quantity": order.leaves,
        "shown": order.shown,
    }

"""Reading a log of Bitstamp's order feed: `<ms since 1970> <type> <JSON>`, prices in USD, amounts in BTC.

`order_created`, `order_changed` and `order_deleted` tell one order each, with the amount that is left of it; they come late,
and some are missing. `order_book` is the venue's own book at that moment, twenty levels a side, which the result can be
held against. What the feed contradicts itself in is counted.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from core.kinds import Side
from core.limits import SUM_MAX
from tools.importing.feed_book import FeedBook, Quote
from tools.importing.source import Listing, Malformed, Source, Step, checked, reading

LISTING: Final = Listing("BTC/USD", 2, 8)
_NS: Final = 10**6
_SIDES: Final = (Side.BUY, Side.SELL)


class Published(NamedTuple):
    """A book of the venue; `steps` is how many steps come before it. Levels are price in cents, quantity in 1e-8 BTC."""

    steps: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


class _Order(msgspec.Struct):
    id: Annotated[int, Meta(ge=1, le=2**62 - 1)]
    price: str
    amount: str
    order_type: Annotated[int, Meta(ge=0, le=1)]


class _Book(msgspec.Struct):
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


def read(path: Path, symbol: str | None = None) -> tuple[Source, list[Published]]:
    """The flow of a log, and the books that were published in it. Failure, or Malformed with the number of the line."""
    reader = _Reader()
    with reading(path) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                reader.line(line)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                raise Malformed(path, number, str(error)) from None
    listing = LISTING._replace(symbol=symbol or LISTING.symbol)
    left_out = reader.left_out + Counter({"orders that cross to the end": len(reader.book.waiting)})
    source = Source(listing.symbol, listing.price_decimals, [], reader.steps, dict(left_out), (listing,))
    return source, reader.published


class _Reader:
    def __init__(self) -> None:
        self.book = FeedBook(1)
        self.steps: list[Step] = []
        self.published: list[Published] = []
        self.left_out: Counter[str] = Counter()
        self._gone: set[int] = set()
        self._time = 0

    def line(self, line: bytes) -> None:
        """Take one line. ValueError, RecursionError, msgspec.MsgspecError."""
        time, kind, text = line.split(b" ", 2)
        if not 0 <= int(time) * _NS <= SUM_MAX:
            raise ValueError(f"time {int(time)} is out of range")
        # No two commands have one time; the feed counts milliseconds.
        self._time = max(self._time, int(time) * _NS)
        if kind in {b"order_created", b"order_changed", b"order_deleted"}:
            self._order(kind, msgspec.json.decode(text, type=_Order))
        elif kind == b"order_book":
            book = msgspec.json.decode(text, type=_Book)
            self.published.append(Published(len(self.steps), _levels(book.bids), _levels(book.asks)))
        elif kind == b"trade":
            self.left_out["trades"] += 1
        else:
            raise ValueError(f"type {kind.decode(errors='replace')!a}: no such message")

    def _order(self, kind: bytes, order: _Order) -> None:
        quote = Quote(_SIDES[order.order_type], shifted(order.price, 2), shifted(order.amount, 8))
        known = order.id in self.book
        if order.id in self._gone:
            self.left_out["messages about orders that had gone"] += 1
            return
        if kind != b"order_created" and not known:
            self.left_out[f"{kind.decode().removeprefix('order_')} orders that were not known"] += 1
        if kind == b"order_created" and known:
            self.left_out["orders created twice, taken as changed"] += 1
        if kind == b"order_deleted" or quote.quantity == 0:
            self._gone.add(order.id)
            self._add(self.book.remove(order.id, 0))
        elif known or kind == b"order_created":
            self._stand(order.id, quote)

    def _stand(self, order: int, quote: Quote) -> None:
        if quote.fits():
            self._add(self.book.put(order, quote, 0))
        else:
            self.left_out["orders of a price or quantity out of range"] += 1
            self._add(self.book.remove(order, 0))

    def _add(self, steps: Iterator[Step]) -> None:
        for step in steps:
            self._time += 1
            self.steps.append(checked(step._replace(time=self._time)))


def _levels(levels: list[tuple[str, str]]) -> list[tuple[int, int]]:
    return [(shifted(price, 2), shifted(amount, 8)) for price, amount in levels]


def shifted(text: str, decimals: int) -> int:
    """A decimal number without sign as an integer of units of its last digit. ValueError if it has more decimals."""
    whole, _, fraction = text.partition(".")
    if not (whole + fraction).isdecimal() or not text.isascii() or fraction[decimals:].strip("0"):
        raise ValueError(f"{text!a} is no number of {decimals} decimals")
    return int(whole + fraction[:decimals].ljust(decimals, "0"))

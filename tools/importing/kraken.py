"""Reading a capture of Kraken's book feed (WebSocket, version 1): `<unix time>: <JSON>`, numbers as strings.

A snapshot lists the levels of a pair, an update sets some of them (a volume of zero removes one) and carries a checksum of the
ten best levels a side as the venue has them. Each level is kept as one order, or as several where its volume is too large
for one command. Of each message what is removed goes first: what then enters crosses nothing.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from core.kinds import Side
from core.limits import PRICE_MAX, SCALE_MAX, SUM_MAX
from tools.importing.bitstamp import shifted
from tools.importing.feed_book import FeedBook, Quote, parts
from tools.importing.source import Listing, Malformed, Source, Step, checked, is_symbol, reading

TOP: Final = 10
"""Levels a side that the checksum covers."""
VOLUME_DECIMALS: Final = 8
_CHANNEL: Final = re.compile(r"book-([1-9][0-9]{0,8})")
_LINE: Final = re.compile(rb"(\d+)(?:\.(\d{1,9}))?: (.*)")
_NS: Final = 10**9
_SNAPSHOT: Final = {"as", "bs"}
_SIDES: Final = {"as": Side.SELL, "bs": Side.BUY, "a": Side.SELL, "b": Side.BUY}

_Part = dict[str, list[list[str]] | str]


class Checksum(NamedTuple):
    """What the venue says of a book; `steps` is how many steps come before it, `instrument` counts from 1."""

    steps: int
    instrument: int
    crc: int


class Pair:
    """The levels of one pair, and the orders that stand for each.

    `depth` is how many levels a side the feed keeps; what lies beyond is no longer told of.
    """

    def __init__(self, instrument: int, decimals: int, depth: int) -> None:
        self.instrument = instrument
        self.decimals = decimals
        self.depth = depth
        self._book = FeedBook(instrument)
        self._orders: tuple[dict[int, list[int]], dict[int, list[int]]] = ({}, {})

    def clear(self) -> Iterator[Step]:
        """Remove every order."""
        for levels in self._orders:
            for orders in levels.values():
                for order in orders:
                    yield from self._book.remove(order, 0)
            levels.clear()

    def apply(self, changes: list[Quote], numbers: Iterator[int]) -> Iterator[Step]:
        """Set levels; `numbers` gives each new order an id that none had."""
        for quote in changes:
            for order in self._orders[quote.side].pop(quote.price, ()):
                yield from self._book.remove(order, 0)
        # A level that one message sets twice has what it said last.
        for quote in {quote[:2]: quote for quote in changes}.values():
            if quote.quantity:
                yield from self._set(quote, numbers)
        for side in _SIDES.values():
            yield from self._cut(side)

    def _set(self, quote: Quote, numbers: Iterator[int]) -> Iterator[Step]:
        orders = self._orders[quote.side][quote.price] = []
        for part in parts(quote):
            orders.append(next(numbers))
            yield from self._book.put(orders[-1], part, 0)

    def _cut(self, side: int) -> Iterator[Step]:
        """Remove the worst levels of a side that has too many."""
        levels = self._orders[side]
        while len(levels) > self.depth:
            for order in levels.pop(min(levels) if side == Side.BUY else max(levels)):
                yield from self._book.remove(order, 0)


def crc(asks: list[tuple[int, int]], bids: list[tuple[int, int]]) -> int:
    """The venue's checksum of the best levels, best first: of each price and volume the digits, without point and leading zeros."""
    digits = "".join(f"{price}{quantity}" for levels in (asks, bids) for price, quantity in levels[:TOP])
    return zlib.crc32(digits.encode())


def read(path: Path) -> tuple[Source, list[Checksum]]:
    """The flow of a capture, and the checksums in it. Failure, or Malformed with the number of the line."""
    reader = _Reader()
    with reading(path) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                reader.line(line)
            except (msgspec.MsgspecError, ValueError, KeyError, TypeError, RecursionError) as error:
                raise Malformed(path, number, f"no message of the book feed: {error}") from None
    listed = tuple(Listing(symbol, pair.decimals, VOLUME_DECIMALS) for symbol, pair in reader.pairs.items())
    first = listed[0] if listed else Listing("IMPORT", 0)
    name = f"{len(listed)} pairs" if len(listed) > 1 else first.symbol
    return Source(name, first.price_decimals, [], reader.steps, dict(reader.left_out), listed), reader.checksums


class _Reader:
    def __init__(self) -> None:
        self.pairs: dict[str, Pair] = {}
        self.steps: list[Step] = []
        self.checksums: list[Checksum] = []
        self.left_out: Counter[str] = Counter()
        self._time = 0
        self._numbers = iter(range(1, 2**62))

    def line(self, line: bytes) -> None:
        """Take one line; those of the connection itself say nothing. ValueError, KeyError, TypeError, RecursionError, MsgspecError."""
        found = _LINE.fullmatch(line.rstrip())
        if found is None or not found[3].startswith(b"["):
            return
        _, *told, channel, symbol = msgspec.json.decode(found[3])
        merged = {key: value for part in msgspec.convert(told, list[_Part]) for key, value in part.items()}
        time = int(found[1]) * _NS + int((found[2] or b"").ljust(9, b"0"))
        if time > SUM_MAX:
            raise ValueError(f"time {int(found[1])} is out of range")
        self._time = max(self._time, time)
        depth = _CHANNEL.fullmatch(channel)
        if depth is None:
            raise ValueError(f"channel {channel!a}: no book")
        self._message(symbol, int(depth[1]), merged)

    def _message(self, symbol: str, depth: int, told: _Part) -> None:
        levels = [
            (side, level) for key, side in _SIDES.items() for level in told.get(key, ()) if isinstance(level, list)
        ]
        pair = self.pairs.get(symbol) or self._listed(symbol, depth, levels)
        pair.depth = depth
        quotes = [
            Quote(side, shifted(price, pair.decimals), shifted(volume, VOLUME_DECIMALS))
            for side, (price, volume, *_) in levels
        ]
        changes = [quote for quote in quotes if 0 < quote.price <= PRICE_MAX]
        if len(changes) < len(quotes):
            self.left_out["levels beyond the largest price"] += len(quotes) - len(changes)
        # A snapshot replaces what was told before.
        for step in chain(pair.clear() if told.keys() & _SNAPSHOT else (), pair.apply(changes, self._numbers)):
            self._time += 1
            self.steps.append(checked(step._replace(time=self._time)))
        if "c" in told:
            self.checksums.append(Checksum(len(self.steps), pair.instrument, int(str(told["c"]))))

    def _listed(self, symbol: str, depth: int, levels: list[tuple[Side, list[str]]]) -> Pair:
        """A pair that is told of for the first time, with as many decimals as its prices have."""
        if not is_symbol(symbol):
            raise ValueError(f"pair {symbol!a}: no symbol")
        decimals = max((len(price.partition(".")[2]) for _, (price, *_) in levels), default=0)
        if decimals > SCALE_MAX:
            raise ValueError(f"a price of {decimals} decimals: at most {SCALE_MAX}")
        pair = self.pairs[symbol] = Pair(len(self.pairs) + 1, decimals, depth)
        return pair

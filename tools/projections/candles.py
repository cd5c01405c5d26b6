"""Candles: the matches of each instrument in intervals of time, counted from 1970."""

import re
from collections.abc import Iterator
from typing import Final

from tools.failures import Misuse
from tools.projections.tables import Batch, Fold, Match, Select, Table, Type, Values, matches, table

_UNITS: Final = {
    "d": 86_400 * 10**9, "h": 3_600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1,
}  # fmt: skip
_LONGEST: Final = 366 * _UNITS["d"]


def interval(text: str) -> int:
    """An interval like `250ms`, `1s`, `5m`, `1h` in ns. Misuse."""
    found = re.fullmatch(r"([1-9][0-9]{0,17})(ns|us|ms|s|m|h|d)", text, re.ASCII)
    if found is None:
        raise Misuse(f"--interval {text}: not a number and a unit: ns, us, ms, s, m, h or d")
    length = int(found[1]) * _UNITS[found[2]]
    if length > _LONGEST:
        raise Misuse(f"--interval {text}: longer than 366 days")
    return length


def interval_text(length: int) -> str:
    """The shortest text for an interval: one interval, one name."""
    unit = next(unit for unit, size in _UNITS.items() if length % size == 0)
    return f"{length // _UNITS[unit]}{unit}"


class Candles(Fold):
    """A candle is open until a match of its instrument falls into a later interval; one without matches has no row."""

    def __init__(self, length: int) -> None:
        """Intervals of so many ns."""
        self.name = f"candles_{interval_text(length)}"
        self._length = length
        self._table = table(
            self.name, 2,
            instrument=Type.INTEGER, start=Type.INTEGER, open=Type.INTEGER, high=Type.INTEGER, low=Type.INTEGER,
            close=Type.INTEGER, volume=Type.SUM, turnover=Type.SUM, trades=Type.INTEGER, first_match=Type.INTEGER,
            last_match=Type.INTEGER,
        )  # fmt: skip
        self.tables = (self._table,)
        self._open: dict[int, Values] = {}
        self._changed: dict[tuple[int, int], Values] = {}

    def load(self, select: Select) -> None:
        """The last candle of each instrument, to which matches may be added."""
        last = f"start = (SELECT max(l.start) FROM {self.name} l WHERE l.instrument = {self.name}.instrument)"  # noqa: S608 - our own names
        self._open = {row[0]: row for row in select(self._table, last)}

    def take(self, batch: Batch) -> None:
        """Add the matches of the batch to their candles."""
        for match in matches(batch.events):
            start = match.time - match.time % self._length
            old = self._open.get(match.instrument)
            new = _added(old, match) if old is not None and old[1] == start else _opened(start, match)
            self._open[match.instrument] = self._changed[match.instrument, start] = new

    def changes(self) -> Iterator[tuple[Table, list[Values]]]:
        """The candles that matches were added to."""
        rows = [*self._changed.values()]
        self._changed = {}
        yield self._table, rows


def _opened(start: int, m: Match) -> Values:
    prices = (m.price,) * 4
    return (m.instrument, start, *prices, m.quantity, m.quote_amount, 1, m.match_number, m.match_number)


def _added(candle: Values, m: Match) -> Values:
    instrument, start, first, high, low, _, volume, turnover, trades, first_match, _ = candle
    prices = (first, max(high, m.price), min(low, m.price), m.price)
    sums = (volume + m.quantity, turnover + m.quote_amount, trades + 1)
    return (instrument, start, *prices, *sums, first_match, m.match_number)

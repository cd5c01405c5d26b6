"""What the pictures of a page and of an image have in common: the window of prices, the heat map, and how much is drawn."""

from math import gcd
from typing import Final, NamedTuple

from core.kinds import Side
from tools.charts.data import Best, Picture, Traded

COLUMNS: Final = 800
"""Columns of the time axis."""

BANDS: Final = 220
"""Bands of prices that the heat map has at most."""

TRADES: Final = 4_000
"""Marks for trades that are drawn at most; the smallest are left out."""

BARS: Final = 160
"""Bars of traded volume; a divisor of COLUMNS."""

_MARGIN: Final = 12
_TAIL: Final = 100


class Window(NamedTuple):
    """The prices that are shown, in ticks: bands of `step` from `low` on."""

    low: int
    step: int
    bands: int

    @property
    def high(self) -> int:
        """The first price above the window."""
        return self.low + self.step * self.bands

    def band(self, price: int) -> int | None:
        """The band of a price; None if it is not in the window."""
        band = (price - self.low) // self.step
        return band if 0 <= band < self.bands else None


def window(picture: Picture) -> Window | None:
    """Where nearly all best prices and trades lie, with a margin to both sides; None if there are none."""
    prices = [trade.price for trade in picture.trades]
    for depth in picture.depth:
        prices += [level.price for side in (depth.bids, depth.asks) for level in side[:1]]
    if not prices:
        return None
    prices.sort()
    tail = len(prices) // _TAIL
    low, high = prices[tail], prices[-1 - tail]
    unit = _unit(picture, low, high)
    margin = max((high - low) * 2 // 5, _MARGIN * unit)
    low = max(0, low - margin) // unit * unit
    wanted = (high + margin - low) // unit + 1
    step = -(-wanted // BANDS) * unit
    return Window(low, step, -(-wanted * unit // step))


def _unit(picture: Picture, low: int, high: int) -> int:
    """The largest step in which all prices near the touch lie."""
    unit = 0
    for depth in picture.depth:
        for side in (depth.bids, depth.asks):
            for level in side[:20]:
                unit = gcd(unit, level.price - low)
    for trade in picture.trades:
        unit = gcd(unit, trade.price - low)
    return gcd(unit, high - low) or 1


def heat(picture: Picture, shown: Window) -> list[list[int | None]]:
    """Open lots by band and column; None where nothing stands."""
    cells: list[list[int | None]] = [[None] * len(picture.depth) for _ in range(shown.bands)]
    for column, depth in enumerate(picture.depth):
        for side in (depth.bids, depth.asks):
            for level in side:
                band = shown.band(level.price)
                if band is not None:
                    cells[band][column] = (cells[band][column] or 0) + level.quantity
    return cells


def bounds(cells: list[list[int | None]]) -> tuple[int, int]:
    """The lots between which the colors run, without the few that are very small or large; 1 and 1 if there are none."""
    lots = sorted(cell for row in cells for cell in row if cell)
    if not lots:
        return 1, 1
    return lots[len(lots) // 50], lots[-1 - len(lots) // 500]


def weight(trades: list[Traded]) -> int:
    """The lots of a mark of full size: some are larger, and stay at that size."""
    lots = sorted(trade.quantity for trade in trades)
    return lots[-1 - len(lots) // 50] if lots else 1


def largest(trades: list[Traded]) -> list[Traded]:
    """The trades that are drawn, in order."""
    kept = sorted(trades, key=lambda trade: -trade.quantity)[:TRADES]
    return sorted(kept, key=lambda trade: (trade.sequence, trade.price))


def to_the_end(picture: Picture) -> list[Best]:
    """The best prices, the last of them again at the end of the axis."""
    last = picture.best[-1]
    return [*picture.best, last._replace(time=picture.axis.end)] if last.time < picture.axis.end else picture.best


def volumes(picture: Picture) -> dict[int, list[int]]:
    """Traded lots by side of the aggressor, and bar."""
    bars = {int(side): [0] * BARS for side in Side}
    for trade in picture.trades:
        bars[trade.side][trade.column * BARS // picture.axis.columns] += trade.quantity
    return bars

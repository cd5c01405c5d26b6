"""What a chart shows of one instrument, sampled while its rows are applied: bounded by the columns, not by the rows.

The time axis is cut into columns of equal length. Of a column are kept the book at its end, those best prices that its
picture needs (the first, the last and the extremes), what traded by side and price, and every change of trading state.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from core.kinds import REMOVED, SIDE_MASK, EventKind, Side, StateKind, TradingState
from core.messages import EngineState
from replicas.replay import Applied
from tools.books import state_rows
from tools.event_rows import EventRow
from tools.exports.books import Market
from tools.exports.names import NAMING, Names, Terms
from tools.exports.range import Step, steps
from tools.failures import Misuse
from tools.ladders import Ladders, PriceLevel

LEVELS: Final = 100
"""Levels of each side that the depth of a column takes in."""

INSTRUMENTS_MAX: Final = 8
"""Instruments of one page."""


class Axis(NamedTuple):
    """The time axis: from and to these times (ns since 1970, both included), in so many columns."""

    begin: int
    end: int
    columns: int

    def column(self, time: int) -> int:
        """The column that a time falls into."""
        return (time - self.begin) * self.columns // (self.end - self.begin + 1)

    def edge(self, column: int) -> int:
        """The time at which a column begins; that of the last but one ends the axis."""
        return self.begin + -(-column * (self.end - self.begin + 1) // self.columns)


class Best(NamedTuple):
    """The best prices in ticks after a row; None where a side is empty."""

    sequence: int
    time: int
    bid: int | None
    ask: int | None


class Depth(NamedTuple):
    """The best levels of both sides after a row."""

    sequence: int
    bids: list[PriceLevel]
    asks: list[PriceLevel]


class Band(NamedTuple):
    """A time in which the instrument did not trade freely; `end` is None where it goes on."""

    state: int
    sequence: int
    begin: int
    end: int | None


@dataclass(slots=True)
class Traded:
    """All matches of a column at one price and with one aggressor; `sequence` and `time` are those of the first."""

    column: int
    side: int
    price: int
    sequence: int
    time: int
    quantity: int = 0
    matches: int = 0


@dataclass(slots=True)
class Picture:
    """Everything that is drawn of one instrument."""

    terms: Terms
    axis: Axis
    best: list[Best] = field(default_factory=list)
    depth: list[Depth] = field(default_factory=list)
    """One for each column, as the book stood at its end."""
    trades: list[Traded] = field(default_factory=list)
    bands: list[Band] = field(default_factory=list)
    matches: int = 0
    volume: int = 0


class Sampler:
    """Follows one instrument along the axis."""

    def __init__(self, terms: Terms, axis: Axis, ladders: Ladders, sequence: int, time: int) -> None:
        """Begin with the ladders as they stand after a row, at a time of the axis."""
        self.picture = Picture(terms, axis)
        self._ladders = ladders
        self._shown = self._look(sequence)
        self._column = 0
        self._kept: list[Best] = []
        self._trades: dict[tuple[int, int, int], Traded] = {}
        self._last = Best(sequence, time, ladders.best(Side.BUY), ladders.best(Side.SELL))
        self._keep(self._last)

    def _look(self, sequence: int) -> Depth:
        ladders = self._ladders
        return Depth(sequence, ladders.levels(Side.BUY, LEVELS), ladders.levels(Side.SELL, LEVELS))

    def reach(self, column: int) -> None:
        """A row of this column comes next: those before it are done."""
        if self._last.sequence != self._shown.sequence:
            self._shown = self._look(self._last.sequence)
        self.picture.depth += [self._shown] * (column - self._column)
        self.picture.best += extremes(self._kept)
        self._kept = []
        self._column = column

    def after(self, sequence: int, time: int) -> None:
        """A row that may have changed the book has been applied."""
        best = Best(sequence, time, self._ladders.best(Side.BUY), self._ladders.best(Side.SELL))
        changed = best[2:] != self._last[2:]
        self._last = best
        if changed:
            self._keep(best)

    def _keep(self, best: Best) -> None:
        self._kept.append(best)
        # Beyond this only the first, the last and the extremes matter.
        if len(self._kept) > 64:
            self._kept = extremes(self._kept)

    def trade(self, event: EventRow) -> None:
        """An Executed event of the incoming side."""
        side, column = event.flags & SIDE_MASK, self.picture.axis.column(event.time)
        key = column, side, event.price
        traded = self._trades.setdefault(key, Traded(column, side, event.price, event.sequence, event.time))
        traded.quantity += event.quantity
        traded.matches += 1
        self.picture.volume += event.quantity
        self.picture.matches += 1

    def state(self, state: int, sequence: int, time: int) -> None:
        """The trading state is this from a row on."""
        bands = self.picture.bands
        if bands and bands[-1].end is None:
            if bands[-1].state == state:
                return
            bands[-1] = bands[-1]._replace(end=time)
        if state != TradingState.OPEN:
            bands.append(Band(state, sequence, time, None))

    def finish(self) -> Picture:
        """The picture, once all rows have been applied."""
        self.reach(self.picture.axis.columns)
        self.picture.trades = list(self._trades.values())
        return self.picture


def extremes(kept: list[Best]) -> list[Best]:
    """The first and the last, and of either side the lowest and the highest price and the first lack of one, in order."""
    if len(kept) <= 2:
        return kept
    chosen = {kept[0], kept[-1]}
    for prices in ([best.bid for best in kept], [best.ask for best in kept]):
        quoted = [(price, at) for at, price in enumerate(prices) if price is not None]
        chosen |= {kept[at] for _, at in (min(quoted), max(quoted))} if quoted else set()
        chosen |= {kept[prices.index(None)]} if None in prices else set()
    return sorted(chosen, key=lambda best: best.sequence)


class _Board:
    """The samplers of the instruments that are drawn."""

    def __init__(self, names: Names, rows: bytes, axis: Axis, symbol: str | None) -> None:
        self._market = Market(names, rows)
        self._axis, self._symbol = axis, symbol
        self._samplers: dict[int, Sampler] = {}
        self._column = 0

    def look(self, sequence: int, time: int) -> None:
        """Take in the instruments that are listed by now, and tell all of them whether they may trade."""
        names = self._market.names
        for number, terms in names.instruments.items():
            if self._symbol in {None, terms.symbol} and number not in self._samplers:
                self._samplers[number] = Sampler(terms, self._axis, self._market.ladders(number), sequence, time)
                self._samplers[number].reach(self._column)
        if len(self._samplers) > INSTRUMENTS_MAX:
            raise Misuse(f"more than {INSTRUMENTS_MAX} instruments: name one; known: {', '.join(names.symbols())}")
        for number, sampler in self._samplers.items():
            sampler.state(names.state(number), sequence, time)

    def take(self, step: Step, rows: bytes) -> None:
        """Apply the events of one row, which stand among those of its batch."""
        self._reach(self._axis.column(step.time))
        touched: set[int] = set()
        for at, event in enumerate(step.events, start=step.at):
            if self._market.apply(event, rows, at):
                touched.add(event.instrument)
            if event.kind in NAMING:
                self.look(step.sequence, step.time)
            elif event.kind == EventKind.EXECUTED and event.flags & REMOVED and event.instrument in self._samplers:
                self._samplers[event.instrument].trade(event)
        for number in touched & self._samplers.keys():
            self._samplers[number].after(step.sequence, step.time)

    def _reach(self, column: int) -> None:
        if column > self._column:
            self._column = column
            for sampler in self._samplers.values():
                sampler.reach(column)

    def pictures(self) -> list[Picture]:
        """The pictures, by number of the instrument."""
        return [sampler.finish() for _, sampler in sorted(self._samplers.items())]


def sample(names: Names, rows: bytes, batches: Iterator[Applied], axis: Axis, symbol: str | None) -> list[Picture]:
    """The pictures of all instruments or of one; none if no row lists it. Misuse for more than a page holds.

    `rows` is the state before the first batch, of which `names` was made.
    """
    board = _Board(names, rows, axis, symbol)
    (engine,) = state_rows(rows, StateKind.ENGINE)
    assert isinstance(engine, EngineState)
    board.look(engine.sequence, axis.begin)
    for batch in batches:
        for step in steps(batch):
            board.take(step, batch.events)
    return board.pictures()

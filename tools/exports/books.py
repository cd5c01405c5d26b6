"""The table of books: the best levels of every instrument, every so many rows or so much time."""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from core.kinds import ROW_SIZE, Side, TradingState
from core.limits import SUM_MAX
from core.rows import from_row
from replicas.replay import Applied
from tools.event_rows import EventRow
from tools.exports.file import Field, Type
from tools.exports.names import NAMING, Names
from tools.exports.range import steps
from tools.failures import Misuse
from tools.ladders import Ladders, ladders_of

DEPTH: Final = 10
DEPTH_MAX: Final = 1_000

_STEP_MAX: Final = SUM_MAX // 2
"""So that the moment after the last time that a row may bear fits into 64 bits."""

_EVERY: Final = re.compile(r"([1-9]\d{0,18})(rows?|ns|us|ms|s|m|h)")
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_STATES: Final = {int(state): state.name for state in TradingState}


class Every(NamedTuple):
    """How far the moments lie apart: in rows, or in ns."""

    step: int
    in_rows: bool

    def moment(self, sequence: int, time: int) -> int:
        """The first moment that is not before a row: a multiple of the step, as a sequence number or in ns since 1970."""
        return -(-(sequence if self.in_rows else time) // self.step) * self.step


def every(text: str) -> Every:
    """Such as `1000rows`, `1row`, `250ms`, `1s`, `5m`. Misuse for anything else."""
    found = _EVERY.fullmatch(text)
    if found is None:
        raise Misuse(f"--every {text}: give a number with rows, ns, us, ms, s, m or h, such as 1000rows or 250ms")
    in_rows = found[2].startswith("row")
    step = int(found[1]) * (1 if in_rows else _UNITS[found[2]])
    if step > _STEP_MAX:
        raise Misuse(f"--every {text}: at most {_STEP_MAX} rows or ns")
    return Every(step, in_rows)


def fields(depth: int) -> tuple[Field, ...]:
    """The columns for so many levels."""
    levels = [
        Field(f"{side}_{what}_{level}")
        for level in range(1, depth + 1)
        for side in ("bid", "ask")
        for what in ("price", "quantity", "orders")
    ]
    return (
        Field("moment"),
        Field("sequence"),
        Field("time"),
        Field("time_utc", Type.TIME),
        Field("symbol", Type.TEXT),
        Field("instrument"),
        Field("trading_state", Type.TEXT),
        Field("price_decimals"),
        Field("quantity_decimals"),
        *levels,
    )


class Market:
    """All books, as the rows up to now have made them."""

    def __init__(self, names: Names, rows: bytes) -> None:
        """Begin with the state rows of the venue."""
        self.names = names
        self._ladders = ladders_of(rows)

    def ladders(self, instrument: int) -> Ladders:
        """The two ladders of an instrument."""
        return self._ladders.setdefault(instrument, Ladders(instrument))

    def apply(self, event: EventRow, events: bytes, at: int) -> bool:
        """Change names and ladders as an event says, which is the row with this number; whether a ladder may have changed."""
        if event.kind in NAMING:
            self.names.learn(from_row(events, at * ROW_SIZE))
            return False
        return event.instrument != 0 and self.ladders(event.instrument).apply(event)


class _After(NamedTuple):
    """The last row before a moment."""

    moment: int
    sequence: int
    time: int


def books(
    market: Market, batches: Iterator[Applied], apart: Every, depth: int, symbol: str | None = None
) -> Iterator[tuple[Any, ...]]:
    """A row for each instrument at each moment before which rows came since the moment before."""
    after: _After | None = None
    for batch in batches:
        for step in steps(batch):
            moment = apart.moment(step.sequence, step.time)
            if after is not None and moment != after.moment:
                yield from _rows(market, after, depth, symbol)
            after = _After(moment, step.sequence, step.time)
            for at, event in enumerate(step.events, start=step.at):
                market.apply(event, batch.events, at)
    if after is not None:
        yield from _rows(market, after, depth, symbol)


def _rows(market: Market, after: _After, depth: int, symbol: str | None) -> Iterator[tuple[Any, ...]]:
    for number, terms in sorted(market.names.instruments.items()):
        if symbol not in {None, terms.symbol}:
            continue
        yield (
            *after,
            after.time,
            terms.symbol,
            number,
            _STATES[market.names.state(number)],
            terms.price_decimals,
            terms.quantity_decimals,
            *_levels(market.ladders(number), depth),
        )


def _levels(ladders: Ladders, depth: int) -> list[int | None]:
    """Price, quantity and number of orders of each level, bid and ask in turn; null where there is none."""
    nothing = (None, None, None)
    sides = [ladders.levels(side, depth) for side in (Side.BUY, Side.SELL)]
    return [
        value for level in range(depth) for side in sides for value in (side[level] if level < len(side) else nothing)
    ]

"""Positions and profit by account and instrument, at average cost, in whole units of the quote currency.

A match that brings a position closer to zero closes a part of it. The cost of that part is the position's cost times the
lots closed by the lots held, rounded toward zero; what rounding leaves stays with the lots that remain, so the last lot
takes the whole rest with it. Where a match goes through zero, the part of its amount that closes is its amount times the lots
closed by the lots matched, rounded toward zero, and the rest opens. So realised - cost is always, to the unit, what
sells brought less what buys took. Fees stand apart. Of a match of an account with itself, the buy is booked first.

The value of a position is what a match of all of it at the last price would move, rounded as the instrument rounds;
unrealised is value - cost. A short position has negative cost (what its sells brought) and negative value.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from core.kinds import (
    COLUMNS,
    DECIMALS_MASK,
    PRICE_DECIMALS_SHIFT,
    QUANTITY_DECIMALS_SHIFT,
    ROUNDING_MASK,
    ROUNDING_SHIFT,
    ROW_SIZE,
    EventKind,
    Rounding,
)
from core.messages import DefineInstrument
from core.rows import from_row, unpack_halves
from journal.check import columns
from journal.errors import CorruptEvents
from tools.projections.tables import Batch, Fold, Match, Select, Table, Type, Values, matches, table

POSITIONS = table(
    "positions", 2,
    account=Type.INTEGER, instrument=Type.INTEGER, position=Type.SUM, cost=Type.SUM, realised=Type.SUM, fees=Type.SUM,
    value=Type.SUM, unrealised=Type.SUM, trades=Type.INTEGER, last_match=Type.INTEGER,
)  # fmt: skip
MARKS = table(
    "position_marks", 1,
    instrument=Type.INTEGER, symbol=Type.TEXT, base=Type.INTEGER, quote=Type.INTEGER, multiplier=Type.INTEGER,
    divisor=Type.INTEGER, lot_units=Type.INTEGER, rounding=Type.INTEGER, price_decimals=Type.INTEGER,
    quantity_decimals=Type.INTEGER, last_price=Type.INTEGER, last_match=Type.INTEGER, last_time=Type.INTEGER,
)  # fmt: skip
_DEFINED: Final = int(EventKind.INSTRUMENT_DEFINED)


@dataclass(slots=True)
class Mark:
    """An instrument's terms, and the last match; without one its price is 0."""

    instrument: int
    symbol: str
    base: int
    quote: int
    multiplier: int
    divisor: int
    lot_units: int
    rounding: int
    price_decimals: int
    quantity_decimals: int
    last_price: int = 0
    last_match: int = 0
    last_time: int = 0

    def row(self) -> Values:
        """The row of the table."""
        return tuple(getattr(self, name) for name in MARKS.names)

    def value(self, lots: int) -> int:
        """What a match of so many lots at the last price would move: quote units, negative for a short position."""
        product = self.last_price * abs(lots) * self.multiplier
        whole = -(-product // self.divisor) if self.rounding == Rounding.UP else product // self.divisor
        return whole if lots > 0 else -whole


@dataclass(slots=True)
class Position:
    """What an account holds by its matches alone: `lots` bought less those sold, and what they cost."""

    lots: int = 0
    cost: int = 0
    realised: int = 0
    fees: int = 0
    trades: int = 0
    last_match: int = 0

    def trade(self, lots: int, amount: int) -> None:
        """Book a match of so many lots, negative for a sell, that moved this amount of quote units."""
        sign = 1 if lots > 0 else -1
        if self.lots * sign < 0:
            closed = min(abs(lots), abs(self.lots))
            part = amount * closed // abs(lots)
            self._close(closed, -sign * part)
            lots, amount = lots - sign * closed, amount - part
        self.lots += lots
        self.cost += sign * amount

    def _close(self, closed: int, amount: int) -> None:
        """Take lots out at average cost; `amount` is what that brought, negative for what it took."""
        sign = 1 if self.lots > 0 else -1
        cost = sign * (abs(self.cost) * closed // abs(self.lots))
        self.realised += amount - cost
        self.cost -= cost
        self.lots -= sign * closed


@dataclass(slots=True)
class _Instrument:
    """The positions in one instrument, by account, and what changed since the last write."""

    mark: Mark
    positions: dict[int, Position] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)


class Positions(Fold):
    """Holds every position in memory; a match writes anew what is held in its instrument, for the price has moved."""

    name = "positions"
    tables = (POSITIONS, MARKS)

    def __init__(self) -> None:
        self._instruments: dict[int, _Instrument] = {}
        self._marked: set[int] = set()

    def load(self, select: Select) -> None:
        """All of it."""
        for row in select(MARKS, ""):
            self._instruments[row[0]] = _Instrument(Mark(*row))
        for account, number, lots, cost, realised, fees, _, _, trades, last in select(POSITIONS, ""):
            instrument = self._instruments[number]
            instrument.positions[account] = Position(lots, cost, realised, fees, trades, last)
            if lots:
                instrument.held.add(account)

    def take(self, batch: Batch) -> None:
        """Book the matches of the batch. CorruptEvents for one in an instrument that was never defined."""
        self._define(batch)
        for match in matches(batch.events):
            instrument = self._instruments.get(match.instrument)
            if instrument is None:
                raise CorruptEvents(f"events of command {match.sequence}", f"instrument {match.instrument} is unknown")
            _book(instrument, match)
            self._marked.add(match.instrument)

    def _define(self, batch: Batch) -> None:
        """Terms never change once an instrument is listed: where they hold in a batch does not matter."""
        data = columns(batch.events)
        for at, kind in enumerate(data[::COLUMNS]):
            if kind == _DEFINED and data[at * COLUMNS + 6] not in self._instruments:
                sequence = data[at * COLUMNS + 1]
                command = from_row(batch.commands(), (sequence - batch.first) * ROW_SIZE)
                if not isinstance(command, DefineInstrument):
                    raise CorruptEvents(f"events of command {sequence}", "it defines no instrument")
                self._instruments[command.instrument] = _Instrument(_mark(command))
                self._marked.add(command.instrument)

    def changes(self) -> Iterator[tuple[Table, list[Values]]]:
        """Positions that were traded, or whose value may have moved, and the prices they are valued at."""
        instruments = [self._instruments[number] for number in self._marked]
        self._marked = set()
        yield MARKS, [instrument.mark.row() for instrument in instruments]
        yield POSITIONS, [row for instrument in instruments for row in _rows(instrument)]


def _mark(command: DefineInstrument) -> Mark:
    flags, (base, quote) = command.flags, unpack_halves(command.currencies)
    return Mark(
        command.instrument,
        command.symbol,
        base,
        quote,
        command.multiplier,
        command.divisor,
        command.lot_units,
        flags >> ROUNDING_SHIFT & ROUNDING_MASK,
        flags >> PRICE_DECIMALS_SHIFT & DECIMALS_MASK,
        flags >> QUANTITY_DECIMALS_SHIFT & DECIMALS_MASK,
    )


def _book(instrument: _Instrument, match: Match) -> None:
    mark = instrument.mark
    mark.last_price, mark.last_match, mark.last_time = match.price, match.match_number, match.time
    sides = ((match.buyer, match.quantity, match.buyer_fee), (match.seller, -match.quantity, match.seller_fee))
    for account, lots, fee in sides:
        position = instrument.positions.setdefault(account, Position())
        position.trade(lots, match.quote_amount)
        position.fees += fee
        position.trades += 1
        position.last_match = match.match_number
        instrument.changed.add(account)
        (instrument.held.add if position.lots else instrument.held.discard)(account)


def _rows(instrument: _Instrument) -> Iterator[Values]:
    for account in sorted(instrument.changed | instrument.held):
        p = instrument.positions[account]
        value = instrument.mark.value(p.lots)
        sums = (p.lots, p.cost, p.realised, p.fees, value, value - p.cost)
        yield (account, instrument.mark.instrument, *sums, p.trades, p.last_match)
    instrument.changed = set()

"""What the events of a range are about, followed through it: instruments, currencies and trading states."""

from typing import Final, NamedTuple

from core.kinds import DECIMALS_MASK, QUANTITY_DECIMALS_SHIFT, EventKind, StateKind, TradingState
from core.messages import (
    CurrencyDefined,
    CurrencyState,
    EngineState,
    InstrumentDefined,
    InstrumentState,
    Row,
    TradingStateChanged,
)
from core.rows import unpack_halves
from tools.books import state_rows
from tools.output import decimal_text

NAMING: Final = frozenset({EventKind.CURRENCY_DEFINED, EventKind.INSTRUMENT_DEFINED, EventKind.TRADING_STATE_CHANGED})
"""The kinds of events that `Names.learn` takes."""


class Terms(NamedTuple):
    """How an instrument is named and shown; `base` and `quote` are numbers of currencies."""

    number: int
    symbol: str
    price_decimals: int
    quantity_decimals: int
    base: int
    quote: int

    def price(self, ticks: int) -> str:
        """A price as it is displayed."""
        return decimal_text(ticks, self.price_decimals)

    def quantity(self, lots: int) -> str:
        """A quantity as it is displayed."""
        return decimal_text(lots, self.quantity_decimals)


class Money(NamedTuple):
    """How a currency is named and shown."""

    symbol: str
    decimals: int


class Names:
    """Instruments and currencies by number, as the rows up to now have defined them, and who may trade."""

    def __init__(self, rows: bytes) -> None:
        """Begin with the state rows of the venue."""
        self.instruments: dict[int, Terms] = {}
        self.currencies: dict[int, Money] = {}
        self._venue = int(TradingState.OPEN)
        self._states: dict[int, int] = {}
        for kind in (StateKind.ENGINE, StateKind.CURRENCY, StateKind.INSTRUMENT):
            for row in state_rows(rows, kind):
                self._take(row)

    def _take(self, row: object) -> None:
        if isinstance(row, EngineState):
            self._venue = row.state
        elif isinstance(row, CurrencyState | CurrencyDefined):
            self.currencies[row.currency] = Money(row.symbol, row.decimals)
        elif isinstance(row, InstrumentState | InstrumentDefined):
            self.instruments[row.instrument] = _terms(row)
            if isinstance(row, InstrumentState):
                self._states[row.instrument] = row.state

    def learn(self, event: Row) -> None:
        """Take in an event of the kinds in NAMING; others change nothing."""
        if not isinstance(event, TradingStateChanged):
            self._take(event)
        elif event.instrument:
            self._states[event.instrument] = event.state
        elif not event.account:
            self._venue = event.state

    def state(self, instrument: int) -> int:
        """What holds for an instrument: the stricter of its own trading state and that of the venue."""
        return max(self._venue, self._states.get(instrument, TradingState.OPEN))

    def symbols(self) -> list[str]:
        """All symbols, in the order of the instruments' numbers."""
        return [self.instruments[number].symbol for number in sorted(self.instruments)]


def _terms(row: InstrumentState | InstrumentDefined) -> Terms:
    return Terms(
        row.instrument,
        row.symbol,
        row.flags & DECIMALS_MASK,
        row.flags >> QUANTITY_DECIMALS_SHIFT & DECIMALS_MASK,
        *unpack_halves(row.currencies),
    )

"""What a state says of rules, limits and positions, and of where an order is."""

from core.kinds import EXPOSURES, HIDDEN, MARKET_RESTS, Limit, StateKind
from core.messages import ExposureState, InstrumentState, LimitState, RulesState
from tools.past.answers import LimitAt, PositionAt, RulesAt, Where
from tools.past.state import VenueState, decimals

_WAITS = (Where.BOOK, Where.WAITS, Where.PARKED, Where.CROSSED)
"""By the number that a TERMS row has for it."""


def where_of(flags: int, waits: int) -> Where:
    """Where a live order with these flags is."""
    return Where.HIDDEN if waits == 0 and flags & HIDDEN else _WAITS[waits]


def rules_at(row: RulesState | None) -> RulesAt | None:
    """The rules of an instrument, if any were set."""
    if row is None:
        return None
    flags = (bool(row.flags & EXPOSURES), bool(row.flags & MARKET_RESTS))
    return RulesAt(*flags, row.protection, row.collar, row.quantity_min, row.notional_min, row.notional_max)


def limits(state: VenueState, *, account: int = 0, named: int = 0, firm: int = 0) -> tuple[LimitAt, ...]:
    """The limits of one account, session or firm."""
    found = (row for row in state.structs(StateKind.LIMIT) if isinstance(row, LimitState))
    mine = (row for row in found if (row.account, row.named, row.firm) == (account, named, firm))
    return tuple(_limit(state, row) for row in mine)


def _limit(state: VenueState, row: LimitState) -> LimitAt:
    symbol = state.listed[row.instrument].symbol if row.instrument else ""
    in_force = row.value_until if state.engine.time < row.until else row.value
    values = (row.value, row.second, row.until, row.value_until, row.second_until)
    return LimitAt(Limit(row.limit), symbol, *values, in_force)


def positions(state: VenueState, *, account: int = 0, named: int = 0) -> tuple[PositionAt, ...]:
    """The positions of one account or session that are not zero."""
    found = (row for row in state.structs(StateKind.EXPOSURE) if isinstance(row, ExposureState))
    mine = (row for row in found if (row.account, row.named, row.firm) == (account, named, 0))
    return tuple(_position(state.listed[row.instrument], row) for row in mine)


def _position(instrument: InstrumentState, row: ExposureState) -> PositionAt:
    return PositionAt(instrument.symbol, row.position, decimals(instrument.flags)[1])

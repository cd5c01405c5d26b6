"""What a state says of rules, limits and positions, and of where an order is."""

from core.kinds import (
    EXPOSURES,
    HIDDEN,
    LEAD_MASK,
    LEAD_SHIFT,
    LOTS_MASK,
    LOTS_SHIFT,
    MARKET_RESTS,
    SHARE_MASK,
    SHARE_SHIFT,
    STEP_MASK,
    Limit,
    StateKind,
    Step,
)
from core.messages import (
    AllocationState,
    ExposureState,
    FeeTierState,
    InstrumentState,
    LimitState,
    RulesState,
    VolumeState,
)
from core.rows import unpack_halves
from tools.past.answers import LimitAt, PositionAt, RulesAt, StepAt, TierAt, VolumeAt, Where
from tools.past.state import VenueState, decimals

_WAITS = (Where.BOOK, Where.WAITS, Where.PARKED, Where.CROSSED, Where.HELD)
"""By the number that a TERMS row has for it."""


def where_of(flags: int, waits: int) -> Where:
    """Where a live order with these flags is."""
    return Where.HIDDEN if waits == 0 and flags & HIDDEN else _WAITS[waits]


def rules_at(row: RulesState | None) -> RulesAt | None:
    """The rules of an instrument, if any were set."""
    if row is None:
        return None
    flags = (bool(row.flags & EXPOSURES), bool(row.flags & MARKET_RESTS))
    return RulesAt(
        *flags, row.protection, row.collar, row.quantity_min, row.notional_min, row.notional_max, row.fee_schedule
    )


def tiers(state: VenueState, instrument: int) -> tuple[TierAt, ...]:
    """The tiers of the fee schedule of an instrument, lowest first; none where its own rates hold."""
    rules = state.rules(instrument)
    number = rules.fee_schedule if rules is not None else 0
    found = (row for row in state.structs(StateKind.FEE_TIER, number) if isinstance(row, FeeTierState))
    return tuple(TierAt(row.volume, *unpack_halves(row.fee_rates)) for row in found)


def volumes(state: VenueState, account: int) -> tuple[VolumeAt, ...]:
    """What an account has traded in each fee schedule, in the period that runs."""
    periods = {row.schedule: row.period for row in state.structs(StateKind.FEE_TIER) if isinstance(row, FeeTierState)}
    found = (row for row in state.structs(StateKind.VOLUME, account) if isinstance(row, VolumeState))
    return tuple(VolumeAt(row.schedule, row.volume) for row in found if row.period == periods[row.schedule])


def steps(state: VenueState, instrument: int) -> tuple[StepAt, ...]:
    """The steps of allocation of an instrument, in turn."""
    for row in state.structs(StateKind.ALLOCATION, instrument):
        assert isinstance(row, AllocationState)
        given = (row.step_1, row.step_2, row.step_3, row.step_4, row.step_5, row.step_6)
        return tuple(_step(column) for column in given if column)
    return ()


def _step(column: int) -> StepAt:
    numbers = ((SHARE_SHIFT, SHARE_MASK), (LEAD_SHIFT, LEAD_MASK), (LOTS_SHIFT, LOTS_MASK))
    return StepAt(Step(column & STEP_MASK), *(column >> shift & mask for shift, mask in numbers))


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

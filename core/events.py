"""Every event but those about orders: the fields after `kind` are its columns, in order. docs/events.md says when each is told."""

from core.kinds import EventKind
from core.layout import Row, Text2, Text4


class Event(Row, frozen=True):
    """Columns 1 to 4 of every event: the command that caused it, its time, and whom it is told (0: nobody)."""

    sequence: int = 0
    time: int = 0
    session: int = 0
    outbound: int = 0


class CurrencyDefined(Event, frozen=True):
    """A currency is known."""

    KIND = EventKind.CURRENCY_DEFINED
    flags: int = 0
    column_6: int = 0
    currency: int = 0
    symbol: Text2 = ""
    decimals: int = 0


class InstrumentDefined(Event, frozen=True):
    """An instrument is listed or its terms have changed; the terms are in the command of this sequence number."""

    KIND = EventKind.INSTRUMENT_DEFINED
    flags: int = 0
    instrument: int = 0
    symbol: Text2 = ""
    currencies: int = 0
    price_max: int = 0
    quantity_max: int = 0
    fee_rates: int = 0
    column_13: int = 0
    column_14: int = 0
    market_data: int = 0


class AccountOpened(Event, frozen=True):
    """An account is open."""

    KIND = EventKind.ACCOUNT_OPENED
    flags: int = 0
    column_6: int = 0
    account: int = 0
    firm: int = 0
    name: Text4 = ""
    column_13: int = 0
    drop_copy: int = 0


class BalanceChanged(Event, frozen=True):
    """A deposit (positive amount) or withdrawal (negative) was booked."""

    KIND = EventKind.BALANCE_CHANGED
    flags: int = 0
    column_6: int = 0
    account: int = 0
    currency: int = 0
    amount: int = 0
    balance: int = 0
    reserved: int = 0
    column_12: int = 0
    column_13: int = 0
    drop_copy: int = 0


class SessionGranted(Event, frozen=True):
    """A session may act for an account or for the venue, or read what a firm or the market is told."""

    KIND = EventKind.SESSION_GRANTED
    flags: int = 0
    column_6: int = 0
    account: int = 0
    grantee: int = 0
    role: int = 0
    firm: int = 0


class TradingStateChanged(Event, frozen=True):
    """The state of an instrument, an account or the venue is now this."""

    KIND = EventKind.TRADING_STATE_CHANGED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    state: int = 0
    column_9: int = 0
    column_10: int = 0
    column_11: int = 0
    column_12: int = 0
    column_13: int = 0
    drop_copy: int = 0
    market_data: int = 0


class DayEnded(Event, frozen=True):
    """The trading day has ended."""

    KIND = EventKind.DAY_ENDED
    flags: int = 0
    column_6: int = 0
    column_7: int = 0
    day: int = 0


class Upgraded(Event, frozen=True):
    """The segment closes; the next semantics version is this."""

    KIND = EventKind.UPGRADED
    flags: int = 0
    column_6: int = 0
    column_7: int = 0
    version: int = 0


class Quarantined(Event, frozen=True):
    """A row was replaced by the halt of what it named; told at the row itself."""

    KIND = EventKind.QUARANTINED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    command: int = 0
    column_9: int = 0
    column_10: int = 0
    timer_order: int = 0


class Repeated(Event, frozen=True):
    """A command that was answered before came again: the answer is the outbound numbers from `first`."""

    KIND = EventKind.REPEATED
    flags: int = 0
    inbound: int = 0
    column_7: int = 0
    first: int = 0
    count: int = 0


class Killed(Event, frozen=True):
    """The kill switch of an account, a session, a firm or the venue was thrown, or thrown back."""

    KIND = EventKind.KILLED
    flags: int = 0
    column_6: int = 0
    account: int = 0
    named: int = 0
    firm: int = 0
    act: int = 0
    column_11: int = 0
    column_12: int = 0
    column_13: int = 0
    drop_copy: int = 0


class LimitSet(Event, frozen=True):
    """A limit before the trade is now this; `until` 0: for good."""

    KIND = EventKind.LIMIT_SET
    flags: int = 0
    instrument: int = 0
    account: int = 0
    named: int = 0
    firm: int = 0
    limit: int = 0
    value: int = 0
    second: int = 0
    until: int = 0
    drop_copy: int = 0


class AccountSet(Event, frozen=True):
    """An account may enter this from now on, and prevents self-trades like this."""

    KIND = EventKind.ACCOUNT_SET
    flags: int = 0
    column_6: int = 0
    account: int = 0
    state: int = 0
    group: int = 0
    prevention: int = 0
    column_11: int = 0
    column_12: int = 0
    column_13: int = 0
    drop_copy: int = 0


class RulesSet(Event, frozen=True):
    """The rules of an instrument are now these."""

    KIND = EventKind.RULES_SET
    flags: int = 0
    instrument: int = 0
    column_7: int = 0
    protection: int = 0
    collar: int = 0
    quantity_min: int = 0
    notional_min: int = 0
    notional_max: int = 0
    fee_schedule: int = 0


class AllocationSet(Event, frozen=True):
    """The steps of allocation of an instrument are now these."""

    KIND = EventKind.ALLOCATION_SET
    flags: int = 0
    instrument: int = 0
    column_7: int = 0
    step_1: int = 0
    step_2: int = 0
    step_3: int = 0
    step_4: int = 0
    step_5: int = 0
    step_6: int = 0


class FeeScheduleSet(Event, frozen=True):
    """A tier of a fee schedule is now this."""

    KIND = EventKind.FEE_SCHEDULE_SET
    flags: int = 0
    column_6: int = 0
    column_7: int = 0
    schedule: int = 0
    tier: int = 0
    volume: int = 0
    fee_rates: int = 0


class CredentialSet(Event, frozen=True):
    """A session has another password, or none where `cost` is 0; no event shows hash or salt."""

    KIND = EventKind.CREDENTIAL_SET
    flags: int = 0
    column_6: int = 0
    column_7: int = 0
    grantee: int = 0
    cost: int = 0


class Promoted(Event, frozen=True):
    """The epoch is now this."""

    KIND = EventKind.PROMOTED
    flags: int = 0
    column_6: int = 0
    column_7: int = 0
    epoch: int = 0


class ClockAccepted(Event, frozen=True):
    """An operator has accepted the machine's clock, in ns since 1970."""

    KIND = EventKind.CLOCK_ACCEPTED
    flags: int = 0
    column_6: int = 0
    column_7: int = 0
    clock: int = 0


class SessionWasLost(Event, frozen=True):
    """The connection of a session (`named`) was lost; by its mode its orders are canceled."""

    KIND = EventKind.SESSION_LOST
    flags: int = 0
    column_6: int = 0
    column_7: int = 0
    named: int = 0
    connection: int = 0
    mode: int = 0


class CancelOnDisconnectSet(Event, frozen=True):
    """What is canceled when a session (`named`) is lost is now this."""

    KIND = EventKind.CANCEL_ON_DISCONNECT_SET
    flags: int = 0
    column_6: int = 0
    column_7: int = 0
    named: int = 0
    mode: int = 0


class DeadManArmed(Event, frozen=True):
    """The orders of an account are canceled at this time (ns since 1970), unless it is armed again; 0: disarmed."""

    KIND = EventKind.DEAD_MAN_ARMED
    flags: int = 0
    column_6: int = 0
    account: int = 0
    interval: int = 0
    fires_at: int = 0
    column_10: int = 0
    column_11: int = 0
    column_12: int = 0
    column_13: int = 0
    drop_copy: int = 0


class DeadManFired(Event, frozen=True):
    """The time of an account's dead-man timer has come: its orders are canceled."""

    KIND = EventKind.DEAD_MAN_FIRED
    flags: int = 0
    column_6: int = 0
    account: int = 0
    column_8: int = 0
    fires_at: int = 0
    column_10: int = 0
    column_11: int = 0
    column_12: int = 0
    column_13: int = 0
    drop_copy: int = 0


class ProtectionSet(Event, frozen=True):
    """The protection of an account's quotes in an instrument is now this; `frozen` is 1 while it may not quote."""

    KIND = EventKind.PROTECTION_SET
    flags: int = 0
    instrument: int = 0
    account: int = 0
    window: int = 0
    quantity: int = 0
    count: int = 0
    delta: int = 0
    frozen: int = 0
    column_13: int = 0
    drop_copy: int = 0


class ProtectionFrozen(Event, frozen=True):
    """A limit of a protection was reached; the sums are those of its window. The quotes are canceled next."""

    KIND = EventKind.PROTECTION_FROZEN
    flags: int = 0
    instrument: int = 0
    account: int = 0
    limit: int = 0
    quantity: int = 0
    count: int = 0
    delta: int = 0
    column_12: int = 0
    column_13: int = 0
    drop_copy: int = 0

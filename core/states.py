"""Every row of state: what snapshots and the first batches of a segment hold, in this order."""

from core.kinds import StateKind
from core.layout import Row, Text2, Text4


class State(Row, frozen=True):
    """A row of state; column 0 is its kind."""


class EngineState(State, frozen=True):
    """First row of a snapshot: the venue's clock and counters."""

    KIND = StateKind.ENGINE
    sequence: int = 0
    time: int = 0
    semantics: int = 0
    state: int = 0
    day: int = 0
    days: int = 0
    order_numbers: int = 0
    match_numbers: int = 0
    control_inbound: int = 0
    todo_order: int = 0
    todo_account: int = 0
    next_semantics: int = 0
    dropped: int = 0
    epoch: int = 0
    killed: int = 0


class CurrencyState(State, frozen=True):
    """A currency: what came in, what went out, and the venue's fees."""

    KIND = StateKind.CURRENCY
    currency: int = 0
    symbol: Text2 = ""
    decimals: int = 0
    deposited: int = 0
    withdrawn: int = 0
    fees: int = 0


class FeeTierState(State, frozen=True):
    """A tier of a fee schedule; `period` counts the fee periods that ended since the schedule came."""

    KIND = StateKind.FEE_TIER
    schedule: int = 0
    tier: int = 0
    volume: int = 0
    fee_rates: int = 0
    period: int = 0


class InstrumentState(State, frozen=True):
    """An instrument's terms, state and market data number."""

    KIND = StateKind.INSTRUMENT
    instrument: int = 0
    flags: int = 0
    symbol: Text2 = ""
    currencies: int = 0
    multiplier: int = 0
    divisor: int = 0
    lot_units: int = 0
    price_max: int = 0
    quantity_max: int = 0
    fee_rates: int = 0
    state: int = 0
    market_data: int = 0
    last_price: int = 0


class RulesState(State, frozen=True):
    """The rules of an instrument."""

    KIND = StateKind.RULES
    instrument: int = 0
    flags: int = 0
    protection: int = 0
    collar: int = 0
    quantity_min: int = 0
    notional_min: int = 0
    notional_max: int = 0
    fee_schedule: int = 0


class AllocationState(State, frozen=True):
    """The steps of allocation of an instrument, and the orders that set the best price of each side, or 0."""

    KIND = StateKind.ALLOCATION
    instrument: int = 0
    step_1: int = 0
    step_2: int = 0
    step_3: int = 0
    step_4: int = 0
    step_5: int = 0
    step_6: int = 0
    top_bid: int = 0
    top_ask: int = 0


class FirmState(State, frozen=True):
    """A firm and its drop copy number."""

    KIND = StateKind.FIRM
    firm: int = 0
    drop_copy: int = 0
    killed: int = 0


class AccountState(State, frozen=True):
    """An account."""

    KIND = StateKind.ACCOUNT
    account: int = 0
    firm: int = 0
    state: int = 0
    name: Text4 = ""
    standing: int = 0
    group: int = 0
    prevention: int = 0
    killed: int = 0


class BalanceState(State, frozen=True):
    """What an account holds of a currency, and how much of it live orders reserve."""

    KIND = StateKind.BALANCE
    account: int = 0
    currency: int = 0
    total: int = 0
    reserved: int = 0


class SessionState(State, frozen=True):
    """A session and its numbers, the firm that it reads (DROP_COPY), and its credential (`cost` 0: none)."""

    KIND = StateKind.SESSION
    session: int = 0
    role: int = 0
    inbound: int = 0
    outbound: int = 0
    firm: int = 0
    hash_0: int = 0
    hash_1: int = 0
    hash_2: int = 0
    hash_3: int = 0
    salt_0: int = 0
    salt_1: int = 0
    cost: int = 0
    killed: int = 0


class GrantState(State, frozen=True):
    """An account that a session may act for."""

    KIND = StateKind.GRANT
    session: int = 0
    account: int = 0
    first: int = 0


class AnswersState(State, frozen=True):
    """Up to four answered commands of a session: from inbound number `inbound`, content hash, first, count."""

    KIND = StateKind.ANSWERS
    session: int = 0
    inbound: int = 0
    hash_0: int = 0
    first_0: int = 0
    count_0: int = 0
    hash_1: int = 0
    first_1: int = 0
    count_1: int = 0
    hash_2: int = 0
    first_2: int = 0
    count_2: int = 0
    hash_3: int = 0
    first_3: int = 0
    count_3: int = 0


class OrderState(State, frozen=True):
    """A live order; rows stand per instrument and side, best price first, in queue order."""

    KIND = StateKind.ORDER
    order_number: int = 0
    instrument: int = 0
    account: int = 0
    session: int = 0
    client_order_id: int = 0
    flags: int = 0
    price: int = 0
    leaves: int = 0
    executed: int = 0
    expires: int = 0
    maker_rate: int = 0
    taker_rate: int = 0
    timer: int = 0


class TermsState(State, frozen=True):
    """What the ORDER row before it does not say of an order that is more than a plain limit or market order.

    `waits`: 0 in the book, 1 for its trigger price, 2 parked, 3 for its turn to be triggered, 4 held until its parent has
    traded. `armed` is the row from which it waits. `limit` is that of a pegged order. `minimum` is that of a held order.
    """

    KIND = StateKind.TERMS
    order_number: int = 0
    display: int = 0
    shown: int = 0
    trigger_price: int = 0
    offset: int = 0
    limit: int = 0
    waits: int = 0
    armed: int = 0
    minimum: int = 0


class TodoState(State, frozen=True):
    """A mass operation that has not finished."""

    KIND = StateKind.TODO
    command: int = 0
    sequence: int = 0
    session: int = 0
    inbound: int = 0
    instrument: int = 0
    account: int = 0
    side: int = 0
    last_order: int = 0
    count: int = 0
    named: int = 0
    firm: int = 0


class QuarantinedState(State, frozen=True):
    """A row that was replaced by a halt, and whose Quarantine row has not come yet."""

    KIND = StateKind.QUARANTINED
    named: int = 0


class FollowingState(State, frozen=True):
    """An instrument whose orders may have to follow: `due` 1, in their turn; and all prices since they last did."""

    KIND = StateKind.FOLLOWING
    instrument: int = 0
    due: int = 0
    low: int = 0
    high: int = 0


class LinkState(State, frozen=True):
    """A link that holds: a parent or 0, and one or two orders. `traded` lots of a parent that has ended, and the turn."""

    KIND = StateKind.LINK
    link: int = 0
    parent: int = 0
    first: int = 0
    second: int = 0
    traded: int = 0
    turn: int = 0


class StagedState(State, frozen=True):
    """A row of a command of several parts that is not whole yet: its kind, session, inbound number, flags and columns."""

    KIND = StateKind.STAGED
    command: int = 0
    session: int = 0
    inbound: int = 0
    flags: int = 0
    value_6: int = 0
    value_7: int = 0
    value_8: int = 0
    value_9: int = 0
    value_10: int = 0
    value_11: int = 0
    value_12: int = 0
    value_13: int = 0
    value_14: int = 0
    value_15: int = 0


class LimitState(State, frozen=True):
    """A limit of an account, a session or a firm; `arrival` is the theoretical arrival time of a rate."""

    KIND = StateKind.LIMIT
    account: int = 0
    named: int = 0
    firm: int = 0
    instrument: int = 0
    limit: int = 0
    value: int = 0
    second: int = 0
    until: int = 0
    value_until: int = 0
    second_until: int = 0
    arrival: int = 0
    orders: int = 0
    trades: int = 0
    days: int = 0


class ExposureState(State, frozen=True):
    """The position of an account, a session or a firm in an instrument, in lots; below 0 more was sold than bought."""

    KIND = StateKind.EXPOSURE
    account: int = 0
    named: int = 0
    firm: int = 0
    instrument: int = 0
    position: int = 0


class VolumeState(State, frozen=True):
    """The volume of an account in a fee schedule, in units of the quote currency, and the period that it is of."""

    KIND = StateKind.VOLUME
    account: int = 0
    schedule: int = 0
    volume: int = 0
    period: int = 0


class DigestState(State, frozen=True):
    """The event digest: hash of all full blocks, then the event rows of the unfinished block follow as they are."""

    KIND = StateKind.DIGEST
    hash_0: int = 0
    hash_1: int = 0
    hash_2: int = 0
    hash_3: int = 0
    events: int = 0


class StateEnd(State, frozen=True):
    """Last row of a snapshot: the state digest over the rows before DIGEST, and how many rows stand before this one."""

    KIND = StateKind.END
    hash_0: int = 0
    hash_1: int = 0
    hash_2: int = 0
    hash_3: int = 0
    rows: int = 0

"""What a moment of a journal answers: plain values, in ticks, lots and units of a currency; times in ns since 1970."""

from enum import Enum
from typing import Any

import msgspec

from core.kinds import (
    AccountStanding,
    Limit,
    OrderType,
    Prevention,
    Role,
    Rounding,
    Side,
    Step,
    TimeInForce,
    TradingState,
)
from core.reasons import CancelReason


class Fate(Enum):
    """What had become of an order by then."""

    LIVE = "live"
    EXECUTED = "executed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    NOT_ACCEPTED = "not accepted"
    """No order had this number yet."""


class Where(Enum):
    """Where a live order is."""

    BOOK = "in the book"
    HIDDEN = "in the book, hidden"
    WAITS = "waits for its trigger price"
    CROSSED = "its trigger price was reached, and its turn to trade has not come"
    PARKED = "parked: the price that it follows is missing"
    HELD = "held until the order that triggers it has traded"


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it stood, or as it stood last; `expires` is 0 for any time in force but GTD.

    `where` is None once it has ended. `display` is what an iceberg shows at a time and `shown` what market data shows now; `limit` is that of
    a pegged order, and prices are 0 for orders without one. `leaves` of SPEND_AT_MOST is what is left of its budget.
    """

    order_number: int
    client_order_id: int
    account: int
    session: int
    instrument: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    price: int
    leaves: int
    executed: int
    expires: int
    price_decimals: int
    quantity_decimals: int
    where: Where | None
    instructions: tuple[str, ...]
    display: int
    shown: int
    trigger_price: int
    offset: int
    limit: int
    over: bool
    """Its time is over, so that it never trades again; its `Expired` was not told yet."""


class Place(msgspec.Struct, frozen=True):
    """Where an order stands in the queue of its price: the orders that trade before it, and their open quantity."""

    orders_ahead: int
    quantity_ahead: int


class Ended(msgspec.Struct, frozen=True):
    """When an order ended, what of it was open then, and why where it was canceled."""

    sequence: int
    time: int
    open_quantity: int
    reason: CancelReason | None


class OrderAt(msgspec.Struct, frozen=True):
    """An order at a moment: `place` while it is live, `ended` once it is not, `order` unless it was not accepted."""

    order_number: int
    fate: Fate
    order: OpenOrder | None = None
    place: Place | None = None
    ended: Ended | None = None


class BalanceAt(msgspec.Struct, frozen=True):
    """What an account holds of a currency; `reserved` of it covers its open orders."""

    currency: int
    symbol: str
    decimals: int
    total: int
    reserved: int
    free: int


class PositionAt(msgspec.Struct, frozen=True):
    """Lots bought less lots sold in an instrument that counts exposures."""

    instrument: str
    position: int
    quantity_decimals: int


class LimitAt(msgspec.Struct, frozen=True):
    """A limit as it was set; `instrument` is empty for any. Before `until` it is `value_until` and `second_until`."""

    limit: Limit
    instrument: str
    value: int
    second: int
    until: int
    value_until: int
    second_until: int
    in_force: int
    """The value that held at the moment."""


class VolumeAt(msgspec.Struct, frozen=True):
    """What an account has traded in a fee schedule since the fee period began, in units of the quote currency."""

    fee_schedule: int
    volume: int


class AccountAt(msgspec.Struct, frozen=True):
    """An account: its balances in order of currencies, its open orders in order of order numbers, who acts for it.

    What an account holds of a base currency is its position where the instrument does not count exposures. `killed`: its own kill
    switch is thrown; those of its firm and of the venue bar it too.
    """

    account: int
    firm: int
    name: str
    state: TradingState
    balances: tuple[BalanceAt, ...]
    orders: tuple[OpenOrder, ...]
    sessions: tuple[int, ...]
    standing: AccountStanding
    group: int
    prevention: Prevention
    killed: bool
    firm_killed: bool
    venue_killed: bool
    positions: tuple[PositionAt, ...]
    limits: tuple[LimitAt, ...]
    firm_limits: tuple[LimitAt, ...]
    volumes: tuple[VolumeAt, ...]


class Trade(msgspec.Struct, frozen=True):
    """The last match of an instrument: price in ticks, quantity in lots."""

    price: int
    quantity: int
    sequence: int
    time: int
    match_number: int


class Top(msgspec.Struct, frozen=True):
    """The best level of one side."""

    price: int
    quantity: int
    orders: int


class RulesAt(msgspec.Struct, frozen=True):
    """The rules of an instrument; 0 where one was not set."""

    exposures: bool
    market_rests: bool
    protection: int
    collar: int
    quantity_min: int
    notional_min: int
    notional_max: int
    fee_schedule: int


class TierAt(msgspec.Struct, frozen=True):
    """A tier of a fee schedule: the volume from which it holds, in units of the quote currency, and its rates in millionths."""

    volume: int
    maker_rate: int
    taker_rate: int


class StepAt(msgspec.Struct, frozen=True):
    """A step of allocation; share in millionths, the rest 0 where the step has none."""

    step: Step
    share: int
    account: int
    lots: int


class InstrumentAt(msgspec.Struct, frozen=True):
    """An instrument: its terms, the rules, limits and fees for orders that enter now, its state, its touch and its last match.

    `bid` and `ask` are the best prices in the whole book, hidden orders included; `last_price` is 0 before the first match.
    A rate is in millionths of the quote amount; where there are tiers, orders carry the rates of one of those. Where `last` is None, no match came after row `searched_from`; 0: none ever.
    """

    instrument: int
    symbol: str
    state: TradingState
    base: str
    quote: str
    price_decimals: int
    quantity_decimals: int
    rounding: Rounding
    multiplier: int
    divisor: int
    lot_units: int
    price_max: int
    quantity_max: int
    maker_rate: int
    taker_rate: int
    market_data: int
    bid: Top | None
    ask: Top | None
    last: Trade | None
    searched_from: int
    last_price: int
    rules: RulesAt | None
    tiers: tuple[TierAt, ...]
    steps: tuple[StepAt, ...]
    waiting: int
    """Live orders that wait for a price, or are parked."""


class SessionAt(msgspec.Struct, frozen=True):
    """A session: what it may do, and its numbers. Its credential is never shown, only whether it has one."""

    session: int
    role: Role
    firm: int
    accounts: tuple[int, ...]
    inbound: int
    outbound: int
    has_credential: bool
    killed: bool
    limits: tuple[LimitAt, ...]
    positions: tuple[PositionAt, ...]


class CurrencyAt(msgspec.Struct, frozen=True):
    """A currency and its sums over the venue: held = deposited - withdrawn - fees."""

    currency: int
    symbol: str
    decimals: int
    deposited: int
    withdrawn: int
    fees: int
    held: int


class Limits(msgspec.Struct, frozen=True):
    """The bounds that hold for the whole venue under these semantics; those of an instrument stand with it."""

    levels: int
    matches: int
    steps: int
    operations: int
    answers: int


class VenueAt(msgspec.Struct, frozen=True):
    """The venue: its state and day, its counters, its digests (hexadecimal), its limits, and what it consists of."""

    state: TradingState
    day: int
    days: int
    epoch: int
    semantics: int
    order_numbers: int
    match_numbers: int
    operations: int
    instruments: tuple[str, ...]
    accounts: int
    sessions: int
    open_orders: int
    killed: bool
    limits: Limits
    event_digest: str
    state_digest: str


def plain(value: object) -> Any:
    """An answer as JSON can hold it: members of enums by name, fates and places in words."""
    if isinstance(value, Fate | Where):
        return value.value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return value

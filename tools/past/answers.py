"""What a moment of a journal answers: plain values, in ticks, lots and units of a currency; times in ns since 1970."""

from enum import Enum
from typing import Any

import msgspec

from core.kinds import OrderType, Role, Rounding, Side, TimeInForce, TradingState
from core.reasons import CancelReason


class Fate(Enum):
    """What had become of an order by then."""

    LIVE = "live"
    EXECUTED = "executed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    NOT_ACCEPTED = "not accepted"
    """No order had this number yet."""


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it stood, or as it stood last; `expires` is 0 for any time in force but GTD."""

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
    over: bool
    """Its time is over, so that it never trades again; its `Expired` was not told yet."""


class Place(msgspec.Struct, frozen=True):
    """Where an order stands in the queue of its price: the orders before it, and their open quantity."""

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


class AccountAt(msgspec.Struct, frozen=True):
    """An account: its balances in order of currencies, its open orders in order of order numbers, who acts for it.

    The engine keeps no positions beside balances: what an account holds of a base currency is its position.
    """

    account: int
    firm: int
    name: str
    state: TradingState
    balances: tuple[BalanceAt, ...]
    orders: tuple[OpenOrder, ...]
    sessions: tuple[int, ...]


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


class InstrumentAt(msgspec.Struct, frozen=True):
    """An instrument: its terms, the limits and fees for orders that enter now, its state, its touch and its last match.

    A rate is in millionths of the quote amount. Where `last` is None, no match came after row `searched_from`; 0: none ever.
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


class SessionAt(msgspec.Struct, frozen=True):
    """A session: what it may do, and its numbers. Its credential is never shown, only whether it has one."""

    session: int
    role: Role
    firm: int
    accounts: tuple[int, ...]
    inbound: int
    outbound: int
    has_credential: bool


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
    limits: Limits
    event_digest: str
    state_digest: str


def plain(value: object) -> Any:
    """An answer as JSON can hold it: members of enums by name, fates in words."""
    if isinstance(value, Fate):
        return value.value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return value

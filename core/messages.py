"""Every command, event and state row, declared once: the fields after `kind` are the columns, in order.

Tools, tests, gateways and documents use these Structs; the engine reads and writes the same columns by offset.
A text field takes as many columns as its type says (ASCII, NUL-padded). Columns that a Struct does not name are zero.
Append fields, never reorder them: journals hold the columns. This module is excluded from compilation.
"""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from core.kinds import CommandKind, EventKind, StateKind

Text2 = Annotated[str, Meta(max_length=16, extra={"columns": 2})]
Text4 = Annotated[str, Meta(max_length=32, extra={"columns": 4})]


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What commands, events and state rows have in common."""

    KIND: ClassVar[int]


class Command(Row, frozen=True):
    """Columns 1 to 5 of every command. `session` 0 is the venue itself, whose inbound number may be 0."""

    sequence: int = 0
    time: int = 0
    session: int = 0
    inbound: int = 0
    flags: int = 0


class Event(Row, frozen=True):
    """Columns 1 to 4 of every event: the command that caused it, its time, and whom it is told (0: nobody)."""

    sequence: int = 0
    time: int = 0
    session: int = 0
    outbound: int = 0


class DefineCurrency(Command, frozen=True):
    """Make a currency known, or change nothing by saying it again."""

    KIND = CommandKind.DEFINE_CURRENCY
    column_6: int = 0
    currency: int = 0
    symbol: Text2 = ""
    decimals: int = 0


class DefineInstrument(Command, frozen=True):
    """List an instrument, or change its limits and fee rates for orders entered from now on."""

    KIND = CommandKind.DEFINE_INSTRUMENT
    instrument: int = 0
    symbol: Text2 = ""
    currencies: int = 0
    multiplier: int = 1
    divisor: int = 1
    lot_units: int = 1
    price_max: int = 0
    quantity_max: int = 0
    fee_rates: int = 0


class OpenAccount(Command, frozen=True):
    """Open an account of a firm."""

    KIND = CommandKind.OPEN_ACCOUNT
    column_6: int = 0
    account: int = 0
    firm: int = 0
    name: Text4 = ""


class Deposit(Command, frozen=True):
    """Credit an account from outside the venue; the amount is in units of the currency."""

    KIND = CommandKind.DEPOSIT
    column_6: int = 0
    account: int = 0
    currency: int = 0
    amount: int = 0


class Withdraw(Command, frozen=True):
    """Debit what is neither reserved nor spent; the amount is in units of the currency."""

    KIND = CommandKind.WITHDRAW
    column_6: int = 0
    account: int = 0
    currency: int = 0
    amount: int = 0


class GrantSession(Command, frozen=True):
    """Let a session act for an account (TRADER), or for the venue (OPERATOR, account 0)."""

    KIND = CommandKind.GRANT_SESSION
    column_6: int = 0
    account: int = 0
    grantee: int = 0
    role: int = 0


class SetTradingState(Command, frozen=True):
    """Open, restrict to cancels, or halt: an instrument, an account, or the venue (both zero)."""

    KIND = CommandKind.SET_TRADING_STATE
    instrument: int = 0
    account: int = 0
    state: int = 0


class AdvanceTime(Command, frozen=True):
    """Run what is due by the row's time: expiries, then pending mass operations, at most K steps."""

    KIND = CommandKind.ADVANCE_TIME


class EndOfDay(Command, frozen=True):
    """End the trading day: DAY orders expire, and none of them trades any more."""

    KIND = CommandKind.END_OF_DAY
    column_6: int = 0
    column_7: int = 0
    day: int = 0


class Upgrade(Command, frozen=True):
    """Close the segment; the next one is written and replayed under another semantics version."""

    KIND = CommandKind.UPGRADE
    column_6: int = 0
    column_7: int = 0
    version: int = 0


class Quarantine(Command, frozen=True):
    """Name the row that made the engine raise; first row of the batch after it, in force at the named row."""

    KIND = CommandKind.QUARANTINE
    column_6: int = 0
    column_7: int = 0
    named: int = 0
    timer_time: int = 0
    timer_order: int = 0


class EnterOrder(Command, frozen=True):
    """Enter a limit or market order."""

    KIND = CommandKind.ENTER_ORDER
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    expires: int = 0


class ReplaceOrder(Command, frozen=True):
    """Change price, quantity or expiry of a live order; it keeps its order number."""

    KIND = CommandKind.REPLACE_ORDER
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    expires: int = 0
    column_12: int = 0
    column_13: int = 0
    column_14: int = 0
    original_client_order_id: int = 0


class ReduceOrder(Command, frozen=True):
    """Take a quantity off a live order, which keeps its place."""

    KIND = CommandKind.REDUCE_ORDER
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    column_9: int = 0
    quantity: int = 0


class CancelOrder(Command, frozen=True):
    """Cancel a live order."""

    KIND = CommandKind.CANCEL_ORDER
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0


class MassCancel(Command, frozen=True):
    """Cancel the live orders of an account, a side, an instrument, or any combination (0: any)."""

    KIND = CommandKind.MASS_CANCEL
    instrument: int = 0
    account: int = 0


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
    """A session may act for an account or for the venue."""

    KIND = EventKind.SESSION_GRANTED
    flags: int = 0
    column_6: int = 0
    account: int = 0
    grantee: int = 0
    role: int = 0


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


class Acknowledged(Event, frozen=True):
    """Your command took effect on an order whose reports go to another session."""

    KIND = EventKind.ACKNOWLEDGED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    command: int = 0
    inbound: int = 0
    order_number: int = 0


class Accepted(Event, frozen=True):
    """The order has entered; with RESTING it stands in the book at once, otherwise matches follow."""

    KIND = EventKind.ACCEPTED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    expires: int = 0
    drop_copy: int = 0
    market_data: int = 0


class Rejected(Event, frozen=True):
    """The command was refused and changed nothing but the session's numbers."""

    KIND = EventKind.REJECTED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    command: int = 0
    inbound: int = 0
    column_11: int = 0
    column_12: int = 0
    reason: int = 0
    drop_copy: int = 0


class Executed(Event, frozen=True):
    """One side of a match, at the resting order's price; REMOVED in the flags marks the incoming side."""

    KIND = EventKind.EXECUTED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    match_number: int = 0
    drop_copy: int = 0
    market_data: int = 0


class Settled(Event, frozen=True):
    """What a match moved, both sides in one entry: base units from seller to buyer, quote units from buyer to seller.

    The buyer pays `quote_amount + buyer_fee`, the seller gets `quote_amount - seller_fee`; a negative fee is a rebate.
    It is part of two drop copies, in each of which the other side's columns are zero.
    """

    KIND = EventKind.SETTLED
    flags: int = 0
    instrument: int = 0
    buyer: int = 0
    seller: int = 0
    base_amount: int = 0
    quote_amount: int = 0
    buyer_fee: int = 0
    seller_fee: int = 0
    match_number: int = 0
    buyer_drop_copy: int = 0
    seller_drop_copy: int = 0


class Replaced(Event, frozen=True):
    """The order has new terms; it left its place unless KEPT_PLACE, and stands again if RESTING."""

    KIND = EventKind.REPLACED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    original_client_order_id: int = 0
    drop_copy: int = 0
    market_data: int = 0


class Reduced(Event, frozen=True):
    """`quantity` was taken off a resting order, which kept its place with `leaves`."""

    KIND = EventKind.REDUCED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    column_13: int = 0
    drop_copy: int = 0
    market_data: int = 0


class Canceled(Event, frozen=True):
    """The order is gone; `quantity` of it was still open."""

    KIND = EventKind.CANCELED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    reason: int = 0
    drop_copy: int = 0
    market_data: int = 0


class Expired(Event, frozen=True):
    """The order's time is over; `quantity` of it was still open."""

    KIND = EventKind.EXPIRED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    expires: int = 0
    drop_copy: int = 0
    market_data: int = 0


class Rested(Event, frozen=True):
    """What matching left of an order now stands in the book; market data alone."""

    KIND = EventKind.RESTED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    column_13: int = 0
    drop_copy: int = 0
    market_data: int = 0


class MassCanceled(Event, frozen=True):
    """So many orders were canceled by a mass cancel; PENDING in the flags says that more will follow."""

    KIND = EventKind.MASS_CANCELED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    command: int = 0
    inbound: int = 0
    count: int = 0


class EngineState(Row, frozen=True):
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


class CurrencyState(Row, frozen=True):
    """A currency: what came in, what went out, and the venue's fees."""

    KIND = StateKind.CURRENCY
    currency: int = 0
    symbol: Text2 = ""
    decimals: int = 0
    deposited: int = 0
    withdrawn: int = 0
    fees: int = 0


class InstrumentState(Row, frozen=True):
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


class FirmState(Row, frozen=True):
    """A firm and its drop copy number."""

    KIND = StateKind.FIRM
    firm: int = 0
    drop_copy: int = 0


class AccountState(Row, frozen=True):
    """An account."""

    KIND = StateKind.ACCOUNT
    account: int = 0
    firm: int = 0
    state: int = 0
    name: Text4 = ""


class BalanceState(Row, frozen=True):
    """What an account holds of a currency, and how much of it live orders reserve."""

    KIND = StateKind.BALANCE
    account: int = 0
    currency: int = 0
    total: int = 0
    reserved: int = 0


class SessionState(Row, frozen=True):
    """A session and its numbers."""

    KIND = StateKind.SESSION
    session: int = 0
    role: int = 0
    inbound: int = 0
    outbound: int = 0


class GrantState(Row, frozen=True):
    """An account that a session may act for."""

    KIND = StateKind.GRANT
    session: int = 0
    account: int = 0
    first: int = 0


class AnswersState(Row, frozen=True):
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


class OrderState(Row, frozen=True):
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


class TodoState(Row, frozen=True):
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


class QuarantinedState(Row, frozen=True):
    """A row that was replaced by a halt, and whose Quarantine row has not come yet."""

    KIND = StateKind.QUARANTINED
    named: int = 0


class DigestState(Row, frozen=True):
    """The event digest: hash of all full blocks, then the event rows of the unfinished block follow as they are."""

    KIND = StateKind.DIGEST
    hash_0: int = 0
    hash_1: int = 0
    hash_2: int = 0
    hash_3: int = 0
    events: int = 0


class StateEnd(Row, frozen=True):
    """Last row of a snapshot: the state digest over the rows before DIGEST, and how many rows stand before this one."""

    KIND = StateKind.END
    hash_0: int = 0
    hash_1: int = 0
    hash_2: int = 0
    hash_3: int = 0
    rows: int = 0


def _by_kind(base: type[Row]) -> dict[int, type[Row]]:
    return {int(struct.KIND): struct for struct in base.__subclasses__()}


COMMANDS: dict[int, type[Row]] = _by_kind(Command)
EVENTS: dict[int, type[Row]] = _by_kind(Event)
STATES: dict[int, type[Row]] = {k: s for k, s in ((getattr(s, "KIND", 0), s) for s in Row.__subclasses__()) if k}
ROWS: dict[int, type[Row]] = COMMANDS | EVENTS | STATES

"""Every command: the fields after `kind` are its columns, in order. docs/commands.md gives the rules."""

from core.kinds import CommandKind
from core.layout import Row, Text2, Text4


class Command(Row, frozen=True):
    """Columns 1 to 5 of every command. `session` 0 is the venue itself, whose inbound number may be 0."""

    sequence: int = 0
    time: int = 0
    session: int = 0
    inbound: int = 0
    flags: int = 0


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
    column_10: int = 0
    column_11: int = 0
    column_12: int = 0
    column_13: int = 0
    reason: Text2 = ""


class Withdraw(Command, frozen=True):
    """Debit what is neither reserved nor spent; the amount is in units of the currency."""

    KIND = CommandKind.WITHDRAW
    column_6: int = 0
    account: int = 0
    currency: int = 0
    amount: int = 0
    column_10: int = 0
    column_11: int = 0
    column_12: int = 0
    column_13: int = 0
    reason: Text2 = ""


class GrantSession(Command, frozen=True):
    """Let a session act for an account (TRADER) or the venue (OPERATOR), or read a firm's events or the market's."""

    KIND = CommandKind.GRANT_SESSION
    column_6: int = 0
    account: int = 0
    grantee: int = 0
    role: int = 0
    firm: int = 0
    column_11: int = 0
    column_12: int = 0
    column_13: int = 0
    reason: Text2 = ""


class SetTradingState(Command, frozen=True):
    """Open, restrict to cancels, or halt: an instrument, an account, or the venue (both zero)."""

    KIND = CommandKind.SET_TRADING_STATE
    instrument: int = 0
    account: int = 0
    state: int = 0
    column_9: int = 0
    column_10: int = 0
    column_11: int = 0
    column_12: int = 0
    column_13: int = 0
    reason: Text2 = ""


class AdvanceTime(Command, frozen=True):
    """Run what is due by the row's time: expiries, then pending mass operations, at most K steps."""

    KIND = CommandKind.ADVANCE_TIME


class EndOfDay(Command, frozen=True):
    """End the trading day: DAY orders expire, and none of them trades any more."""

    KIND = CommandKind.END_OF_DAY
    column_6: int = 0
    column_7: int = 0
    day: int = 0
    column_9: int = 0
    column_10: int = 0
    column_11: int = 0
    column_12: int = 0
    column_13: int = 0
    reason: Text2 = ""


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


class SetFeeSchedule(Command, frozen=True):
    """Set a tier of a fee schedule: rates from a volume on, in units of the quote currency."""

    KIND = CommandKind.SET_FEE_SCHEDULE
    column_6: int = 0
    column_7: int = 0
    schedule: int = 0
    tier: int = 0
    volume: int = 0
    fee_rates: int = 0
    column_12: int = 0
    column_13: int = 0
    reason: Text2 = ""


class Kill(Command, frozen=True):
    """Kill switch of an account, a session (`named`), a firm or the venue: refuse its orders and cancel those that live."""

    KIND = CommandKind.KILL
    column_6: int = 0
    account: int = 0
    named: int = 0
    firm: int = 0
    act: int = 0
    column_11: int = 0
    column_12: int = 0
    column_13: int = 0
    reason: Text2 = ""


class SetCredential(Command, frozen=True):
    """Give a session the hash of its password (scrypt, 32 bytes; 16 bytes of salt), or take it away (all zero).

    Columns of bytes are signed and little-endian; `cost` is the binary logarithm of scrypt's N.
    """

    KIND = CommandKind.SET_CREDENTIAL
    column_6: int = 0
    column_7: int = 0
    grantee: int = 0
    hash_0: int = 0
    hash_1: int = 0
    hash_2: int = 0
    hash_3: int = 0
    salt_0: int = 0
    salt_1: int = 0
    cost: int = 0


class Promote(Command, frozen=True):
    """Raise the epoch: another node is the one writer from this row on."""

    KIND = CommandKind.PROMOTE
    column_6: int = 0
    column_7: int = 0
    epoch: int = 0


class AcceptClock(Command, frozen=True):
    """Follow the machine's clock again, which stands at `clock`, in ns since 1970."""

    KIND = CommandKind.ACCEPT_CLOCK
    column_6: int = 0
    column_7: int = 0
    clock: int = 0
    column_9: int = 0
    column_10: int = 0
    column_11: int = 0
    column_12: int = 0
    column_13: int = 0
    reason: Text2 = ""


class SetAccount(Command, frozen=True):
    """Say what an account may enter, its self-trade group, and the prevention of its orders that name none."""

    KIND = CommandKind.SET_ACCOUNT
    column_6: int = 0
    account: int = 0
    state: int = 0
    group: int = 0
    prevention: int = 0
    column_11: int = 0
    column_12: int = 0
    column_13: int = 0
    reason: Text2 = ""


class SetLimit(Command, frozen=True):
    """Set a limit before the trade of one account, session (`named`) or firm; `until` 0: for good."""

    KIND = CommandKind.SET_LIMIT
    instrument: int = 0
    account: int = 0
    named: int = 0
    firm: int = 0
    limit: int = 0
    value: int = 0
    second: int = 0
    until: int = 0
    reason: Text2 = ""


class SetAllocation(Command, frozen=True):
    """Set how the orders of a price level share an incoming order: up to six steps, 0 from the first unused one on."""

    KIND = CommandKind.SET_ALLOCATION
    instrument: int = 0
    column_7: int = 0
    step_1: int = 0
    step_2: int = 0
    step_3: int = 0
    step_4: int = 0
    step_5: int = 0
    step_6: int = 0
    reason: Text2 = ""


class SetRules(Command, frozen=True):
    """Set the rules of an instrument: protection in ticks, collar in millionths, bounds in lots and quote units."""

    KIND = CommandKind.SET_RULES
    instrument: int = 0
    column_7: int = 0
    protection: int = 0
    collar: int = 0
    quantity_min: int = 0
    notional_min: int = 0
    notional_max: int = 0
    fee_schedule: int = 0
    reason: Text2 = ""


class EnterOrder(Command, frozen=True):
    """Enter an order; prices and offsets in ticks, quantities in lots, the budget of SPEND_AT_MOST in quote units."""

    KIND = CommandKind.ENTER_ORDER
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    expires: int = 0
    display_quantity: int = 0
    minimum_quantity: int = 0
    trigger_price: int = 0
    offset: int = 0


class ReplaceOrder(Command, frozen=True):
    """Change price, quantity or expiry of a live order; it keeps its order number."""

    KIND = CommandKind.REPLACE_ORDER
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    expires: int = 0
    display_quantity: int = 0
    column_13: int = 0
    trigger_price: int = 0
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
    """Cancel the live orders of an account, a session (`named`), a firm, an instrument, a side, or any combination."""

    KIND = CommandKind.MASS_CANCEL
    instrument: int = 0
    account: int = 0
    named: int = 0
    firm: int = 0
    column_10: int = 0
    column_11: int = 0
    column_12: int = 0
    column_13: int = 0
    reason: Text2 = ""

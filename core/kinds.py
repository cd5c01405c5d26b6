"""Numbers that stand in rows: kinds, column offsets, flag bits. They never change once a journal holds them.

A row is sixteen little-endian 64-bit integers. The offsets below are in bytes from the start of the row, for the
columns that rows of many kinds share; `core/messages.py` names every column of every kind.
"""

from enum import IntEnum
from typing import Final

COLUMNS: Final = 16
ROW_SIZE: Final = 128
"""Bytes of one row."""

# Columns of every row.
KIND: Final = 0
SEQUENCE: Final = 8
TIME: Final = 16
SESSION: Final = 24
# Of every command.
INBOUND: Final = 32
FLAGS: Final = 40
# By place, for columns that differ by kind.
C6: Final = 48
C7: Final = 56
C8: Final = 64
C9: Final = 72
C10: Final = 80
C11: Final = 88
C12: Final = 96
C13: Final = 104
C14: Final = 112
C15: Final = 120
# Of every event.
OUTBOUND: Final = 32
DROP_COPY: Final = 112
MARKET_DATA: Final = 120


class CommandKind(IntEnum):
    """Column 0 of a command, 1 to 255; in the order of docs/commands.md."""

    DEFINE_CURRENCY = 1
    DEFINE_INSTRUMENT = 2
    OPEN_ACCOUNT = 3
    DEPOSIT = 4
    WITHDRAW = 5
    GRANT_SESSION = 6
    SET_TRADING_STATE = 7
    ADVANCE_TIME = 8
    END_OF_DAY = 9
    UPGRADE = 10
    QUARANTINE = 11
    SET_FEE_SCHEDULE = 13
    SESSION_LOST = 14
    KILL = 16
    SET_CREDENTIAL = 17
    PROMOTE = 18
    ACCEPT_CLOCK = 19
    SET_ACCOUNT = 20
    SET_LIMIT = 21
    SET_ALLOCATION = 23
    SET_RULES = 29
    ENTER_ORDER = 32
    REPLACE_ORDER = 33
    REDUCE_ORDER = 34
    CANCEL_ORDER = 35
    MASS_CANCEL = 36
    SET_CANCEL_ON_DISCONNECT = 42
    ARM_DEAD_MAN = 40
    SET_PROTECTION = 15
    RESET_PROTECTION = 41
    ENTER_BATCH = 38
    LINK_ORDERS = 39
    MASS_QUOTE = 37
    DETAIL = 64
    QUOTE_DETAIL = 65


class EventKind(IntEnum):
    """Column 0 of an event, 256 to 511; in the order of docs/events.md."""

    CURRENCY_DEFINED = 256
    INSTRUMENT_DEFINED = 257
    ACCOUNT_OPENED = 258
    BALANCE_CHANGED = 259
    SESSION_GRANTED = 260
    TRADING_STATE_CHANGED = 261
    DAY_ENDED = 262
    UPGRADED = 263
    QUARANTINED = 264
    REPEATED = 265
    ACKNOWLEDGED = 266
    KILLED = 267
    LIMIT_SET = 268
    ACCOUNT_SET = 269
    RULES_SET = 270
    ALLOCATION_SET = 274
    FEE_SCHEDULE_SET = 273
    SESSION_LOST = 306
    CANCEL_ON_DISCONNECT_SET = 275
    DEAD_MAN_ARMED = 276
    DEAD_MAN_FIRED = 309
    PROTECTION_SET = 277
    PROTECTION_FROZEN = 305
    BATCH_ENTERED = 280
    ORDERS_LINKED = 278
    QUOTED = 279
    ACCEPTED = 288
    REJECTED = 289
    EXECUTED = 290
    SETTLED = 291
    REPLACED = 292
    REDUCED = 293
    CANCELED = 294
    EXPIRED = 295
    RESTED = 296
    MASS_CANCELED = 297
    TRIGGERED = 298
    ACTIVATED = 310
    RESTATED = 299
    TRADED = 307
    DISPLAY_CHANGED = 308
    CREDENTIAL_SET = 312
    PROMOTED = 313
    CLOCK_ACCEPTED = 314


class StateKind(IntEnum):
    """Column 0 of a row of state (snapshots and state batches), 512 to 767; in their order in a snapshot."""

    ENGINE = 512
    CURRENCY = 513
    FEE_TIER = 529
    INSTRUMENT = 514
    RULES = 525
    ALLOCATION = 531
    FIRM = 515
    ACCOUNT = 516
    BALANCE = 517
    SESSION = 518
    GRANT = 519
    ANSWERS = 520
    ORDER = 521
    TERMS = 524
    TODO = 522
    QUARANTINED = 523
    FOLLOWING = 526
    LINK = 535
    STAGED = 534
    LIMIT = 527
    EXPOSURE = 528
    VOLUME = 530
    DIGEST = 540
    END = 541


class Side(IntEnum):
    """FIX 54, but from zero: it is bit 0 of the flags."""

    BUY = 0
    SELL = 1


class OrderType(IntEnum):
    """Numbers of FIX 40 where it has a digit."""

    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4
    MARKET_TO_LIMIT = 5
    SPEND_AT_MOST = 6
    MARKET_IF_TOUCHED = 7
    LIMIT_IF_TOUCHED = 8
    TRAILING_STOP = 9
    PEGGED = 11


class TimeInForce(IntEnum):
    """Numbers of FIX 59."""

    DAY = 0
    GTC = 1
    IOC = 3
    FOK = 4
    GTD = 6


class Prevention(IntEnum):
    """Self-trade prevention: what happens where an incoming order meets one of its owner (FIX 8000 of several venues)."""

    NONE = 0
    CANCEL_NEWEST = 1
    CANCEL_OLDEST = 2
    CANCEL_BOTH = 3
    DECREMENT = 4
    ALLOW = 5


class Peg(IntEnum):
    """What a pegged order follows: the best price of its own side, the middle, the best price of the other side."""

    PRIMARY = 0
    MIDPOINT = 1
    MARKET = 2


class AccountStanding(IntEnum):
    """What SetAccount lets an account enter."""

    ACTIVE = 1
    REDUCE_ONLY = 2
    SUSPENDED = 3


class KillAct(IntEnum):
    """What Kill does."""

    KILL = 1
    REVIVE = 2


class OnDisconnect(IntEnum):
    """What is canceled when a session is lost."""

    NOTHING = 0
    ALL = 1
    DAY_ORDERS = 2


class Link(IntEnum):
    """How the orders of LinkOrders hang together; docs/matching.md."""

    ONE_CANCELS_OTHER = 1
    ONE_TRIGGERS_OTHER = 2
    BRACKET = 3


class ProtectionLimit(IntEnum):
    """Which limit of a market-maker protection was reached."""

    QUANTITY = 1
    COUNT = 2
    DELTA = 3


class Step(IntEnum):
    """How a step of SetAllocation shares an incoming order among the orders of a price level; docs/matching.md."""

    TOP = 1
    LEAD = 2
    PRO_RATA = 3
    LARGEST = 4


class Limit(IntEnum):
    """Which limit SetLimit sets; docs/commands.md gives value, second value and bounds of each."""

    ORDER_QUANTITY = 1
    ORDER_NOTIONAL = 2
    OPEN_ORDERS = 3
    OPEN_NOTIONAL = 4
    POSITION = 5
    MESSAGE_RATE = 6
    CANCEL_RATE = 7
    ORDER_TO_TRADE = 8


class TradingState(IntEnum):
    """Of the venue, an instrument or an account."""

    OPEN = 1
    CANCEL_ONLY = 2
    HALTED = 3


class Rounding(IntEnum):
    """How `price x quantity x multiplier / divisor` becomes a whole amount, per match, the same for both sides."""

    DOWN = 0
    UP = 1


class Role(IntEnum):
    """What GrantSession grants. The last two only read: of a firm's events, and of an instrument's."""

    TRADER = 1
    OPERATOR = 2
    DROP_COPY = 3
    MARKET_DATA = 4


# Flags of EnterOrder, in its column 5 and again in Accepted and Replaced.
SIDE_MASK: Final = 0x1
TYPE_SHIFT: Final = 1
TYPE_MASK: Final = 0xF
TIME_IN_FORCE_SHIFT: Final = 5
TIME_IN_FORCE_MASK: Final = 0xF
POST_ONLY: Final = 0x200
"""Refuse rather than trade on entry."""
SLIDE: Final = 0x400
"""Post-only too, but one tick short of the best opposite price rather than refused; never with POST_ONLY."""
REDUCE_ONLY: Final = 0x800
HIDDEN: Final = 0x1000
ALL_OR_NONE: Final = 0x2000
PREVENTION_SHIFT: Final = 14
PREVENTION_MASK: Final = 0x7
PEG_SHIFT: Final = 17
PEG_MASK: Final = 0x3
BASIS_POINTS: Final = 0x80000
"""The offset of a trailing stop is in basis points of the last price, not in ticks."""
QUOTE: Final = 0x400000
"""The order is a quote: market-maker protection counts its matches and cancels it."""
ENTER_FLAGS: Final = 0x4FFFFF
"""The bits that EnterOrder may set today; docs/commands.md (Drafts) says what the next ones will mean."""
PLAIN_FLAGS: Final = 0x3FF
"""Without another bit an order of type LIMIT or MARKET needs none of the rules of docs/matching.md."""

# Parts of a step of SetAllocation.
STEP_MASK: Final = 0xFF
SHARE_SHIFT: Final = 8
SHARE_MASK: Final = 0xFFFFF
LEAD_SHIFT: Final = 28
LEAD_MASK: Final = 0xFFFFF
LOTS_SHIFT: Final = 48
LOTS_MASK: Final = 0x7FFF

# Flags of MassQuote.
REPLACE_ALL: Final = 0x1
"""Cancel all other quotes of the account in the instruments that are named."""
QUOTES_SLIDE: Final = 0x2
"""Quotes that would trade slide, rather than being refused."""

# Flags of EndOfDay.
FEE_PERIOD: Final = 0x1
"""The fee period ends with the day: volumes begin at 0."""

# Flags of SetRules.
EXPOSURES: Final = 0x1
"""Positions and open orders of the instrument are counted for each account, session and firm."""
MARKET_RESTS: Final = 0x2
"""The rest of a market order may stand, at the limit that its protection gave it."""

# Flags of ReplaceOrder.
REENTER: Final = 0x1
"""Cancel and enter again: the quantity is what is open afterwards, and the order goes to the back of its queue."""

# Flags of MassCancel: the side, 0 for both.
ONLY_BUYS: Final = 1
ONLY_SELLS: Final = 2

# Flags of DefineInstrument.
PRICE_DECIMALS_SHIFT: Final = 0
QUANTITY_DECIMALS_SHIFT: Final = 8
DECIMALS_MASK: Final = 0xFF
ROUNDING_SHIFT: Final = 16
ROUNDING_MASK: Final = 0xFF
INSTRUMENT_FLAGS: Final = 0xFFFFFF

# Flags that only events carry.
RESTING: Final = 0x100000000
"""The order stands in the book with the row's leaves quantity, behind all others at its price."""
REMOVED: Final = 0x200000000
"""Liquidity: this side of the match was the incoming one (FIX 851 = 2); without it, ADDED."""
KEPT_PLACE: Final = 0x400000000
"""The replaced order kept its place in the queue."""
PENDING: Final = 0x800000000
"""More of the mass operation follows in later rows."""

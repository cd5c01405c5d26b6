"""Why the market refuses a command, and why it cancels an order.

`RejectReason` is in order of precedence: of several that apply, the first is given. The numbers are in journals and
never move; they leave room for reasons to come between. docs/reasons.md explains each, in this order.
"""

from enum import IntEnum


class RejectReason(IntEnum):
    """Column 13 of Rejected, by precedence."""

    UNKNOWN_SESSION = 10
    INBOUND_TOO_OLD = 20
    INBOUND_CONFLICT = 30
    INBOUND_GAP = 40
    QUARANTINED = 50
    NOT_AN_OPERATOR = 55
    MALFORMED = 60
    NOT_PERMITTED = 70
    UNKNOWN_CURRENCY = 80
    UNKNOWN_INSTRUMENT = 90
    UNKNOWN_ACCOUNT = 100
    HALTED = 110
    CANCEL_ONLY = 120
    ACCOUNT_HALTED = 130
    UNKNOWN_ORDER = 140
    DUPLICATE_CLIENT_ORDER_ID = 150
    INVALID_TIME_IN_FORCE = 160
    INVALID_INSTRUCTION = 170
    INVALID_PRICE = 180
    INVALID_QUANTITY = 190
    INVALID_NOTIONAL = 200
    INVALID_EXPIRY = 210
    INVALID_AMOUNT = 220
    INVALID_DEFINITION = 230
    CONFLICTING_DEFINITION = 240
    INVALID_DAY = 250
    INVALID_VERSION = 260
    INVALID_EPOCH = 263
    INVALID_CLOCK = 266
    INVALID_QUARANTINE = 270
    TOO_MANY_PENDING = 280
    LEVELS_FULL = 290
    SUM_AT_BOUND = 300
    WOULD_TRADE = 310
    INSUFFICIENT_FUNDS = 320


class CancelReason(IntEnum):
    """Column 13 of Canceled."""

    REQUESTED = 1
    MASS_CANCEL = 2
    IMMEDIATE_OR_CANCEL = 3
    FILL_OR_KILL = 4
    INSUFFICIENT_FUNDS = 5
    MATCH_LIMIT = 6
    REPLACED_BELOW_EXECUTED = 7

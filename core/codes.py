"""The enums of `kinds.py` and `reasons.py` as constants, for the engine. Written by `python -m tools.codes`.

Compiled, a Final attribute of a class is a constant, while a member of an IntEnum is looked up by name and unboxed each
time: on the hot path that was a third of all instructions. tests/core/test_codes.py holds this file to the enums.
"""

from typing import Final


class CommandKind:
    """core.kinds.CommandKind."""

    DEFINE_CURRENCY: Final = 1
    DEFINE_INSTRUMENT: Final = 2
    OPEN_ACCOUNT: Final = 3
    DEPOSIT: Final = 4
    WITHDRAW: Final = 5
    GRANT_SESSION: Final = 6
    SET_TRADING_STATE: Final = 7
    ADVANCE_TIME: Final = 8
    END_OF_DAY: Final = 9
    UPGRADE: Final = 10
    QUARANTINE: Final = 11
    SET_FEE_SCHEDULE: Final = 13
    SESSION_LOST: Final = 14
    KILL: Final = 16
    SET_CREDENTIAL: Final = 17
    PROMOTE: Final = 18
    ACCEPT_CLOCK: Final = 19
    SET_ACCOUNT: Final = 20
    SET_LIMIT: Final = 21
    SET_ALLOCATION: Final = 23
    SET_RULES: Final = 29
    ENTER_ORDER: Final = 32
    REPLACE_ORDER: Final = 33
    REDUCE_ORDER: Final = 34
    CANCEL_ORDER: Final = 35
    MASS_CANCEL: Final = 36
    SET_CANCEL_ON_DISCONNECT: Final = 42
    ARM_DEAD_MAN: Final = 40
    SET_PROTECTION: Final = 15
    RESET_PROTECTION: Final = 41
    ENTER_BATCH: Final = 38
    LINK_ORDERS: Final = 39
    MASS_QUOTE: Final = 37
    DETAIL: Final = 64
    QUOTE_DETAIL: Final = 65


class EventKind:
    """core.kinds.EventKind."""

    CURRENCY_DEFINED: Final = 256
    INSTRUMENT_DEFINED: Final = 257
    ACCOUNT_OPENED: Final = 258
    BALANCE_CHANGED: Final = 259
    SESSION_GRANTED: Final = 260
    TRADING_STATE_CHANGED: Final = 261
    DAY_ENDED: Final = 262
    UPGRADED: Final = 263
    QUARANTINED: Final = 264
    REPEATED: Final = 265
    ACKNOWLEDGED: Final = 266
    KILLED: Final = 267
    LIMIT_SET: Final = 268
    ACCOUNT_SET: Final = 269
    RULES_SET: Final = 270
    ALLOCATION_SET: Final = 274
    FEE_SCHEDULE_SET: Final = 273
    SESSION_LOST: Final = 306
    CANCEL_ON_DISCONNECT_SET: Final = 275
    DEAD_MAN_ARMED: Final = 276
    DEAD_MAN_FIRED: Final = 309
    PROTECTION_SET: Final = 277
    PROTECTION_FROZEN: Final = 305
    BATCH_ENTERED: Final = 280
    ORDERS_LINKED: Final = 278
    QUOTED: Final = 279
    ACCEPTED: Final = 288
    REJECTED: Final = 289
    EXECUTED: Final = 290
    SETTLED: Final = 291
    REPLACED: Final = 292
    REDUCED: Final = 293
    CANCELED: Final = 294
    EXPIRED: Final = 295
    RESTED: Final = 296
    MASS_CANCELED: Final = 297
    TRIGGERED: Final = 298
    ACTIVATED: Final = 310
    RESTATED: Final = 299
    TRADED: Final = 307
    DISPLAY_CHANGED: Final = 308
    CREDENTIAL_SET: Final = 312
    PROMOTED: Final = 313
    CLOCK_ACCEPTED: Final = 314


class StateKind:
    """core.kinds.StateKind."""

    ENGINE: Final = 512
    CURRENCY: Final = 513
    FEE_TIER: Final = 529
    INSTRUMENT: Final = 514
    RULES: Final = 525
    ALLOCATION: Final = 531
    FIRM: Final = 515
    ACCOUNT: Final = 516
    BALANCE: Final = 517
    SESSION: Final = 518
    GRANT: Final = 519
    ANSWERS: Final = 520
    ORDER: Final = 521
    TERMS: Final = 524
    TODO: Final = 522
    QUARANTINED: Final = 523
    FOLLOWING: Final = 526
    LINK: Final = 535
    STAGED: Final = 534
    LIMIT: Final = 527
    EXPOSURE: Final = 528
    VOLUME: Final = 530
    DIGEST: Final = 540
    END: Final = 541


class Side:
    """core.kinds.Side."""

    BUY: Final = 0
    SELL: Final = 1


class OrderType:
    """core.kinds.OrderType."""

    MARKET: Final = 1
    LIMIT: Final = 2
    STOP: Final = 3
    STOP_LIMIT: Final = 4
    MARKET_TO_LIMIT: Final = 5
    SPEND_AT_MOST: Final = 6
    MARKET_IF_TOUCHED: Final = 7
    LIMIT_IF_TOUCHED: Final = 8
    TRAILING_STOP: Final = 9
    PEGGED: Final = 11


class TimeInForce:
    """core.kinds.TimeInForce."""

    DAY: Final = 0
    GTC: Final = 1
    IOC: Final = 3
    FOK: Final = 4
    GTD: Final = 6


class Prevention:
    """core.kinds.Prevention."""

    NONE: Final = 0
    CANCEL_NEWEST: Final = 1
    CANCEL_OLDEST: Final = 2
    CANCEL_BOTH: Final = 3
    DECREMENT: Final = 4
    ALLOW: Final = 5


class Peg:
    """core.kinds.Peg."""

    PRIMARY: Final = 0
    MIDPOINT: Final = 1
    MARKET: Final = 2


class AccountStanding:
    """core.kinds.AccountStanding."""

    ACTIVE: Final = 1
    REDUCE_ONLY: Final = 2
    SUSPENDED: Final = 3


class KillAct:
    """core.kinds.KillAct."""

    KILL: Final = 1
    REVIVE: Final = 2


class OnDisconnect:
    """core.kinds.OnDisconnect."""

    NOTHING: Final = 0
    ALL: Final = 1
    DAY_ORDERS: Final = 2


class Link:
    """core.kinds.Link."""

    ONE_CANCELS_OTHER: Final = 1
    ONE_TRIGGERS_OTHER: Final = 2
    BRACKET: Final = 3


class ProtectionLimit:
    """core.kinds.ProtectionLimit."""

    QUANTITY: Final = 1
    COUNT: Final = 2
    DELTA: Final = 3


class Step:
    """core.kinds.Step."""

    TOP: Final = 1
    LEAD: Final = 2
    PRO_RATA: Final = 3
    LARGEST: Final = 4


class Limit:
    """core.kinds.Limit."""

    ORDER_QUANTITY: Final = 1
    ORDER_NOTIONAL: Final = 2
    OPEN_ORDERS: Final = 3
    OPEN_NOTIONAL: Final = 4
    POSITION: Final = 5
    MESSAGE_RATE: Final = 6
    CANCEL_RATE: Final = 7
    ORDER_TO_TRADE: Final = 8


class TradingState:
    """core.kinds.TradingState."""

    OPEN: Final = 1
    CANCEL_ONLY: Final = 2
    HALTED: Final = 3


class Role:
    """core.kinds.Role."""

    TRADER: Final = 1
    OPERATOR: Final = 2
    DROP_COPY: Final = 3
    MARKET_DATA: Final = 4


class Rounding:
    """core.kinds.Rounding."""

    DOWN: Final = 0
    UP: Final = 1


class RejectReason:
    """core.reasons.RejectReason."""

    UNKNOWN_SESSION: Final = 10
    INBOUND_TOO_OLD: Final = 20
    INBOUND_CONFLICT: Final = 30
    INBOUND_GAP: Final = 40
    QUARANTINED: Final = 50
    NOT_AN_OPERATOR: Final = 55
    MALFORMED: Final = 60
    INCOMPLETE: Final = 65
    NOT_PERMITTED: Final = 70
    UNKNOWN_CURRENCY: Final = 80
    UNKNOWN_INSTRUMENT: Final = 90
    UNKNOWN_ACCOUNT: Final = 100
    HALTED: Final = 110
    CANCEL_ONLY: Final = 120
    ACCOUNT_HALTED: Final = 130
    KILLED: Final = 132
    ACCOUNT_SUSPENDED: Final = 134
    ACCOUNT_REDUCE_ONLY: Final = 135
    PROTECTION_FROZEN: Final = 136
    MESSAGE_RATE_LIMIT: Final = 137
    CANCEL_RATE_LIMIT: Final = 138
    UNKNOWN_ORDER: Final = 140
    DUPLICATE_CLIENT_ORDER_ID: Final = 150
    INVALID_TIME_IN_FORCE: Final = 160
    INVALID_INSTRUCTION: Final = 170
    INVALID_LINK: Final = 175
    INVALID_PRICE: Final = 180
    INVALID_QUANTITY: Final = 190
    INVALID_NOTIONAL: Final = 200
    INVALID_EXPIRY: Final = 210
    INVALID_AMOUNT: Final = 220
    INVALID_DEFINITION: Final = 230
    CONFLICTING_DEFINITION: Final = 240
    INVALID_DAY: Final = 250
    INVALID_VERSION: Final = 260
    INVALID_EPOCH: Final = 263
    INVALID_CLOCK: Final = 266
    INVALID_QUARANTINE: Final = 270
    WOULD_INCREASE: Final = 272
    FOLLOWERS_FULL: Final = 274
    TOO_MANY_PENDING: Final = 280
    OUTSIDE_COLLAR: Final = 281
    NOTIONAL_BELOW_MINIMUM: Final = 282
    NOTIONAL_ABOVE_MAXIMUM: Final = 283
    QUANTITY_LIMIT: Final = 284
    NOTIONAL_LIMIT: Final = 285
    OPEN_ORDERS_LIMIT: Final = 286
    OPEN_NOTIONAL_LIMIT: Final = 287
    POSITION_LIMIT: Final = 288
    ORDER_TO_TRADE_LIMIT: Final = 289
    LEVELS_FULL: Final = 290
    SUM_AT_BOUND: Final = 300
    WOULD_TRADE: Final = 310
    INSUFFICIENT_FUNDS: Final = 320


class CancelReason:
    """core.reasons.CancelReason."""

    REQUESTED: Final = 1
    MASS_CANCEL: Final = 2
    IMMEDIATE_OR_CANCEL: Final = 3
    FILL_OR_KILL: Final = 4
    INSUFFICIENT_FUNDS: Final = 5
    MATCH_LIMIT: Final = 6
    REPLACED_BELOW_EXECUTED: Final = 7
    SELF_TRADE: Final = 8
    MINIMUM_NOT_MET: Final = 9
    BUDGET_SPENT: Final = 10
    NO_ROOM: Final = 11
    ACCOUNT_STATE: Final = 12
    REDUCE_ONLY: Final = 13
    KILLED: Final = 14
    SESSION_LOST: Final = 15
    DEAD_MAN: Final = 16
    PROTECTION: Final = 17
    LINKED: Final = 18
    QUOTED: Final = 19
    WOULD_TRADE: Final = 20

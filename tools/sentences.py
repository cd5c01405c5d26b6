"""Why a command is refused and why an order is canceled, in a sentence each: the tables of docs/reasons.md, word for word.

The page is the source; it is not installed with the tools, so its sentences stand here again, and a test compares the two.
"""

from typing import Final

from core.reasons import CancelReason, RejectReason

REJECTED: Final[dict[int, str]] = {
    RejectReason.UNKNOWN_SESSION: "the session was never granted anything",
    RejectReason.INBOUND_TOO_OLD: "the inbound number is older than the 4,096 answers that are kept; for session 0: not greater than an earlier one",
    RejectReason.INBOUND_CONFLICT: "the inbound number was answered for other content",
    RejectReason.INBOUND_GAP: "an inbound number was left out before it; nothing is consumed",
    RejectReason.QUARANTINED: "the row made the engine raise, and was replaced by a halt",
    RejectReason.NOT_AN_OPERATOR: "only session 0 and operators may send this command",
    RejectReason.MALFORMED: "a spare column is not zero, a flag or enumeration has no meaning, the reason given is no text, or the kind is unknown",
    RejectReason.NOT_PERMITTED: "the session was not granted this account; or the command is the venue's own",
    RejectReason.UNKNOWN_CURRENCY: "no such currency",
    RejectReason.UNKNOWN_INSTRUMENT: "no such instrument",
    RejectReason.UNKNOWN_ACCOUNT: "no such account",
    RejectReason.HALTED: "the venue or the instrument is halted",
    RejectReason.CANCEL_ONLY: "the venue or the instrument takes cancels only",
    RejectReason.ACCOUNT_HALTED: "the account is halted, or takes cancels only and this is none",
    RejectReason.KILLED: "the kill switch of the account, the session, the firm or the venue is thrown",
    RejectReason.ACCOUNT_SUSPENDED: "the account may enter nothing",
    RejectReason.ACCOUNT_REDUCE_ONLY: "the account may enter reduce-only orders alone, and this is none",
    RejectReason.MESSAGE_RATE_LIMIT: "orders come faster than a limit lets them",
    RejectReason.CANCEL_RATE_LIMIT: "cancels come faster than a limit lets them",
    RejectReason.UNKNOWN_ORDER: "the account has no live order of this client order id in this instrument",
    RejectReason.DUPLICATE_CLIENT_ORDER_ID: "the account has a live order of this client order id",
    RejectReason.INVALID_TIME_IN_FORCE: "the order type does not go with the time in force",
    RejectReason.INVALID_INSTRUCTION: "an instruction, or a column of the order, does not go with its type, time in force or instrument, or with another instruction",
    RejectReason.INVALID_PRICE: "the price is out of range",
    RejectReason.INVALID_QUANTITY: "the quantity is out of range",
    RejectReason.INVALID_NOTIONAL: "price, quantity and multiplier, or quantity and lot units, pass 2^62 - 1",
    RejectReason.INVALID_EXPIRY: "the expiry has come already, is beyond 2^62 - 1, or does not go with the time in force",
    RejectReason.INVALID_AMOUNT: "the amount is out of range",
    RejectReason.INVALID_DEFINITION: "a value of the definition is out of range",
    RejectReason.CONFLICTING_DEFINITION: "the number or symbol stands for something else; or the role does not go with what the session was granted",
    RejectReason.INVALID_DAY: "the day is not later than the last one, or no day",
    RejectReason.INVALID_VERSION: "the semantics version goes back or is out of range",
    RejectReason.INVALID_EPOCH: "the epoch is not greater than the present one, or is out of range",
    RejectReason.INVALID_CLOCK: "the time of the clock is out of range",
    RejectReason.INVALID_QUARANTINE: "the row named was not quarantined",
    RejectReason.WOULD_INCREASE: "a reduce-only order finds no position to reduce",
    RejectReason.FOLLOWERS_FULL: "the instrument has 1,024 live orders of this type, or the account 64 reduce-only ones in it",
    RejectReason.TOO_MANY_PENDING: "1,024 mass operations are pending, or triggers of the instrument are",
    RejectReason.OUTSIDE_COLLAR: "the price is too far from the last price",
    RejectReason.NOTIONAL_BELOW_MINIMUM: "the notional is below the smallest of the instrument",
    RejectReason.NOTIONAL_ABOVE_MAXIMUM: "the notional is above the largest of the instrument",
    RejectReason.QUANTITY_LIMIT: "the quantity passes a limit",
    RejectReason.NOTIONAL_LIMIT: "the notional passes a limit",
    RejectReason.OPEN_ORDERS_LIMIT: "there would be more live orders than a limit lets be",
    RejectReason.OPEN_NOTIONAL_LIMIT: "the live orders would be worth more than a limit lets them",
    RejectReason.POSITION_LIMIT: "the position could pass a limit",
    RejectReason.ORDER_TO_TRADE_LIMIT: "too many orders for too few trades",
    RejectReason.LEVELS_FULL: "the side has 65,536 price levels",
    RejectReason.SUM_AT_BOUND: "a stored sum would pass 2^62 - 1",
    RejectReason.WOULD_TRADE: "a post-only order would trade on entry, or has no price to slide to",
    RejectReason.INSUFFICIENT_FUNDS: "the account does not cover it",
}
"""What follows "the command is refused because"."""

CANCELED: Final[dict[int, str]] = {
    CancelReason.REQUESTED: "its cancel, or a reduction by all that was open, was asked for",
    CancelReason.MASS_CANCEL: "a mass cancel covered it",
    CancelReason.IMMEDIATE_OR_CANCEL: "it found no more to trade with on entry",
    CancelReason.FILL_OR_KILL: "it could not be filled in full on entry",
    CancelReason.INSUFFICIENT_FUNDS: "a market buy ran out of funds",
    CancelReason.MATCH_LIMIT: "it met 65,536 resting orders in one row",
    CancelReason.REPLACED_BELOW_EXECUTED: "a replace asked for no more than had been executed",
    CancelReason.SELF_TRADE: "it met an order of its owner",
    CancelReason.MINIMUM_NOT_MET: "less than its minimum quantity, or than all of an all-or-none order, was in reach on entry",
    CancelReason.BUDGET_SPENT: "what is left of its budget buys no lot more",
    CancelReason.NO_ROOM: "it could not stand: too many price levels, or a sum at its bound",
    CancelReason.ACCOUNT_STATE: "it was triggered while its account may not enter it",
    CancelReason.REDUCE_ONLY: "the position that it would have reduced is gone",
    CancelReason.KILLED: "a kill switch was thrown",
}
"""What follows "the order was canceled because"."""

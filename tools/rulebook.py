"""The rule book as data, out of what the engine itself goes by: enums, Structs, and its tables of types and limits.

docs/commands.md and docs/reasons.md print the same; tests hold the two against each other.
"""

from collections.abc import Iterator
from typing import Any, Final

from core.judging import _DISPLAY, _MAY_HAVE, _MINIMUM, _OFFSET, _POST, _STANDS, _TIMES, _TRIGGER, has_price
from core.kinds import (
    ALL_OR_NONE,
    BASIS_POINTS,
    FLAGS,
    HIDDEN,
    PEG_MASK,
    PEG_SHIFT,
    QUOTE,
    REDUCE_ONLY,
    CommandKind,
    Limit,
    OrderType,
    TimeInForce,
)
from core.messages import COMMANDS
from core.reasons import CancelReason, RejectReason
from core.rows import layout
from core.state import SEMANTICS
from core.terms import waits_for_price
from core.venue_rules import _MOST, _SECOND_LEAST, _SECOND_MOST
from tools.sentences import CANCELED, REJECTED

_INSTRUCTIONS: Final = (
    (_POST, "post-only"),
    (REDUCE_ONLY, "reduce-only"),
    (HIDDEN, "hidden"),
    (ALL_OR_NONE, "all-or-none"),
    (QUOTE, "quote"),
    (_DISPLAY, "display_quantity"),
    (_MINIMUM, "minimum_quantity"),
    (_TRIGGER, "trigger_price"),
    (_OFFSET, "offset"),
    (PEG_MASK << PEG_SHIFT, "peg"),
    (BASIS_POINTS, "offset in basis points"),
)
"""What an order may ask for besides type and time in force, as the engine's bits have it."""

_REFUSES: Final = {
    Limit.ORDER_QUANTITY: RejectReason.QUANTITY_LIMIT,
    Limit.ORDER_NOTIONAL: RejectReason.NOTIONAL_LIMIT,
    Limit.OPEN_ORDERS: RejectReason.OPEN_ORDERS_LIMIT,
    Limit.OPEN_NOTIONAL: RejectReason.OPEN_NOTIONAL_LIMIT,
    Limit.POSITION: RejectReason.POSITION_LIMIT,
    Limit.MESSAGE_RATE: RejectReason.MESSAGE_RATE_LIMIT,
    Limit.CANCEL_RATE: RejectReason.CANCEL_RATE_LIMIT,
    Limit.ORDER_TO_TRADE: RejectReason.ORDER_TO_TRADE_LIMIT,
}
_INSTRUMENT: Final = {
    Limit.ORDER_QUANTITY: "one, or 0 for any",
    Limit.ORDER_NOTIONAL: "one",
    Limit.OPEN_NOTIONAL: "one with EXPOSURES",
    Limit.POSITION: "one with EXPOSURES",
}
"""The instrument that a limit is of; 0 for those that are missing here."""


def rulebook() -> dict[str, Any]:
    """All of it, as `lockstep rules --json` prints it."""
    return {
        "semantics": SEMANTICS,
        "commands": [_command(kind) for kind in CommandKind],
        "order_types": [_order_type(order_type) for order_type in OrderType],
        "limits": [_limit(limit) for limit in Limit],
        "reject_reasons": [_reason(reason, REJECTED) for reason in RejectReason],
        "cancel_reasons": [_reason(reason, CANCELED) for reason in CancelReason],
    }


def _command(kind: CommandKind) -> dict[str, Any]:
    struct_type = COMMANDS[kind]
    text = " ".join((struct_type.__doc__ or "").split())
    return {"kind": int(kind), "name": struct_type.__name__, "text": text, "columns": list(_columns(kind))}


def _columns(kind: CommandKind) -> Iterator[dict[str, Any]]:
    """The columns that a command uses besides those of all; `last` where a text takes several."""
    for field in layout(COMMANDS[kind]):
        used = field.column > FLAGS // 8 or (field.name == "flags" and kind in _FLAGGED)
        if used and not field.name.startswith("column_"):
            yield {"name": field.name, "column": field.column, "last": field.column + max(field.text, 1) - 1}


_FLAGGED: Final = frozenset(
    {
        CommandKind.DEFINE_INSTRUMENT,
        CommandKind.END_OF_DAY,
        CommandKind.SET_RULES,
        CommandKind.ENTER_ORDER,
        CommandKind.REPLACE_ORDER,
        CommandKind.MASS_CANCEL,
        CommandKind.LINK_ORDERS,
        CommandKind.MASS_QUOTE,
        CommandKind.DETAIL,
    }
)
"""Commands whose flags may be other than zero."""


def _order_type(order_type: OrderType) -> dict[str, Any]:
    times, may = _TIMES[order_type], _MAY_HAVE[order_type]
    price = "a price" if has_price(order_type) else "0"
    if order_type == OrderType.PEGGED:
        price = "its limit; a sell may have none"
    told = {
        "number": int(order_type),
        "name": order_type.name,
        "price": price,
        "times_in_force": _times(times),
        "waits_for_a_price": bool(waits_for_price(order_type)),
        "may_have": [word for bits, word in _INSTRUCTIONS if may & bits],
    }
    return told | ({"with_market_rests": _times(times | _STANDS)} if order_type == OrderType.MARKET else {})


def _times(bits: int) -> list[str]:
    return [time.name for time in TimeInForce if bits >> time & 1]


def _limit(limit: Limit) -> dict[str, Any]:
    return {
        "number": int(limit),
        "name": limit.name,
        "value": [1, _MOST[limit]],
        "second": [_SECOND_LEAST[limit], _SECOND_MOST[limit]],
        "instrument": _INSTRUMENT.get(limit, "0"),
        "refuses": _REFUSES[limit].name,
    }


def _reason(reason: RejectReason | CancelReason, sentences: dict[int, str]) -> dict[str, Any]:
    return {"number": int(reason), "name": reason.name, "text": sentences[reason]}

"""What an order has that is more than a plain limit or market order, and what it waits for.

Only such orders carry it: a plain order costs one pointer that is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64
from sortedcontainers import SortedDict

from core.codes import OrderType, Side, TimeInForce
from core.kinds import HIDDEN, QUOTE, REDUCE_ONLY, TIME_IN_FORCE_MASK, TIME_IN_FORCE_SHIFT, TYPE_MASK, TYPE_SHIFT

if TYPE_CHECKING:
    from core.book import Order

IN_BOOK: Final = 0
FOR_PRICE: Final = 1
PARKED: Final = 2
CROSSED: Final = 3
HELD: Final = 4
ARRIVING: Final = 5
"""Where a live order is: in the book; waiting for its trigger price; pegged to a price that is not there; a trailing
stop whose trigger price was reached, and whose turn has not come; held until its parent has traded; or, within the row
that enters it alone, judged and not arrived yet."""


class OrderLink:
    """What links two or three orders of one account in one instrument; docs/matching.md.

    While `parent` lives, `first` and `second` are held. Without a parent, `first` and `second` cancel each other; of
    ONE_TRIGGERS_OTHER there is no second.
    """

    __slots__ = ("by", "first", "kind", "number", "over", "parent", "second", "traded", "turn")

    def __init__(self, kind: i64, parent: Order | None, first: Order, second: Order | None) -> None:
        self.kind = kind
        self.parent = parent
        self.first = first
        self.second = second
        # Of a parent that has ended with a match: its order number, what it traded, and the turn to be activated.
        self.number: i64 = parent.number if parent is not None else 0
        self.traded: i64 = 0
        self.turn: i64 = 0
        # Whether the link is over, and the order that ended it.
        self.over = False
        self.by: Order | None = None

    def partner(self, order: Order) -> Order | None:
        """The order that an order cancels, and is canceled by; None where there is none."""
        if order is self.first:
            return self.second
        return self.first if order is self.second else None


class Terms:
    """Prices and offsets in ticks (or basis points), quantities in lots."""

    __slots__ = (
        "armed", "counted", "display", "limit", "link", "minimum", "offset", "pays", "shown", "trigger_price", "waits",
        "worth",
    )  # fmt: skip

    def __init__(self) -> None:
        # Iceberg: lots shown at a time, and lots shown now; 0 for any other order.
        self.display: i64 = 0
        self.shown: i64 = 0
        # What must trade on entry; forgotten afterwards.
        self.minimum: i64 = 0
        self.trigger_price: i64 = 0
        self.offset: i64 = 0
        # Of a pegged order the limit, 0 for none; of a trailing stop the trigger price that it came with.
        self.limit: i64 = 0
        self.waits: i64 = IN_BOOK
        # The row from which it waits for its trigger price: the older one is triggered first.
        self.armed: i64 = 0
        # Whether it is a buy that reserves nothing and pays as it goes.
        self.pays = False
        # What exposures count of it: open lots and their notional.
        self.counted: i64 = 0
        self.worth: i64 = 0
        # The orders that it is linked with, as long as the link holds.
        self.link: OrderLink | None = None


class Followers:
    """The orders of an instrument that wait for a price or follow one, and those that are to be activated."""

    __slots__ = ("activations", "falling", "held_pegged", "held_trailing", "pegged", "rising", "trailing", "turns")

    def __init__(self) -> None:
        # Triggered by a last price at or above: by (trigger price, row, order number).
        self.rising: SortedDict[tuple[int, int, int], Order] = SortedDict()
        # Triggered by a last price at or below: by (trigger price negated, row, order number).
        self.falling: SortedDict[tuple[int, int, int], Order] = SortedDict()
        # Trailing stops that have not been crossed, and pegged orders; by order number.
        self.trailing: SortedDict[int, Order] = SortedDict()
        self.pegged: SortedDict[int, Order] = SortedDict()
        # Live orders of these two types that are held, or have not arrived: they count towards FOLLOWERS_MAX.
        self.held_trailing: i64 = 0
        self.held_pegged: i64 = 0
        # Links whose parents have ended with a match, by turn: 1, 2, 3, ... as they ended.
        self.activations: SortedDict[int, OrderLink] = SortedDict()
        self.turns: i64 = 0


def is_counted(order: Order, terms: Terms) -> bool:
    """Whether positions bind a live order that is reduce-only: not as long as it is held."""
    return order.flags & REDUCE_ONLY != 0 and terms.waits != HELD


def is_waiting(order: Order, terms: Terms) -> bool:
    """Whether an order has still to be triggered."""
    if terms.waits == FOR_PRICE or terms.waits == CROSSED:
        return True
    return terms.waits >= HELD and waits_for_price(type_of(order))


def reserves_nothing(terms: Terms) -> bool:
    """Whether a link spares an order its reservation: it is held, or waits for a price and cancels another one."""
    if terms.waits == HELD:
        return True
    link = terms.link
    if link is None or link.parent is not None:
        return False
    return link.second is not None and (terms.waits == FOR_PRICE or terms.waits == CROSSED)


def type_of(order: Order) -> i64:
    """The order type in the flags of an order."""
    return order.flags >> TYPE_SHIFT & TYPE_MASK


def waits_for_price(order_type: i64) -> bool:
    """Whether orders of this type wait for a price."""
    return (
        OrderType.STOP <= order_type <= OrderType.STOP_LIMIT
        or OrderType.MARKET_IF_TOUCHED <= order_type <= OrderType.TRAILING_STOP
    )


def rises(order: Order) -> bool:
    """Whether a waiting order is triggered by a price that rises: stops to buy, if-touched orders to sell."""
    touched = OrderType.MARKET_IF_TOUCHED <= type_of(order) <= OrderType.LIMIT_IF_TOUCHED
    return (order.side == Side.BUY) != touched


def is_special(order: Order, display: i64) -> bool:
    """Whether an order is more than a plain one while it lives, whatever its instrument."""
    order_type = type_of(order)
    if order.flags & (HIDDEN | REDUCE_ONLY | QUOTE) or display != 0 or order_type == OrderType.PEGGED:
        return True
    return order_type == OrderType.SPEND_AT_MOST or waits_for_price(order_type)


def pays_as_it_goes(order: Order) -> bool:
    """Whether this is a buy that reserves nothing on entry and pays what it trades, by its type and time in force."""
    if order.side == Side.SELL:
        return False
    order_type = type_of(order)
    if order_type == OrderType.MARKET:
        time_in_force = order.flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK
        return time_in_force == TimeInForce.IOC or time_in_force == TimeInForce.FOK
    return (
        waits_for_price(order_type) and order_type != OrderType.STOP_LIMIT and order_type != OrderType.LIMIT_IF_TOUCHED
    )

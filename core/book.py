"""The book of one instrument: orders, price levels, and a ladder of levels for each side.

It knows price-time priority and nothing of policy: time in force, limits and money live in the engine.
The ladder is a plain list of levels, worst price first and best last, so that what happens near the touch moves
little memory; LEVELS_MAX bounds the worst insertion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64

if TYPE_CHECKING:
    from core.instrument import Instrument
    from core.ledger import Account, Balance
    from core.session import Session
    from core.terms import Terms


class Order:
    """A live order. `leaves` is what is open, `executed` what was matched, both in lots."""

    __slots__ = (
        "account", "ahead", "behind", "client_order_id", "executed", "expires", "flags", "hold", "instrument", "leaves",
        "level", "live", "maker_rate", "newer", "number", "older", "price", "reserved", "session", "side", "taker_rate",
        "terms", "timed",
    )  # fmt: skip

    def __init__(self, account: Account, session: Session, instrument: Instrument, number: i64, hold: Balance) -> None:
        # Neighbours in the queue of its price level, and among the account's orders by order number. They stand
        # first so that, compiled, they share a line of cache with the reference count: a neighbour is touched only here.
        self.level: Level | None = None
        self.ahead: Order | None = None
        self.behind: Order | None = None
        self.older: Order | None = None
        self.newer: Order | None = None
        self.number = number
        self.client_order_id: i64 = 0
        self.account = account
        self.session = session
        self.instrument = instrument
        # The balance that covers it: quote currency of a buy, base currency of a sell.
        self.hold = hold
        self.maker_rate: i64 = instrument.maker_rate
        self.taker_rate: i64 = instrument.taker_rate
        self.flags: i64 = 0
        self.side: i64 = 0
        self.price: i64 = 0
        self.leaves: i64 = 0
        self.executed: i64 = 0
        self.reserved: i64 = 0
        self.expires: i64 = 0
        # What it has that a plain order has not.
        self.terms: Terms | None = None
        # Whether the account knows it, and whether a timer runs for it.
        self.live = False
        self.timed = False


class Level:
    """All orders of one side at one price, in the order in which they trade."""

    __slots__ = ("count", "first", "last", "price", "total")

    def __init__(self, price: i64) -> None:
        self.price = price
        self.total: i64 = 0
        self.count: i64 = 0
        self.first: Order | None = None
        self.last: Order | None = None


class Ladder:
    """One side's price levels. `sign` is -1 for buys and 1 for sells: a smaller `price * sign` is a better price."""

    __slots__ = ("best", "levels", "sign", "top", "total")

    def __init__(self, sign: i64) -> None:
        self.sign = sign
        self.total: i64 = 0
        self.levels: list[Level] = []
        self.best: Level | None = None
        # The order that set the best price and still stands there; kept where an instrument shares levels by steps.
        self.top: Order | None = None

    def place(self, key: i64) -> i64:
        """Where the level of this key (price times sign) stands or belongs; keys fall from worst to best."""
        levels = self.levels
        sign = self.sign
        low: i64 = 0
        high: i64 = len(levels)
        while low < high:
            middle = (low + high) >> 1
            if levels[middle].price * sign > key:
                low = middle + 1
            else:
                high = middle
        return low

    def find(self, price: i64) -> Level | None:
        """The level at this price, if there is one."""
        at = self.place(price * self.sign)
        levels = self.levels
        if at < len(levels) and levels[at].price == price:
            return levels[at]
        return None

    def level(self, price: i64) -> Level:
        """The level at this price, made if there is none."""
        best = self.best
        if best is not None and best.price == price:
            return best
        at = self.place(price * self.sign)
        levels = self.levels
        count: i64 = len(levels)
        if at < count:
            found = levels[at]
            if found.price == price:
                return found
        found = Level(price)
        levels.insert(at, found)
        if at == count:
            self.best = found
        return found

    def reaches(self, price: i64) -> bool:
        """Whether the best level here trades with an order of the other side at this price."""
        best = self.best
        return best is not None and best.price * self.sign <= price * self.sign

    def add(self, order: Order) -> None:
        """Put an order behind all others at its price."""
        level = self.level(order.price)
        last = level.last
        if last is None:
            level.first = order
        else:
            last.behind = order
            order.ahead = last
        level.last = order
        level.total += order.leaves
        level.count += 1
        self.total += order.leaves
        order.level = level

    def reduce(self, order: Order, quantity: i64) -> None:
        """Take a quantity off a resting order, which keeps its place; its level may stand at zero until removed."""
        level = order.level
        assert level is not None
        order.leaves -= quantity
        level.total -= quantity
        self.total -= quantity

    def remove(self, order: Order) -> None:
        """Take a resting order out, and its level if it was the last there."""
        level = order.level
        assert level is not None
        ahead = order.ahead
        behind = order.behind
        if ahead is None:
            level.first = behind
        else:
            ahead.behind = behind
        if behind is None:
            level.last = ahead
        else:
            behind.ahead = ahead
        order.ahead = None
        order.behind = None
        order.level = None
        level.total -= order.leaves
        level.count -= 1
        self.total -= order.leaves
        if self.top is order:
            self.top = None
        if level.first is None:
            self._drop(level)

    def _drop(self, level: Level) -> None:
        levels = self.levels
        if level is self.best:
            levels.pop()
            count: i64 = len(levels)
            self.best = levels[count - 1] if count else None
        else:
            del levels[self.place(level.price * self.sign)]

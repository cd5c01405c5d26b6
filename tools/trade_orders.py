"""Lines of `lockstep trade` that enter orders: words behind quantity, symbol and price into type, flags and columns."""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

from core.kinds import (
    ALL_OR_NONE,
    BASIS_POINTS,
    HIDDEN,
    PEG_SHIFT,
    POST_ONLY,
    PREVENTION_SHIFT,
    QUOTE,
    REDUCE_ONLY,
    SLIDE,
    OrderType,
    Peg,
    Prevention,
    Side,
    TimeInForce,
)
from core.limits import BASIS_POINTS_MAX, PRICE_MAX, QUANTITY_MAX, SUM_MAX

ORDER: Final = re.compile(
    r"(?P<side>buy|sell)\s+(?P<budget>for\s+)?(?P<quantity>\S+)\s+(?P<symbol>[^\s@]+)(?:\s*@\s*(?P<price>\S+))?"
    r"(?P<words>(?:\s+[^\s@]+)*)",
    re.IGNORECASE,
)
"""A line that enters an order."""

_TIMES: Final = {
    "day": TimeInForce.DAY,
    "gtc": TimeInForce.GTC,
    "ioc": TimeInForce.IOC,
    "fok": TimeInForce.FOK,
}
_FLAGS: Final = {
    "post": POST_ONLY,
    "slide": SLIDE,
    "reduce-only": REDUCE_ONLY,
    "quote": QUOTE,
    "hidden": HIDDEN,
    "all": ALL_OR_NONE,
}
_PREVENT: Final = {
    "newest": Prevention.CANCEL_NEWEST,
    "oldest": Prevention.CANCEL_OLDEST,
    "both": Prevention.CANCEL_BOTH,
    "decrement": Prevention.DECREMENT,
    "allow": Prevention.ALLOW,
}
_PEGS: Final = {peg.name.lower(): peg for peg in Peg}
_WITH_LIMIT: Final = {
    OrderType.STOP: OrderType.STOP_LIMIT,
    OrderType.MARKET_IF_TOUCHED: OrderType.LIMIT_IF_TOUCHED,
}


class Unclear(ValueError):
    """A line that says nothing that can be done; the text says why."""


class Scale(NamedTuple):
    """An instrument as people write it. Without a venue's file its symbol is `#` and its number, and nothing is scaled."""

    number: int
    symbol: str
    price_decimals: int = 0
    quantity_decimals: int = 0
    quote_decimals: int = 0
    price_max: int = 0
    """0 where it is not known."""

    def price(self, text: str, what: str = "price") -> int:
        """A price in ticks. Unclear."""
        return number(text, self.price_decimals, PRICE_MAX, what)

    def quantity(self, text: str, what: str = "quantity") -> int:
        """A quantity in lots. Unclear."""
        return number(text, self.quantity_decimals, QUANTITY_MAX, what)


class Order:
    """An order that is being read, word by word."""

    def __init__(self, scale: Scale, side: Side, price: str | None, words: str) -> None:
        """Unclear for words that mean nothing, or not together."""
        self.scale, self.side = scale, side
        self.type = OrderType.LIMIT if price else OrderType.MARKET
        self.price = scale.price(price) if price else 0
        self.display = self.minimum = self.trigger = self.offset = 0
        self._flags = 0
        self._time: TimeInForce | None = None
        self._words = words.lower().split()
        while self._words:
            self._take(self._words.pop(0))
        if self.type == OrderType.TRAILING_STOP and not self.trigger:
            self.trigger = self._farthest()

    @property
    def flags(self) -> int:
        """Column 5. Where no time in force was said, one that goes with the type."""
        at_once = self.type in {OrderType.MARKET, OrderType.SPEND_AT_MOST}
        usual = TimeInForce.IOC if at_once else TimeInForce.DAY
        time = usual if self._time is None else self._time
        return int(self.side | self.type << 1 | time << 5 | self._flags)

    def _take(self, word: str) -> None:
        if word in _TIMES:
            if self._time is not None:
                raise Unclear(f"{word!r}: one of {', '.join(_TIMES)}, once")
            self._time = _TIMES[word]
        elif word in _FLAGS:
            self._flags |= _FLAGS[word]
        elif word in _TAKES:
            _TAKES[word](self)
        else:
            raise Unclear(f"{word!r}: one of {', '.join((*_TIMES, *_FLAGS, *_TAKES))}")

    def _next(self, word: str, what: str) -> str:
        if not self._words:
            raise Unclear(f"{word}: say {what} behind it")
        return self._words.pop(0)

    def _become(self, order_type: OrderType, *allowed: OrderType) -> None:
        """Unclear where the order is of another type already."""
        if self.type not in allowed:
            raise Unclear(f"{order_type.name} and {self.type.name} do not go together")
        self.type = order_type

    def stop(self) -> None:
        """Wait until the last price is at or beyond a price; of a trailing stop, where it begins."""
        if self.type != OrderType.TRAILING_STOP:
            self._become(OrderType.STOP, OrderType.MARKET)
        self.trigger = self.scale.price(self._next("stop", "a price"), "stop")

    def touched(self) -> None:
        """Wait until the last price has come back to a price."""
        self._become(OrderType.MARKET_IF_TOUCHED, OrderType.MARKET)
        self.trigger = self.scale.price(self._next("touched", "a price"), "touched")

    def limit(self) -> None:
        """Arrive with a limit once triggered."""
        if self.type not in _WITH_LIMIT:
            raise Unclear("limit goes behind stop or touched; otherwise write @ PRICE")
        self.type = _WITH_LIMIT[self.type]
        self.price = self.scale.price(self._next("limit", "a price"), "limit")

    def trail(self) -> None:
        """Let the trigger price follow the last price by an amount, or by basis points."""
        self._become(OrderType.TRAILING_STOP, OrderType.MARKET, OrderType.STOP)
        amount = self._next("trail", "how far")
        if amount.endswith("bp"):
            self.offset = number(amount.removesuffix("bp"), 0, BASIS_POINTS_MAX, "trail")
            self._flags |= BASIS_POINTS
        else:
            self.offset = self.scale.price(amount, "trail")

    def peg(self) -> None:
        """Follow a price of the book, with an offset or without."""
        self._become(OrderType.PEGGED, OrderType.LIMIT, OrderType.MARKET)
        name = self._next("peg", f"one of {', '.join(_PEGS)}")
        if name not in _PEGS:
            raise Unclear(f"peg {name}: one of {', '.join(_PEGS)}")
        self._flags |= _PEGS[name] << PEG_SHIFT
        if self._words and re.match(r"[+-]", self._words[0]):
            text = self._words.pop(0)
            self.offset = (-1 if text[0] == "-" else 1) * self.scale.price(text[1:], "peg")

    def show(self) -> None:
        """Show so much at a time."""
        self.display = self.scale.quantity(self._next("show", "a quantity"), "show")

    def least(self) -> None:
        """Trade so much at once, or nothing."""
        self.minimum = self.scale.quantity(self._next("least", "a quantity"), "least")

    def to_limit(self) -> None:
        """Trade at the best price, and stand there."""
        self._become(OrderType.MARKET_TO_LIMIT, OrderType.MARKET)

    def prevent(self) -> None:
        """What happens where it meets an order of its owner."""
        mode = self._next("prevent", f"one of {', '.join(_PREVENT)}")
        if mode not in _PREVENT:
            raise Unclear(f"prevent {mode}: one of {', '.join(_PREVENT)}")
        self._flags |= _PREVENT[mode] << PREVENTION_SHIFT

    def spend(self, text: str) -> int:
        """Become a buy for an amount of the quote currency; the amount in units. Unclear."""
        if self.side != Side.BUY:
            raise Unclear("a sell has a quantity; `buy for AMOUNT SYMBOL` spends an amount")
        self._become(OrderType.SPEND_AT_MOST, OrderType.MARKET)
        return number(text, self.scale.quote_decimals, SUM_MAX, "amount")

    def _farthest(self) -> int:
        """Where a trailing stop begins that says nothing of it: as far as prices go, from where it follows at once."""
        if self.side == Side.SELL:
            return 1
        if not self.scale.price_max:
            raise Unclear("trail: say `stop PRICE` too, from where a buy begins to follow")
        return self.scale.price_max


_TAKES: Final[dict[str, Callable[[Order], None]]] = {
    "stop": Order.stop,
    "touched": Order.touched,
    "limit": Order.limit,
    "trail": Order.trail,
    "peg": Order.peg,
    "show": Order.show,
    "least": Order.least,
    "to-limit": Order.to_limit,
    "prevent": Order.prevent,
}


def number(text: str, decimals: int, most: int, what: str) -> int:
    """A number of ticks, lots or units. Unclear where it is none, has more decimals, or is out of bounds."""
    try:
        value = Decimal(text).scaleb(decimals) if re.fullmatch(r"[0-9.]{1,40}", text) else None
    except InvalidOperation:
        value = None
    if value is None:
        raise Unclear(f"{what} {text}: not a number")
    if value != int(value):
        raise Unclear(f"{what} {text}: more than {decimals} decimals")
    if not 1 <= value <= most:
        raise Unclear(f"{what} {text}: out of bounds")
    return int(value)

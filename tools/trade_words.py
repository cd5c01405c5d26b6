"""The words of `lockstep trade`: lines into commands, and events into lines."""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

from core import messages as m
from core.kinds import POST_ONLY, RESTING, OrderType, Side, TimeInForce, TradingState
from core.limits import PRICE_MAX, QUANTITY_MAX, SUM_MAX
from core.reasons import CancelReason, RejectReason
from tools.output import decimal_text

if TYPE_CHECKING:
    from replicas.book_builder import BookBuilder, Level, Trade

USAGE: Final = """\
buy QUANTITY SYMBOL @ PRICE [day|gtc|ioc|fok] [post]    enter a limit order; day if nothing is said
buy QUANTITY SYMBOL                                     enter a market order
sell ...                                                the same for the other side
cancel ID [SYMBOL]                                      cancel an order; the symbol for one of an earlier run
watch SYMBOL                                            show ladder and trades whenever they change; watch alone: no more
help, quit                                              or the end of the input"""

_TIMES: Final = {
    "day": TimeInForce.DAY,
    "gtc": TimeInForce.GTC,
    "ioc": TimeInForce.IOC,
    "fok": TimeInForce.FOK,
}
_ENTER: Final = re.compile(
    r"(?P<side>buy|sell)\s+(?P<quantity>\S+)\s+(?P<symbol>[^\s@]+)(?:\s*@\s*(?P<price>\S+))?(?P<options>(?:\s+\w+)*)",
    re.IGNORECASE,
)
_WATCH: Final = re.compile(r"watch(?:\s+(\S+))?", re.IGNORECASE)
LEVELS: Final = 5
"""Of each side, in a ladder."""
TRADES: Final = 10
"""Trades that are shown at once."""
_STATES: Final = {state.value: state.name for state in TradingState}
_CANCEL: Final = re.compile(r"cancel\s+(-?\d{1,19})(?:\s+(\S+))?", re.IGNORECASE)


class Unclear(ValueError):
    """A line that says nothing that can be done; the text says why."""


class Scale(NamedTuple):
    """An instrument as people write it. Without a venue's file its symbol is `#` and its number, and nothing is scaled."""

    number: int
    symbol: str
    price_decimals: int = 0
    quantity_decimals: int = 0


class Watched(NamedTuple):
    """What a `watch` line asks for; no instrument: to watch nothing any more."""

    scale: Scale | None


class Words:
    """Reads and tells for one account. `scales` are the known instruments; every `#NUMBER` is known besides."""

    def __init__(self, account: int, scales: list[Scale]) -> None:
        self._account = account
        self._by_symbol = {scale.symbol: scale for scale in scales}
        self._by_number = {scale.number: scale for scale in scales}
        self._orders: dict[int, int] = {}

    # ---- lines into commands

    def read(self, line: str, client_order_id: int) -> m.Command:
        """The command that a line asks for; an order gets this client order id. Unclear."""
        if found := _ENTER.fullmatch(line):
            return self._enter(found, client_order_id)
        if found := _CANCEL.fullmatch(line):
            return self._cancel(int(found[1]), found[2])
        raise Unclear(f"{line!r} is not understood; `help` says what is")

    def _enter(self, said: re.Match[str], client_order_id: int) -> m.Command:
        scale, price = self._scale(said["symbol"]), said["price"]
        side = Side.BUY if said["side"].lower() == "buy" else Side.SELL
        flags = side | self._flags(said["options"].lower().split(), price)
        order = m.EnterOrder(
            flags=flags,
            instrument=scale.number,
            account=self._account,
            client_order_id=client_order_id,
            price=_number(price, scale.price_decimals, PRICE_MAX, "price") if price else 0,
            quantity=_number(said["quantity"], scale.quantity_decimals, QUANTITY_MAX, "quantity"),
        )
        self._orders[client_order_id] = scale.number
        return order

    def _flags(self, options: list[str], price: str | None) -> int:
        post = POST_ONLY if "post" in options else 0
        times = [option for option in options if option != "post"]
        if len(times) > 1 or any(time not in _TIMES for time in times):
            raise Unclear(f"{' '.join(options)!r}: one of {', '.join(_TIMES)}, and post")
        if price is None:
            order_type, time = OrderType.MARKET, times[0] if times else "ioc"
        else:
            order_type, time = OrderType.LIMIT, times[0] if times else "day"
        return int(order_type << 1 | _TIMES[time] << 5 | post)

    def _cancel(self, client_order_id: int, symbol: str | None) -> m.Command:
        if not 0 < abs(client_order_id) <= SUM_MAX:
            raise Unclear(f"{client_order_id} is no order's id")
        instrument = self._scale(symbol).number if symbol else self._orders.get(client_order_id)
        if instrument is None:
            raise Unclear(f"order {client_order_id} was not entered here: cancel {client_order_id} SYMBOL")
        return m.CancelOrder(instrument=instrument, account=self._account, client_order_id=client_order_id)

    def _scale(self, symbol: str) -> Scale:
        if known := self._by_symbol.get(symbol):
            return known
        digits = symbol.removeprefix("#")
        if symbol.startswith("#") and digits.isascii() and digits.isdecimal() and 1 <= int(digits) <= 65_535:
            return self._scale_of(int(digits))
        known_symbols = ", ".join(self._by_symbol) or "none without --venue"
        raise Unclear(f"no instrument {symbol}; known are #NUMBER and {known_symbols}")

    def _scale_of(self, number: int) -> Scale:
        return self._by_number.get(number) or Scale(number, f"#{number}")

    def watched(self, line: str) -> Watched | None:
        """What a `watch` line asks for; None for any other line. Unclear."""
        found = _WATCH.fullmatch(line)
        if found is None:
            return None
        return Watched(self._scale(found[1]) if found[1] else None)

    # ---- events into lines

    def tell(self, event: m.Row) -> str:
        """One line about an event."""
        match event:
            case m.Rejected():
                order = f" {event.client_order_id}" if event.client_order_id else ""
                return f"rejected{order}: {RejectReason(event.reason).name}"
            case m.Accepted():
                stands = "" if event.flags & RESTING else ", matching"
                return f"accepted {event.client_order_id}: {self._terms(event)}{stands}"
            case m.Executed():
                return f"executed {event.client_order_id}: {self._terms(event)}, {self._open(event)} open"
            case m.Replaced() | m.Reduced():
                word = type(event).__name__.lower()
                return f"{word} {event.client_order_id}: {self._terms(event)}, {self._open(event)} open"
            case m.Canceled():
                return f"canceled {event.client_order_id}: {self._terms(event)}, {CancelReason(event.reason).name}"
            case m.Expired():
                return f"expired {event.client_order_id}: {self._terms(event)}"
        return f"{type(event).__name__}"

    def _terms(self, event: "m.Accepted | m.Executed | m.Replaced | m.Reduced | m.Canceled | m.Expired") -> str:
        scale = self._scale_of(event.instrument)
        side = Side(event.flags & 1).name.lower()
        price = f" @ {decimal_text(event.price, scale.price_decimals)}" if event.price else ""
        return f"{side} {decimal_text(event.quantity, scale.quantity_decimals)} {scale.symbol}{price}"

    def _open(self, event: "m.Executed | m.Replaced | m.Reduced") -> str:
        return decimal_text(event.leaves, self._scale_of(event.instrument).quantity_decimals)


def ladder(book: "BookBuilder", scale: Scale) -> list[str]:
    """The best levels of a book, buys on the left; a level is quantity and price, or price and quantity."""
    state = "" if book.state == TradingState.OPEN else f", {_STATES.get(book.state, book.state)}"
    lines = [f"{scale.symbol}{state}"]
    sides = (book.depth(side, LEVELS) for side in (Side.BUY, Side.SELL))
    levels = ([_level(level, scale) for level in side] for side in sides)
    for bid, ask in zip_longest(*levels, fillvalue=("", "")):
        lines.append(f"{bid[0]:>16} {bid[1]:>14} | {ask[1]:<14} {ask[0]:<16}".rstrip())
    return lines if len(lines) > 1 else [f"{lines[0]}: no orders"]


def _level(level: "Level", scale: Scale) -> tuple[str, str]:
    return decimal_text(level.quantity, scale.quantity_decimals), decimal_text(level.price, scale.price_decimals)


def trades(told: "Iterable[Trade]", after: int, scale: Scale) -> "Iterator[str]":
    """A line for each of the last trades behind a market data number, oldest first; what came before them is one line."""
    fresh = [trade for trade in told if trade.market_data > after]
    if len(fresh) > TRADES:
        yield f"trades of {scale.symbol}: {len(fresh) - TRADES} or more not shown"
    for trade in fresh[-TRADES:]:
        quantity, price = (
            decimal_text(trade.quantity, scale.quantity_decimals),
            decimal_text(trade.price, scale.price_decimals),
        )
        yield f"trade {quantity} {scale.symbol} @ {price}, {Side(trade.side).name.lower()}"


def _number(text: str, decimals: int, most: int, what: str) -> int:
    """A number of ticks or lots. Unclear where it is none, has more decimals, or is out of bounds."""
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

"""The words of `lockstep trade`: lines into commands, and events into lines."""

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

from core import messages as m
from core.kinds import RESTING, TYPE_MASK, TYPE_SHIFT, OrderType, Side, TradingState
from core.limits import SUM_MAX
from core.reasons import CancelReason, RejectReason
from core.terms import waits_for_price
from tools.output import decimal_text
from tools.trade_orders import ORDER, Order, Scale, Unclear

if TYPE_CHECKING:
    from replicas.book_builder import BookBuilder, Level, Trade

USAGE: Final = """\
buy QUANTITY SYMBOL @ PRICE [WORDS]        enter a limit order; day if no time in force is said
buy QUANTITY SYMBOL [WORDS]                enter a market order
buy for AMOUNT SYMBOL                      buy for so much of the quote currency at most, fees included
sell ...                                   the same for the other side
  day, gtc, ioc, fok                       time in force
  post, slide                              refuse rather than trade; or move one tick away
  show Q, hidden                           show so much at a time; show nothing
  all, least Q                             trade all at once, or at least so much, or nothing
  quote                                    a quote: market-maker protection counts its trades
  reduce-only                              only bring the position closer to zero
  prevent newest|oldest|both|decrement|allow   what happens where it meets an order of its owner
  to-limit                                 trade at the best price, and stand there
  stop PRICE [limit PRICE]                 wait for a price to get worse, then trade at the market, or with a limit
  touched PRICE [limit PRICE]              the same for a price that gets better
  trail AMOUNT|Nbp [stop PRICE]            a stop that follows the last price; from PRICE on
  peg primary|midpoint|market [+N|-N]      follow a price of the book, within @ PRICE
cancel ID [SYMBOL]                         cancel an order; the symbol for one of an earlier run
watch SYMBOL                               show ladder and trades whenever they change; watch alone: no more
help, quit                                 or the end of the input"""

_WATCH: Final = re.compile(r"watch(?:\s+(\S+))?", re.IGNORECASE)
LEVELS: Final = 5
"""Of each side, in a ladder."""
TRADES: Final = 10
"""Trades that are shown at once."""
_STATES: Final = {state.value: state.name for state in TradingState}
_CANCEL: Final = re.compile(r"cancel\s+(-?\d{1,19})(?:\s+(\S+))?", re.IGNORECASE)


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
        if found := ORDER.fullmatch(line):
            return self._enter(found, client_order_id)
        if found := _CANCEL.fullmatch(line):
            return self._cancel(int(found[1]), found[2])
        raise Unclear(f"{line!r} is not understood; `help` says what is")

    def _enter(self, said: re.Match[str], client_order_id: int) -> m.Command:
        scale = self._scale(said["symbol"])
        side = Side.BUY if said["side"].lower() == "buy" else Side.SELL
        order = Order(scale, side, said["price"], said["words"])
        command = m.EnterOrder(
            quantity=order.spend(said["quantity"]) if said["budget"] else scale.quantity(said["quantity"]),
            flags=order.flags,
            instrument=scale.number,
            account=self._account,
            client_order_id=client_order_id,
            price=order.price,
            display_quantity=order.display,
            minimum_quantity=order.minimum,
            trigger_price=order.trigger,
            offset=order.offset,
        )
        self._orders[client_order_id] = scale.number
        return command

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
                return f"accepted {event.client_order_id}: {self._terms(event)}{_stands(event)}"
            case m.Triggered():
                price = decimal_text(event.trigger_price, self._scale_of(event.instrument).price_decimals)
                return f"triggered {event.client_order_id}: {self._terms(event)}, for {price} was reached"
            case m.Activated():
                return f"activated {event.client_order_id}: {self._terms(event)}, for order {event.parent} has traded"
            case m.Restated():
                parked = "" if event.flags & RESTING else ", parked"
                return f"restated {event.client_order_id}: {self._terms(event)}{parked}"
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

    def _terms(self, event: "_AboutOrder") -> str:
        scale = self._scale_of(event.instrument)
        side = Side(event.flags & 1).name.lower()
        price = f" @ {decimal_text(event.price, scale.price_decimals)}" if event.price else ""
        if _spends(event) and not isinstance(event, m.Executed):
            return f"{side} for {decimal_text(event.quantity, scale.quote_decimals)} {scale.symbol}"
        return f"{side} {decimal_text(event.quantity, scale.quantity_decimals)} {scale.symbol}{price}"

    def _open(self, event: "m.Executed | m.Replaced | m.Reduced") -> str:
        scale = self._scale_of(event.instrument)
        return decimal_text(event.leaves, scale.quote_decimals if _spends(event) else scale.quantity_decimals)


_AboutOrder = (
    m.Accepted | m.Executed | m.Replaced | m.Reduced | m.Canceled | m.Expired | m.Triggered | m.Activated | m.Restated
)  # fmt: skip


def _type(event: _AboutOrder) -> int:
    return event.flags >> TYPE_SHIFT & TYPE_MASK


def _spends(event: _AboutOrder) -> bool:
    """Whether quantities of the order are amounts of the quote currency."""
    return _type(event) == OrderType.SPEND_AT_MOST


def _stands(event: m.Accepted) -> str:
    """Where an order is that has been accepted."""
    if event.flags & RESTING:
        return ""
    if waits_for_price(_type(event)):
        return ", waiting"
    return ", parked" if _type(event) == OrderType.PEGGED and not event.price else ", matching"


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

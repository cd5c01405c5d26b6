"""Refusals of orders that are more than plain: what goes with a type, and every bound, in the order of reasons."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64
from sortedcontainers import SortedDict

from core.book import Order
from core.codes import OrderType, Prevention, RejectReason, Side, TimeInForce
from core.counting import closing
from core.instrument import Instrument
from core.kinds import (
    ALL_OR_NONE,
    BASIS_POINTS,
    ENTER_FLAGS,
    HIDDEN,
    MARKET_RESTS,
    PEG_MASK,
    PEG_SHIFT,
    POST_ONLY,
    PREVENTION_MASK,
    PREVENTION_SHIFT,
    QUOTE,
    REDUCE_ONLY,
    SLIDE,
    TIME_IN_FORCE_MASK,
    TIME_IN_FORCE_SHIFT,
    TYPE_MASK,
    TYPE_SHIFT,
)
from core.limiting import Limiting, amount_or_more
from core.limits import BASIS_POINTS_MAX, FEE_SCALE, FOLLOWERS_MAX, PRICE_MAX, QUOTES_MAX, REDUCING_MAX, SUM_MAX
from core.placing import rests_by, time_in_force_of
from core.terms import FOR_PRICE, Terms, is_counted, is_waiting, type_of, waits_for_price

_STANDS: Final = 1 << TimeInForce.DAY | 1 << TimeInForce.GTC | 1 << TimeInForce.GTD
_IOC: Final = 1 << TimeInForce.IOC
_FOK: Final = 1 << TimeInForce.FOK

# Instructions are the flags themselves; what columns ask for has bits of its own.
_DISPLAY: Final = 1 << 32
_MINIMUM: Final = 1 << 33
_TRIGGER: Final = 1 << 34
_OFFSET: Final = 1 << 35
_POST: Final = POST_ONLY | SLIDE
_PEG: Final = PEG_MASK << PEG_SHIFT
_INSTRUCTIONS: Final = _POST | REDUCE_ONLY | HIDDEN | ALL_OR_NONE | QUOTE | _PEG | BASIS_POINTS
_NO_QUOTE: Final = REDUCE_ONLY | HIDDEN | ALL_OR_NONE | _DISPLAY | _MINIMUM

_TIMES: Final = (
    0,
    _IOC | _FOK,  # MARKET; more with MARKET_RESTS
    _STANDS | _IOC | _FOK,  # LIMIT
    _STANDS,  # STOP
    _STANDS,  # STOP_LIMIT
    _STANDS | _IOC,  # MARKET_TO_LIMIT
    _IOC,  # SPEND_AT_MOST
    _STANDS,  # MARKET_IF_TOUCHED
    _STANDS,  # LIMIT_IF_TOUCHED
    _STANDS,  # TRAILING_STOP
    0,
    _STANDS,  # PEGGED
)
"""The times in force that go with each order type, as bits, by its number; docs/commands.md prints the same table."""

_MAY_HAVE: Final = (
    0,
    REDUCE_ONLY,  # MARKET
    _POST | REDUCE_ONLY | HIDDEN | ALL_OR_NONE | QUOTE | _DISPLAY | _MINIMUM,  # LIMIT
    REDUCE_ONLY | _TRIGGER,  # STOP
    REDUCE_ONLY | _TRIGGER,  # STOP_LIMIT
    ALL_OR_NONE | _MINIMUM,  # MARKET_TO_LIMIT
    0,  # SPEND_AT_MOST
    REDUCE_ONLY | _TRIGGER,  # MARKET_IF_TOUCHED
    REDUCE_ONLY | _TRIGGER,  # LIMIT_IF_TOUCHED
    REDUCE_ONLY | _TRIGGER | _OFFSET | BASIS_POINTS,  # TRAILING_STOP
    0,
    HIDDEN | _PEG | _OFFSET,  # PEGGED
)
"""The instructions that each order type may have, by its number."""


class Judging(Limiting):
    """Judges a draft: an order that nothing knows yet, with the terms of the command."""

    __slots__ = ()

    def refuse_form(self, order: Order, terms: Terms) -> i64:
        """Why time in force and instructions do not go with the type or the instrument, or 0."""
        order_type = type_of(order)
        times: i64 = _TIMES[order_type]
        rules = order.instrument.rules
        if order_type == OrderType.MARKET and rules is not None and rules.flags & MARKET_RESTS:
            times |= _STANDS
        if times >> time_in_force_of(order) & 1 == 0:
            return RejectReason.INVALID_TIME_IN_FORCE
        asked = instructions_of(order, terms)
        may: i64 = _MAY_HAVE[order_type]
        return RejectReason.INVALID_INSTRUCTION if asked & ~may or self._clash(order, asked) else 0

    def _clash(self, order: Order, asked: i64) -> bool:
        """Whether instructions contradict each other, the time in force, the side or the instrument."""
        time_in_force = time_in_force_of(order)
        entry = asked & (ALL_OR_NONE | _MINIMUM)
        if not rests_by(time_in_force) and asked & (_POST | HIDDEN | QUOTE | _DISPLAY):
            return True
        if asked & QUOTE and asked & _NO_QUOTE:
            return True
        if entry != 0 and (time_in_force == TimeInForce.FOK or asked & _POST or entry == ALL_OR_NONE | _MINIMUM):
            return True
        if asked & HIDDEN and asked & _DISPLAY:
            return True
        if type_of(order) == OrderType.SPEND_AT_MOST:
            prevention = order.flags >> PREVENTION_SHIFT & PREVENTION_MASK
            return order.side == Side.SELL or prevention == Prevention.DECREMENT
        rules = order.instrument.rules
        return asked & REDUCE_ONLY != 0 and (rules is None or not rules.exposures)

    def refuse_numbers(self, order: Order, terms: Terms, quantity: i64, kept: bool) -> i64:
        """Why price, trigger price, offset, quantity or notional are out of range, or 0. `quantity` is the command's.

        A trigger price that is `kept` has been judged before.
        """
        instrument = order.instrument
        if not has_valid_prices(order, terms, kept):
            return RejectReason.INVALID_PRICE
        if type_of(order) == OrderType.SPEND_AT_MOST:
            return 0 if 1 <= quantity <= SUM_MAX else RejectReason.INVALID_QUANTITY
        rules = instrument.rules
        least: i64 = rules.quantity_min if rules is not None and rules.quantity_min > 1 else 1
        if not least <= quantity <= instrument.quantity_max:
            return RejectReason.INVALID_QUANTITY
        if not 0 <= terms.display <= quantity or not 0 <= terms.minimum <= quantity:
            return RejectReason.INVALID_QUANTITY
        price = self.price_to_judge(order, terms)
        if order.side == Side.SELL and quantity > instrument.lots_max:
            return RejectReason.INVALID_NOTIONAL
        return RejectReason.INVALID_NOTIONAL if price != 0 and quantity > instrument.notional_max // price else 0

    def price_to_judge(self, order: Order, terms: Terms) -> i64:
        """The price by which the notional is bounded: of the order, its trigger, or the limit that it gets; 0 for none."""
        order_type = type_of(order)
        if order_type == OrderType.PEGGED:
            return terms.limit
        if waits_for_price(order_type):
            return order.price if order.price != 0 else terms.trigger_price
        if order.price == 0 and rests_by(time_in_force_of(order)):
            return self.limit_on_arrival(order)
        if order_type == OrderType.MARKET_TO_LIMIT:
            return self.limit_on_arrival(order)
        return order.price

    def limit_on_arrival(self, order: Order) -> i64:
        """The limit that a market or market-to-limit order gets where it arrives now; 0 for none."""
        best = self.opposite(order).best
        if best is None:
            return 0
        if type_of(order) == OrderType.MARKET_TO_LIMIT:
            return best.price
        rules = order.instrument.rules
        protection: i64 = rules.protection if rules is not None else 0
        if protection == 0:
            return 0
        price = best.price + (protection if order.side == Side.BUY else -protection)
        if price < 1:
            return 1
        return price if price < order.instrument.price_max else order.instrument.price_max

    def refuse_circumstances(self, order: Order, terms: Terms, is_new: bool) -> i64:
        """Why the position, followers or pending triggers of account and instrument do not allow it, or 0."""
        instrument = order.instrument
        if is_counted(order, terms):
            exposure = order.account.exposure(instrument.number)
            allowed = closing(exposure, order.side)
            if allowed == 0:
                return RejectReason.WOULD_INCREASE
            if order.leaves > allowed:
                order.leaves = allowed
            if is_new and len(exposure.reducing) >= REDUCING_MAX:
                return RejectReason.FOLLOWERS_FULL
        order_type = type_of(order)
        followers = instrument.followers
        if is_new and order_type == OrderType.TRAILING_STOP and is_full(followers.trailing, followers.held_trailing):
            return RejectReason.FOLLOWERS_FULL
        if is_new and order_type == OrderType.PEGGED and is_full(followers.pegged, followers.held_pegged):
            return RejectReason.FOLLOWERS_FULL
        if is_new and order.flags & QUOTE and len(order.account.quotes_in(instrument.number).live) >= QUOTES_MAX:
            return RejectReason.FOLLOWERS_FULL
        if terms.waits == FOR_PRICE and self.is_crossed(instrument):
            return RejectReason.TOO_MANY_PENDING
        return 0

    def is_crossed(self, instrument: Instrument) -> bool:
        """Whether an order of the instrument waits for a price that has been there: triggers are pending."""
        followers = instrument.followers
        if instrument.high == 0:
            return False
        if followers.rising:
            lowest: i64 = followers.rising.peekitem(0)[0][0]
            if lowest <= instrument.high:
                return True
        if followers.falling:
            highest: i64 = -followers.falling.peekitem(0)[0][0]
            return highest >= instrument.low
        return False

    def refuse_by_rules(self, order: Order, terms: Terms, quantity: i64) -> i64:
        """Why collar or bounds of the notional do not allow it, or 0."""
        instrument = order.instrument
        rules = instrument.rules
        if rules is None:
            return 0
        order_type = type_of(order)
        if rules.collar != 0 and instrument.last_price != 0 and order.price != 0 and order_type != OrderType.PEGGED:
            reference = terms.trigger_price if is_waiting(order, terms) else instrument.last_price
            width = reference * rules.collar // FEE_SCALE
            if order.price > reference + width if order.side == Side.BUY else order.price < reference - width:
                return RejectReason.OUTSIDE_COLLAR
        price = order.price if order.price != 0 else terms.trigger_price
        if order_type == OrderType.PEGGED:
            price = terms.limit
        if price == 0 or order_type == OrderType.SPEND_AT_MOST:
            return 0
        amount = amount_or_more(instrument, price, quantity)
        if amount < rules.notional_min:
            return RejectReason.NOTIONAL_BELOW_MINIMUM
        return RejectReason.NOTIONAL_ABOVE_MAXIMUM if 0 < rules.notional_max < amount else 0


def is_full(orders: SortedDict[int, Order], held: i64) -> bool:
    """Whether no more orders of a type may live, those that are held among them."""
    return len(orders) + held >= FOLLOWERS_MAX


def is_malformed(flags: i64, client: i64) -> bool:
    """Whether flags of EnterOrder have a value without a meaning, or the client order id is none."""
    order_type = flags >> TYPE_SHIFT & TYPE_MASK
    time_in_force = flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK
    return (
        flags & ~ENTER_FLAGS != 0
        or client == 0
        or not -SUM_MAX <= client <= SUM_MAX
        or not (OrderType.MARKET <= order_type <= OrderType.TRAILING_STOP or order_type == OrderType.PEGGED)
        or time_in_force > TimeInForce.GTD
        or time_in_force == 2
        or time_in_force == 5
        or flags & _POST == _POST
        or flags >> PREVENTION_SHIFT & PREVENTION_MASK > Prevention.ALLOW
        or flags & _PEG == _PEG
    )


def instructions_of(order: Order, terms: Terms) -> i64:
    """What flags and columns of an order ask for, as bits."""
    asked = order.flags & _INSTRUCTIONS
    if terms.display != 0:
        asked |= _DISPLAY
    if terms.minimum != 0:
        asked |= _MINIMUM
    if terms.trigger_price != 0:
        asked |= _TRIGGER
    return asked | _OFFSET if terms.offset != 0 else asked


def has_valid_prices(order: Order, terms: Terms, kept: bool) -> bool:
    """Whether price, trigger price and offset are in the range of their type. The limit of a pegged order is its price."""
    highest = order.instrument.price_max
    order_type = type_of(order)
    if order_type == OrderType.PEGGED:
        least: i64 = 1 if order.side == Side.BUY else 0
        return least <= terms.limit <= highest and -PRICE_MAX <= terms.offset <= PRICE_MAX
    if has_price(order_type):
        if not 1 <= order.price <= highest:
            return False
    elif order.price != 0:
        return False
    if not waits_for_price(order_type):
        return True
    if not kept and not 1 <= terms.trigger_price <= highest:
        return False
    most: i64 = BASIS_POINTS_MAX if order.flags & BASIS_POINTS else PRICE_MAX
    return order_type != OrderType.TRAILING_STOP or 1 <= terms.offset <= most


def has_price(order_type: i64) -> bool:
    """Whether orders of this type bring a price that limits them from the start."""
    return (
        order_type == OrderType.LIMIT or order_type == OrderType.STOP_LIMIT or order_type == OrderType.LIMIT_IF_TOUCHED
    )

"""Matching by price and time, at the resting order's price, and what each match settles."""

from __future__ import annotations

from mypy_extensions import i64

from core.codes import CancelReason, OrderType, Side
from core.book import Ladder, Order
from core.instrument import Instrument, charge, limit_rebate
from core.kinds import REMOVED
from core.limits import MATCHES_MAX, PRICE_MAX
from core.terms import Terms, reserves_nothing, type_of
from core.timers import Timers


def reserve(order: Order) -> i64:
    """What the open quantity of a live order must be covered by: base units of a sell, quote units of a buy."""
    terms = order.terms
    if order.side == Side.SELL:
        if terms is not None and reserves_nothing(terms):
            return 0
        return order.leaves * order.instrument.lot_units
    if terms is not None:
        return 0 if reserves_nothing(terms) else _reserve_by_terms(order, terms)
    return buy_cover(order.instrument, order.price, order.leaves, order.maker_rate, order.taker_rate)


def _reserve_by_terms(order: Order, terms: Terms) -> i64:
    order_type = type_of(order)
    if terms.pays:
        return 0
    if order_type == OrderType.SPEND_AT_MOST:
        return order.leaves
    price = terms.limit if order_type == OrderType.PEGGED else order.price
    return buy_cover(order.instrument, price, order.leaves, order.maker_rate, order.taker_rate)


def buy_cover(instrument: Instrument, price: i64, quantity: i64, maker_rate: i64, taker_rate: i64) -> i64:
    """Quote units for a quantity at this price with the highest fee; 0 at price 0, for a market buy pays as it goes."""
    cover = instrument.cover(price, quantity)
    rate = maker_rate if maker_rate > taker_rate else taker_rate
    return cover + charge(cover, rate) if rate > 0 else cover


class Matching(Timers):
    """Matching an incoming order against the other side."""

    __slots__ = ()

    def opposite(self, order: Order) -> Ladder:
        """The ladder that an order trades against."""
        return order.instrument.asks if order.side == Side.BUY else order.instrument.bids

    def match(self, incoming: Order) -> i64:
        """Trade while prices allow; returns why the rest must be canceled, or 0."""
        ladder = self.opposite(incoming)
        sign = ladder.sign
        is_market_buy = incoming.price == 0 and incoming.side == Side.BUY
        limit = PRICE_MAX if is_market_buy else incoming.price * sign
        met: i64 = 0
        while incoming.leaves > 0:
            best = ladder.best
            if best is None or best.price * sign > limit:
                return 0
            if met == MATCHES_MAX:
                return CancelReason.MATCH_LIMIT
            met += 1
            resting = best.first
            assert resting is not None
            if self.is_over(resting):
                self.expire(resting)
                continue
            quantity = resting.leaves if resting.leaves < incoming.leaves else incoming.leaves
            payable = self._affordable(incoming, best.price, quantity) if is_market_buy else quantity
            if payable > 0:
                self._trade(incoming, resting, ladder, best.price, payable)
            if payable < quantity:
                return CancelReason.INSUFFICIENT_FUNDS
        return 0

    def _affordable(self, order: Order, price: i64, quantity: i64) -> i64:
        """The largest quantity up to this one that a market buy can pay; a rebate does not count."""
        instrument = order.instrument
        rate = order.taker_rate if order.taker_rate > 0 else 0
        free = order.hold.free()
        low: i64 = 0
        high = quantity
        middle = quantity
        while low < high:
            amount = instrument.amount(price, middle)
            if amount + charge(amount, rate) <= free:
                low = middle
            else:
                high = middle - 1
            middle = (low + high + 1) >> 1
        return low

    def _trade(self, incoming: Order, resting: Order, ladder: Ladder, price: i64, quantity: i64) -> None:
        self.match_numbers += 1
        ladder.reduce(resting, quantity)
        resting.executed += quantity
        incoming.leaves -= quantity
        incoming.executed += quantity
        self.executed(resting, resting.flags, price, quantity, True)
        self.executed(incoming, incoming.flags | REMOVED, price, quantity, False)
        self.settle(incoming, resting, price, quantity)
        incoming.instrument.last_price = price
        if self.ratios != 0:
            self.count_trade(resting)
            self.count_trade(incoming)
        if resting.leaves == 0:
            self.leave(resting)

    def settle(self, incoming: Order, resting: Order, price: i64, quantity: i64) -> None:
        """Move what a match moves: lots, quote units and fees."""
        instrument = incoming.instrument
        amount = instrument.amount(price, quantity)
        maker = charge(amount, resting.maker_rate)
        taker = charge(amount, incoming.taker_rate)
        if maker < 0 or taker < 0:
            paid = limit_rebate(maker, taker)
            taker = limit_rebate(taker, maker)
            maker = paid
        instrument.quote.fees += maker + taker
        units = quantity * instrument.lot_units
        if incoming.side == Side.BUY:
            sold(resting, units, amount - maker)
            bought(incoming, units, amount + taker)
            self.settled(incoming, resting, units, amount, taker, maker)
        else:
            bought(resting, units, amount + maker)
            sold(incoming, units, amount - taker)
            self.settled(resting, incoming, units, amount, maker, taker)

    def fok_worst_price(self, incoming: Order) -> i64:
        """The worst price that filling the whole order now would reach; 0 if it cannot be filled in full."""
        ladder = self.opposite(incoming)
        sign = ladder.sign
        limit = incoming.price * sign if incoming.price else PRICE_MAX
        needed = incoming.leaves
        orders: i64 = 0
        exact = self.any_over()
        levels = ladder.levels
        at: i64 = len(levels)
        while at > 0:
            at -= 1
            level = levels[at]
            orders += level.count
            if level.price * sign > limit or orders > MATCHES_MAX:
                return 0
            if exact:
                order = level.first
                while order is not None:
                    needed -= 0 if self.is_over(order) else order.leaves
                    order = order.behind
            else:
                needed -= level.total
            if needed <= 0:
                return level.price
        return 0


def bought(order: Order, units: i64, cost: i64) -> None:
    """Book a buy: quote units paid with the fee, base units received, and what is no longer reserved set free."""
    quote = order.hold
    reserved: i64 = 0
    if order.leaves != 0:
        reserved = reserve(order)
    quote.total -= cost
    quote.reserved -= order.reserved - reserved
    order.reserved = reserved
    order.account.balance(order.instrument.base).total += units


def sold(order: Order, units: i64, proceeds: i64) -> None:
    """Book a sell: base units delivered out of what was reserved, quote units received less the fee."""
    base = order.hold
    base.total -= units
    base.reserved -= units
    order.reserved -= units
    order.account.balance(order.instrument.quote).total += proceeds

"""What lives: orders with terms enter and leave what knows them, and exposures follow what they have open."""

from __future__ import annotations

from mypy_extensions import i64

from core.book import Ladder, Order
from core.codes import Limit as Kind
from core.codes import OrderType, Side
from core.holder import Exposure, Holder
from core.instrument import Instrument
from core.kinds import HIDDEN, QUOTE
from core.limits import RATIO_TRADES_MAX, SUM_MAX
from core.reports import Reports
from core.terms import CROSSED, FOR_PRICE, HELD, Terms, is_counted, is_waiting, rises, type_of


class Counting(Reports):
    """Ladders of an order, waiting orders, exposures and ratios."""

    __slots__ = ()

    def same(self, order: Order) -> Ladder:
        """The ladder that an order rests on."""
        instrument = order.instrument
        if order.flags & HIDDEN:
            return instrument.hidden_bids if order.side == Side.BUY else instrument.hidden_asks
        return instrument.bids if order.side == Side.BUY else instrument.asks

    def stir(self, instrument: Instrument) -> None:
        """Its waiting or pegged orders may have to follow: at the end of this row, or in an AdvanceTime row."""
        if not instrument.stirred:
            instrument.stirred = True
            self.following.append(instrument)

    def count_in(self, order: Order, terms: Terms) -> None:
        """An order with terms lives from now on."""
        instrument = order.instrument
        instrument.special += 1
        if terms.waits == FOR_PRICE or terms.waits == CROSSED:
            self.arm(order, terms)
        elif terms.waits >= HELD:
            count_held(order, 1)
        elif type_of(order) == OrderType.PEGGED:
            instrument.followers.pegged[order.number] = order
            instrument.watch += 1
        if is_counted(order, terms):
            order.account.exposure(instrument.number).reducing[order.number] = order
        if order.flags & QUOTE:
            order.account.quotes_in(instrument.number).live[order.number] = order
        self.recount(order, terms)

    def count_out(self, order: Order, terms: Terms) -> None:
        """An order with terms lives no more."""
        instrument = order.instrument
        instrument.special -= 1
        if terms.waits == FOR_PRICE or terms.waits == CROSSED:
            self.disarm(order, terms)
        elif terms.waits >= HELD:
            count_held(order, -1)
        elif type_of(order) == OrderType.PEGGED:
            del instrument.followers.pegged[order.number]
            instrument.watch -= 1
        if is_counted(order, terms):
            del order.account.exposure(instrument.number).reducing[order.number]
        if order.flags & QUOTE:
            del order.account.quotes_in(instrument.number).live[order.number]
        self.recount(order, terms)

    def arm(self, order: Order, terms: Terms) -> None:
        """The order waits for its trigger price, behind all others that wait for the same."""
        instrument = order.instrument
        followers = instrument.followers
        # Orders come to wait only where no price that has been there triggers another: earlier prices are done with.
        instrument.low = instrument.high = instrument.last_price
        instrument.watch += 1
        if type_of(order) == OrderType.TRAILING_STOP and terms.waits == FOR_PRICE:
            followers.trailing[order.number] = order
        else:
            self.queue(order, terms)

    def queue(self, order: Order, terms: Terms) -> None:
        """Put an order among those that are triggered in the order of their prices."""
        followers = order.instrument.followers
        if rises(order):
            followers.rising[terms.trigger_price, terms.armed, order.number] = order
        else:
            followers.falling[-terms.trigger_price, terms.armed, order.number] = order

    def disarm(self, order: Order, terms: Terms) -> None:
        """The order waits no more."""
        followers = order.instrument.followers
        if type_of(order) == OrderType.TRAILING_STOP and terms.waits == FOR_PRICE:
            del followers.trailing[order.number]
        elif rises(order):
            del followers.rising[terms.trigger_price, terms.armed, order.number]
        else:
            del followers.falling[-terms.trigger_price, terms.armed, order.number]
        order.instrument.watch -= 1

    # ---- exposures

    def recount(self, order: Order, terms: Terms) -> None:
        """Bring exposures in line with what the order has open now: nothing, unless it lives."""
        instrument = order.instrument
        rules = instrument.rules
        if rules is None or not rules.exposures:
            return
        lots: i64 = order.leaves if order.live else 0
        notional: i64 = worth(order, terms) if order.live else 0
        more = lots - terms.counted
        worth_more = notional - terms.worth
        self._count(order.account.exposure(instrument.number), order.side, more, worth_more)
        self._count(order.account.firm.exposure(instrument.number), order.side, more, worth_more)
        if order.session.number != 0:
            self._count(order.session.exposure(instrument.number), order.side, more, worth_more)
        terms.counted = lots
        terms.worth = notional

    def _count(self, exposure: Exposure, side: i64, lots: i64, notional: i64) -> None:
        if side == Side.BUY:
            exposure.buys += lots
        else:
            exposure.sells += lots
        exposure.notional += notional

    def move(self, order: Order, quantity: i64) -> None:
        """A match moves the positions of those whose order it is."""
        lots = quantity if order.side == Side.BUY else -quantity
        number = order.instrument.number
        order.account.exposure(number).position += lots
        order.account.firm.exposure(number).position += lots
        if order.session.number != 0:
            order.session.exposure(number).position += lots

    # ---- ratios

    def count_trade(self, order: Order) -> None:
        """Count one side of a match for the order-to-trade ratios of those whose order it is."""
        self._count_trade(order.account)
        self._count_trade(order.account.firm)
        self._count_trade(order.session)

    def _count_trade(self, holder: Holder) -> None:
        ratio = holder.limit(Kind.ORDER_TO_TRADE, 0)
        if ratio is not None:
            self.begin_day(holder)
            if ratio.trades < RATIO_TRADES_MAX:
                ratio.trades += 1

    def begin_day(self, holder: Holder) -> None:
        """A ratio counts anew after each EndOfDay."""
        ratio = holder.limit(Kind.ORDER_TO_TRADE, 0)
        if ratio is not None and ratio.days != self.days:
            ratio.days = self.days
            ratio.orders = 0
            ratio.trades = 0


def count_held(order: Order, more: i64) -> None:
    """Count an order that is held, or has not arrived, among those of its type that follow the market."""
    followers = order.instrument.followers
    order_type = type_of(order)
    if order_type == OrderType.TRAILING_STOP:
        followers.held_trailing += more
    elif order_type == OrderType.PEGGED:
        followers.held_pegged += more


def worth(order: Order, terms: Terms) -> i64:
    """The notional that limits and exposures count for an order, in units of the quote currency.

    SUM_MAX + 1, which passes every bound, where price, quantity and multiplier pass SUM_MAX.
    """
    order_type = type_of(order)
    if order_type == OrderType.SPEND_AT_MOST:
        return order.leaves
    waiting = is_waiting(order, terms)
    if terms.pays and not waiting:
        return 0
    price = order.price
    if order_type == OrderType.PEGGED or (waiting and order_type == OrderType.TRAILING_STOP):
        price = terms.limit
    elif waiting and price == 0:
        price = terms.trigger_price
    instrument = order.instrument
    if price != 0 and order.leaves > instrument.notional_max // price:
        # A protection, or a trigger price that trailed away from the one in the command, may lead here.
        beyond: i64 = SUM_MAX
        return beyond + 1
    return instrument.amount(price, order.leaves)


def closing(exposure: Exposure, side: i64) -> i64:
    """How many lots an order of this side may trade before the position passes zero."""
    lots = exposure.position if side == Side.SELL else -exposure.position
    return lots if lots > 0 else 0

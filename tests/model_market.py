"""The naive market between tests/model_venue.py and tests/model.py: orders, books, matching and what a match settles."""

from dataclasses import dataclass

from core import messages as m
from core.kinds import REMOVED, RESTING, Side
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.limits import MATCHES_MAX, SUM_MAX
from core.reasons import CancelReason
from tests.model_venue import Venue

RESTS = (Tif.DAY, Tif.GTC, Tif.GTD)


@dataclass
class Order:
    """A live order; of two at one price, the one with the smaller `place` has stood longer."""

    number: int
    session: int
    account: int
    instrument: int
    client_order_id: int
    flags: int
    price: int
    leaves: int
    expires: int
    days: int
    maker: int
    taker: int
    executed: int = 0
    place: int = 0
    timed: bool = False

    @property
    def side(self):
        return self.flags & 1

    @property
    def tif(self):
        return self.flags >> 5 & 15

    @property
    def is_market(self):
        return self.flags >> 1 & 15 == Type.MARKET


def fee_of(amount, rate):
    """Truncated toward zero."""
    return amount * rate // 10**6 if rate >= 0 else -(amount * -rate // 10**6)


class Market(Venue):
    """Orders and how they meet: `orders` are all that live, in no order that matters."""

    def __init__(self):
        super().__init__()
        self.orders, self.operations = [], []
        self.order_numbers = self.match_numbers = self.places = self.days = self.day = 0

    def report(self, event, order, private=True, public=True, flags=0, **columns):
        """Tell of an order: its session and firm, and the market."""
        terms = {"instrument": order.instrument, "account": order.account, "client_order_id": order.client_order_id}
        terms |= {"price": order.price, "leaves": order.leaves, "order_number": order.number}
        to, copy, feed = order.session * private, order.account * private, order.instrument * public
        self.tell(event, to, copy, feed, flags=order.flags | flags, **terms | columns)

    # ---- what can be asked

    def is_over(self, order):
        return order.expires <= self.now if order.tif == Tif.GTD else order.tif == Tif.DAY and order.days < self.days

    def end_of(self, order):
        """When its time is over, as events tell it."""
        return order.expires if order.tif == Tif.GTD else 0

    def find(self, account, client_order_id):
        found = [o for o in self.orders if (o.account, o.client_order_id) == (account, client_order_id)]
        return found[0] if found else None

    def side_of(self, instrument, side):
        """The orders of one side of a book, the one that trades next first."""
        sign = -1 if side == Side.BUY else 1
        standing = [o for o in self.orders if (o.instrument, o.side) == (instrument, side)]
        return sorted(standing, key=lambda o: (sign * o.price, o.place))

    def in_reach(self, order):
        """The orders of the other side that its price reaches; any, for a market order."""
        other = self.side_of(order.instrument, 1 - order.side)
        if order.is_market:
            return other
        return [o for o in other if (o.price <= order.price if order.side == Side.BUY else o.price >= order.price)]

    def amount(self, instrument, price, quantity):
        """What a match moves of the quote currency."""
        i = self.instruments[instrument]
        product = price * quantity * i.multiplier
        return -(-product // i.divisor) if i.rounds_up else product // i.divisor

    def cover(self, order, price=None):
        """The currency that an order reserves, and how much of it."""
        i, price = self.instruments[order.instrument], price or order.price
        if order.side == Side.SELL:
            return i.base, order.leaves * i.lot_units
        if i.rounds_up:
            amount = order.leaves * -(-price * i.multiplier // i.divisor)
        else:
            amount = price * order.leaves * i.multiplier // i.divisor
        return i.quote, amount + fee_of(amount, max(order.maker, order.taker, 0))

    def reserved(self, account, currency):
        covers = [self.cover(o) for o in self.orders if o.account == account]
        return sum(amount for c, amount in covers if c == currency)

    # ---- matching

    def stand_or_match(self, event, order, **columns):
        """Enter an order that nothing refuses any more."""
        self.places += 1
        order.place = self.places
        order.timed = order.tif == Tif.GTD
        if order.tif in RESTS and not self.in_reach(order):
            self.orders.append(order)
            self.report(event, order, flags=RESTING, **columns)
            return
        self.report(event, order, public=event is m.Replaced, **columns)
        reason = self.refuse_to_fill(order) or self.match(order)
        if order.leaves and (reason or order.tif not in RESTS):
            self.cancel(order, reason or CancelReason.IMMEDIATE_OR_CANCEL)
        elif order.leaves:
            self.orders.append(order)
            self.report(m.Rested, order, private=False, flags=RESTING, quantity=order.leaves)

    def refuse_to_fill(self, order):
        """Why a FOK order does not trade at all."""
        if order.tif != Tif.FOK:
            return None
        reach, needed = self.in_reach(order), order.leaves
        for price in dict.fromkeys(o.price for o in reach):
            if needed > 0:
                worst = price
                needed -= sum(o.leaves for o in reach if o.price == price and not self.is_over(o))
        if needed > 0:
            return CancelReason.FILL_OR_KILL
        if sum(o.price == worst or o in reach[: [x.price for x in reach].index(worst)] for o in reach) > MATCHES_MAX:
            return CancelReason.FILL_OR_KILL
        if order.is_market and order.side == Side.BUY:
            currency, amount = self.cover(order, worst)
            passed = worst * order.leaves * self.instruments[order.instrument].multiplier > SUM_MAX
            if passed or amount > self.free(order.account, currency):
                return CancelReason.INSUFFICIENT_FUNDS
        return None

    def match(self, order):
        """Trade with what is in reach; why the rest is canceled at once, if so."""
        for met, resting in enumerate(self.in_reach(order)):
            if order.leaves == 0:
                break
            if met == MATCHES_MAX:
                return CancelReason.MATCH_LIMIT
            if self.is_over(resting):
                self.expire(resting)
                continue
            wanted = min(order.leaves, resting.leaves)
            quantity = wanted
            if order.is_market and order.side == Side.BUY:
                quantity = self.affordable(order, resting.price, wanted)
            if quantity:
                self.trade(order, resting, quantity)
            if quantity < wanted:
                return CancelReason.INSUFFICIENT_FUNDS
        return None

    def affordable(self, order, price, wanted):
        """The largest quantity that a market buy can pay, found by halving."""
        free, low, high = self.free(order.account, self.instruments[order.instrument].quote), 0, wanted
        while low < high:
            middle = (low + high + 1) // 2
            amount = self.amount(order.instrument, price, middle)
            if amount + max(fee_of(amount, order.taker), 0) <= free and amount <= SUM_MAX:
                low = middle
            else:
                high = middle - 1
        return low

    def trade(self, order, resting, quantity):
        self.match_numbers += 1
        for one, flags in ((resting, 0), (order, REMOVED)):
            one.leaves -= quantity
            one.executed += quantity
            terms = {"price": resting.price, "quantity": quantity, "match_number": self.match_numbers}
            self.report(m.Executed, one, public=one is resting, flags=flags, **terms)
        if resting.leaves == 0:
            self.orders.remove(resting)
        self.settle(order, resting, quantity)

    def settle(self, order, resting, quantity):
        i = self.instruments[order.instrument]
        amount = self.amount(order.instrument, resting.price, quantity)
        maker, taker = fee_of(amount, resting.maker), fee_of(amount, order.taker)
        maker, taker = max(maker, -max(taker, 0)), max(taker, -max(maker, 0))
        buyer, seller = (order, resting) if order.side == Side.BUY else (resting, order)
        buyer_fee, seller_fee = (taker, maker) if order is buyer else (maker, taker)
        self.balances[buyer.account, i.base] += quantity * i.lot_units
        self.balances[seller.account, i.base] -= quantity * i.lot_units
        self.balances[buyer.account, i.quote] -= amount + buyer_fee
        self.balances[seller.account, i.quote] += amount - seller_fee
        self.fees[i.quote] += maker + taker
        self.tell(
            m.Settled, flags=0, instrument=order.instrument, buyer=buyer.account, seller=seller.account,
            base_amount=quantity * i.lot_units, quote_amount=amount, buyer_fee=buyer_fee, seller_fee=seller_fee,
            match_number=self.match_numbers, buyer_drop_copy=self.drop_copy(buyer.account),
            seller_drop_copy=self.drop_copy(seller.account),
        )  # fmt: skip

    # ---- the end of orders

    def cancel(self, order, reason):
        self.end(m.Canceled, order, reason=reason)

    def expire(self, order):
        self.end(m.Expired, order, expires=self.end_of(order))

    def end(self, event, order, **columns):
        """Take it out, and tell the market if it stood there."""
        stood = any(o is order for o in self.orders)
        self.orders = [o for o in self.orders if o is not order]
        self.report(event, order, public=stood, quantity=order.leaves, leaves=0, **columns)

"""The naive market between tests/model_orders.py and tests/model_rules.py: how orders enter, meet and end, and what a match settles."""

from itertools import groupby

from core import messages as m
from core.kinds import EXPOSURES, REMOVED, RESTING, Prevention, Side
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.limits import LEVELS_MAX, MATCHES_MAX, SUM_MAX
from core.reasons import CancelReason
from tests.model_orders import ARRIVE_AS_MARKET, Order, fee_of
from tests.model_steps import Steps

__all__ = ["Market", "Order"]


class Market(Steps):
    """How they meet."""

    # ---- entering

    def enter(self, event, order, stood=0, **columns):
        """Enter an order that nothing refuses any more; `stood` is the price at which it stood until now."""
        self.touch(order)
        self.place(order)
        self.met = 0
        order.timed, order.entered = order.tif == Tif.GTD, True
        order.crossed = False
        if order.waits and order.instrument in self.last:
            self.span[order.instrument] = (self.last[order.instrument],) * 2
        if order.waits or (order.type == Type.PEGGED and not order.price):
            self.orders.append(order)
            self.report(event, order, public=stood and not order.veiled, **columns)
            self.touch(order)
            return
        rests = order.rests and not order.needed and not self.is_nowhere(order) and not self.in_reach(order)
        rests = rests and not self.has_no_room(order)
        public = (rests or stood) and not order.veiled
        self.report(event, order, public=public, flags=RESTING * rests, **columns)
        if stood and order.display:
            self.show(order, 0, stood)
        if not rests:
            self.arrive(order)
            return
        self.note_best(order)
        self.orders.append(order)
        self.touch(order)
        if order.display:
            self.tell_rested(order)

    def arrive(self, order):
        """Match an order that has been told of, and let the rest stand or be gone."""
        reason = self.refuse_to_fill(order) or self.match(order)
        if order.leaves and (reason or not order.rests):
            self.cancel(order, reason or CancelReason.IMMEDIATE_OR_CANCEL)
        elif order.leaves and self.has_no_room(order):
            self.cancel(order, CancelReason.NO_ROOM)
        elif order.leaves:
            order.shown = min(order.display, order.leaves)
            self.note_best(order)
            self.orders.append(order)
            self.touch(order)
            if not order.hidden:
                self.tell_rested(order)
        if not order.leaves:
            self.ended(order)

    def place(self, order):
        """Put it at the back, and let it show its next display."""
        self.places += 1
        order.place, order.shown, order.armed = self.places, min(order.display, order.leaves), self.sequence

    def tell_rested(self, order):
        columns = {"quantity": order.offered, "leaves": order.offered}
        self.report(m.Rested, order, private=False, flags=RESTING, **columns)

    def is_nowhere(self, order):
        """Whether it takes its price from a best price that there is not."""
        takes = order.type in (Type.MARKET, *ARRIVE_AS_MARKET) and self.rules_of(order.instrument).protection
        return order.price == 0 and bool(takes or order.type == Type.MARKET_TO_LIMIT)

    def has_no_room(self, order):
        """LEVELS_FULL and SUM_AT_BOUND, for orders that nothing refused by them on entry."""
        others = self.ladder(order)
        prices = {o.price for o in others}
        full = order.price not in prices and len(prices) >= LEVELS_MAX
        return full or sum(o.leaves for o in others) + order.leaves > SUM_MAX

    def refuse_to_fill(self, order):
        """Why an order does not trade at all."""
        if self.is_nowhere(order):
            return CancelReason.IMMEDIATE_OR_CANCEL
        if not order.needed:
            return None
        if order.needed > order.leaves:
            return CancelReason.MINIMUM_NOT_MET
        reason = CancelReason.FILL_OR_KILL if order.tif == Tif.FOK else CancelReason.MINIMUM_NOT_MET
        needed, met, worst = order.needed, 0, 0
        for (price, _), level in groupby(self.in_reach(order), lambda o: (o.price, o.hidden)):
            if needed <= 0:
                break
            orders, worst = list(level), price
            met += sum(1 - (o.shown - o.leaves) // o.display if o.display else 1 for o in orders)
            offers, blocked = self.offers(order, orders)
            needed -= offers
            if blocked:
                break
        if needed > 0 or self.met + met > MATCHES_MAX:
            return reason
        if order.tif == Tif.FOK and order.pays:
            currency, amount = self.cover(order, worst)
            if self.passes(order, worst) or amount > self.free(order.account, currency):
                return CancelReason.INSUFFICIENT_FUNDS
        return None

    def offers(self, order, level):
        """What the orders of a level offer to an order, and whether nothing behind them counts."""
        live = [o for o in level if not self.is_over(o) and (not o.reduces or self.prevents(order, o))]
        own = [o for o in live if self.prevents(order, o)]
        if own and order.prevention != Prevention.CANCEL_OLDEST:
            ahead = live[: live.index(own[0])]
            return sum(o.offered for o in ahead), True
        return sum(o.leaves for o in live if o not in own), False

    # ---- matching

    def match(self, order):
        """Trade with what is in reach; why the rest is canceled at once, if so."""
        whole = None
        while order.leaves and (reach := self.in_reach(order)):
            resting = reach[0]
            if self.is_shared(order, resting) and resting.price != whole:
                reason = self.share(order, resting.price)
                whole = resting.price if reason == "whole" else whole
                if reason not in (None, "whole"):
                    return reason
                continue
            if self.met == MATCHES_MAX:
                return CancelReason.MATCH_LIMIT
            self.met, self.steps = self.met + 1, self.steps + 1
            if self.is_over(resting):
                self.expire(resting)
            elif self.prevents(order, resting):
                self.prevent(order, resting)
                if order.prevention in (Prevention.CANCEL_NEWEST, Prevention.CANCEL_BOTH):
                    return CancelReason.SELF_TRADE
            elif reason := self.take(order, resting):
                return reason
        return None

    def take(self, order, resting):
        """One match, as large as it can be; why there is no other, if so."""
        wanted = resting.offered if order.spends else min(order.leaves, resting.offered)
        quantity = wanted
        if order.pays or order.spends:
            i = self.instruments[order.instrument]
            funds = order.leaves if order.spends else self.free(order.account, i.quote)
            quantity = self.affordable(order, resting.price, wanted, funds)
        if quantity:
            self.trade(order, resting, quantity)
        if quantity == wanted:
            return None
        return CancelReason.BUDGET_SPENT if order.spends else CancelReason.INSUFFICIENT_FUNDS

    def prevent(self, order, resting):
        """What self-trade prevention does when an order meets one of its owner."""
        if order.prevention in (Prevention.CANCEL_OLDEST, Prevention.CANCEL_BOTH):
            self.cancel(resting, CancelReason.SELF_TRADE)
        elif order.prevention == Prevention.DECREMENT:
            quantity = min(order.leaves, resting.leaves)
            self.cut(resting, quantity, CancelReason.SELF_TRADE)
            self.cut(order, quantity, CancelReason.SELF_TRADE)

    def price_of(self, order, price, quantity):
        """What a quantity costs a buy, its own rebate not counted."""
        amount = self.amount(order.instrument, price, quantity)
        return amount + max(fee_of(amount, order.taker), 0)

    def affordable(self, order, price, wanted, funds):
        """The largest quantity that a buy can pay, found by halving."""
        low, high = 0, wanted
        while low < high:
            middle = (low + high + 1) // 2
            fits = self.amount(order.instrument, price, middle) <= SUM_MAX
            if fits and self.price_of(order, price, middle) <= funds:
                low = middle
            else:
                high = middle - 1
        return low

    def trade(self, order, resting, quantity):
        self.touch(order)
        self.match_numbers += 1
        terms = {"price": resting.price, "quantity": quantity, "match_number": self.match_numbers}
        resting.leaves -= quantity
        resting.shown -= quantity * (resting.display > 0)
        self.report(m.Executed, resting, public=not resting.veiled, **terms)
        if resting.veiled:
            told = {"order_number": resting.number * (not resting.hidden), "leaves": resting.shown}
            terms_of_all = terms | told | {"flags": resting.side, "instrument": resting.instrument}
            self.tell(m.Traded, feed=resting.instrument, **terms_of_all)
        order.leaves -= self.price_of(order, resting.price, quantity) if order.spends else quantity
        self.report(m.Executed, order, public=False, flags=REMOVED, **terms)
        order.executed, resting.executed = order.executed + quantity, resting.executed + quantity
        self.settle(order, resting, quantity)
        self.note_price(order.instrument, resting.price)
        self.end_link(resting)
        self.end_link(order)
        if resting.leaves == 0:
            self.orders = [o for o in self.orders if o is not resting]
            self.ended(resting)
        elif resting.display and not resting.shown:
            self.place(resting)
            self.tell_rested(resting)
        self.count_match(order, resting, quantity)

    def note_price(self, instrument, price):
        low, high = self.span.get(instrument, (price, price))
        self.last[instrument], self.span[instrument] = price, (min(low, price), max(high, price))

    def settle(self, order, resting, quantity):
        i = self.instruments[order.instrument]
        amount = self.amount(order.instrument, resting.price, quantity)
        maker, taker = fee_of(amount, resting.maker), fee_of(amount, order.taker)
        maker, taker = max(maker, -max(taker, 0)), max(taker, -max(maker, 0))
        for one in (order, resting):
            self.count_volume(one.account, one.instrument, amount)
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

    # ---- positions

    def count_match(self, order, resting, quantity):
        """Trades and positions of both sides, and what the new positions do to reduce-only orders."""
        exposed = self.rules_of(order.instrument).flags & EXPOSURES
        for one in (resting, order):
            self.count_traded(one)
            for owner in self.owners(one.account, one.session) * bool(exposed):
                key = (owner, one.instrument)
                self.positions[key] = self.positions.get(key, 0) + quantity * one.sign
        coming = [order] * (order.leaves > 0)
        for one in (resting, order) * bool(exposed):
            fit = [o for o in [*self.live(one.instrument), *coming] if o.account == one.account and o.reduces]
            fit = [o for o in fit if not o.held]
            for reducing in sorted(fit, key=lambda o: o.number):
                if reducing.leaves > self.allowed(reducing):
                    self.cut(reducing, reducing.leaves - self.allowed(reducing), CancelReason.REDUCE_ONLY)

    # ---- the end of orders

    def cut(self, order, quantity, reason):
        """Take a quantity off an order, which keeps its place; where nothing is left it is canceled."""
        if quantity >= order.leaves:
            self.cancel(order, reason)
            order.leaves = 0
            return
        stood, shown = self.stands(order), order.shown
        order.leaves -= quantity
        order.shown = min(order.shown, order.leaves)
        self.report(m.Reduced, order, public=stood and not order.veiled, quantity=quantity)
        if stood and order.shown != shown:
            self.show(order, order.shown)

    def cancel(self, order, reason):
        self.end(m.Canceled, order, reason=reason)

    def expire(self, order):
        self.end(m.Expired, order, expires=self.end_of(order))

    def end(self, event, order, **columns):
        """Take it out, and tell the market if it stood there."""
        stood = self.stands(order)
        self.orders = [o for o in self.orders if o is not order]
        self.touch(order)
        self.report(event, order, public=stood and not order.veiled, quantity=order.leaves, leaves=0, **columns)
        if stood and order.display:
            self.show(order, 0)
        self.ended(order)

"""What the naive market does at the end of a row: trailing stops follow, waiting orders are triggered, pegged orders follow."""

from core import messages as m
from core.kinds import BASIS_POINTS, RESTING, AccountStanding, Side, TradingState
from core.kinds import OrderType as Type
from core.limits import STEPS_MAX
from core.reasons import CancelReason
from tests.model_market import Market
from tests.model_orders import ARRIVE_AS_MARKET


class Rules(Market):
    """`span` is the lowest and the highest price since the work on triggers was last done; `pending`: where it is not."""

    def begin(self, row):
        self.touched = []
        return super().begin(row)

    def end_row(self):
        """For each instrument where something is pending, then for each that was touched, in that order."""
        self.steps = 0
        for instrument in dict.fromkeys([*self.pending, *self.touched]):
            if self.is_open(instrument):
                self.trigger_all(instrument)
            if instrument in self.touched:
                self.follow(instrument)

    def is_open(self, instrument):
        return max(self.venue_state, self.instrument_states.get(instrument, 1)) == TradingState.OPEN

    def is_due(self):
        """Whether an AdvanceTime row has something to go on with, timers aside."""
        return bool(self.operations) or any(self.is_open(instrument) for instrument in self.pending)

    # ---- triggers

    def trigger_all(self, instrument):
        """Trigger one order after the other; what the steps of this row do not reach is pending."""
        while order := self.next_triggered(instrument):
            if self.steps >= STEPS_MAX:
                self.pending += [instrument] * (instrument not in self.pending)
                return
            self.trigger(order)
        self.pending = [other for other in self.pending if other != instrument]
        if last := self.last.get(instrument):
            self.span[instrument] = last, last

    def next_triggered(self, instrument):
        """The waiting order that is triggered next, after the trailing stops have followed."""
        if instrument not in self.last:
            return None
        waiting = [o for o in self.live(instrument) if o.waits]
        for order in waiting:
            if order.type == Type.TRAILING_STOP:
                self.trail(order)
        low, high = self.span[instrument]
        rising = [o for o in waiting if o.rises and o.trigger <= high]
        falling = [o for o in waiting if not o.rises and o.trigger >= low]
        if rising:
            return min(rising, key=lambda o: (o.trigger, o.place))
        return min(falling, key=lambda o: (-o.trigger, o.place), default=None)

    def trail(self, order):
        last, offset = self.last[order.instrument], order.offset
        if order.flags & BASIS_POINTS:
            offset = max(last * offset // 10_000, 1)
        follows = self.within(order.instrument, last + offset * order.sign)
        order.trigger = min(order.trigger, follows) if order.side == Side.BUY else max(order.trigger, follows)

    def trigger(self, order):
        """The order arrives, as a market or a limit order."""
        self.steps += 1
        if self.is_over(order):
            self.expire(order)
            return
        self.touch(order)
        self.orders = [o for o in self.orders if o is not order]
        order.waits = False
        self.report(m.Triggered, order, public=False, quantity=order.leaves, trigger_price=order.trigger)
        if order.type in ARRIVE_AS_MARKET:
            order.price = self.market_price(order) or 0
        self.place(order)
        if not self.may_enter(order):
            self.cancel(order, CancelReason.ACCOUNT_STATE)
        elif order.rests and self.has_no_room(order):
            self.cancel(order, CancelReason.NO_ROOM)
        else:
            self.arrive(order)

    def may_enter(self, order):
        state = self.standing(order.account).state
        allowed = state == AccountStanding.ACTIVE or (state == AccountStanding.REDUCE_ONLY and order.reduces)
        return allowed and self.account_states.get(order.account, 1) == TradingState.OPEN

    # ---- pegged orders

    def follow(self, instrument):
        """Pegged orders get the prices that they should have, in order of order number."""
        pegged = [o for o in self.live(instrument) if o.type == Type.PEGGED]
        for order in sorted(pegged, key=lambda o: o.number):
            price = self.followed_price(order)
            if price != order.price:
                self.restate(order, price)

    def restate(self, order, price):
        stood, old = self.stands(order), order.price
        order.price = price
        if price and self.has_no_room(order):
            order.price = old
            self.cancel(order, CancelReason.NO_ROOM)
            return
        self.place(order)
        flags = RESTING if price else 0
        self.report(m.Restated, order, public=not order.hidden and (stood or price), flags=flags, quantity=order.leaves)

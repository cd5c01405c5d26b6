"""What the naive market does at the end of a row: trailing stops follow, waiting orders are triggered, pegged orders follow."""

from core import messages as m
from core.kinds import BASIS_POINTS, RESTING, AccountStanding, Side, TradingState
from core.kinds import OrderType as Type
from core.limits import STEPS_MAX
from core.reasons import CancelReason
from tests.model_market import Market
from tests.model_orders import ARRIVE_AS_MARKET


class Rules(Market):
    """`span` is the lowest and the highest price since triggers were last worked off; `touched`: where work is due, in turn."""

    def end_row(self, c):
        """Links end; a command for an order works off its instrument, an AdvanceTime all of them; others leave it to that."""
        self.steps = 0
        self.cancel_linked()
        refused = any(isinstance(e, m.Rejected) and e.command == c.command for e in self.events)
        if c.of is m.AdvanceTime and not refused:
            for instrument in list(self.touched):
                if self.steps < STEPS_MAX:
                    self.work_off(instrument)
        elif c.of in (m.EnterOrder, m.ReplaceOrder, m.ReduceOrder, m.CancelOrder) and c.instrument in self.touched:
            self.work_off(c.instrument)

    def set_state(self, to, instrument, account, state):
        """What opens again has work to do, if orders wait or follow there."""
        super().set_state(to, instrument, account, state)
        if state == TradingState.OPEN and not account:
            for number in [instrument] if instrument else sorted(self.instruments):
                self.touch_all(number)

    def work_off(self, instrument):
        if not self.is_open(instrument) or self.trigger_all(instrument):
            live = [o for o in self.live(instrument) if not o.held]
            trailing = [o for o in live if o.waits and o.type == Type.TRAILING_STOP and not o.crossed]
            self.steps += 1 + len(trailing) + sum(o.type == Type.PEGGED for o in live)
            self.follow(instrument)
            self.touched.remove(instrument)

    def is_open(self, instrument):
        return max(self.venue_state, self.instrument_states.get(instrument, 1)) == TradingState.OPEN

    def is_due(self):
        """Whether an AdvanceTime row has something to go on with, timers aside."""
        return bool(self.operations or self.touched)

    def stop_following(self, instrument):
        """A quarantine ends what made an instrument follow: its turn, or what the very row would have begun it by."""
        due = [o for o in self.orders if o.timed and o.instrument == instrument and o.expires <= self.now]
        if instrument in self.touched:
            self.touched.remove(instrument)
        elif due:
            for order in due:
                order.timed = False
        else:
            self.drop_pending()

    # ---- triggers

    def trigger_all(self, instrument):
        """Activate and trigger one order after the other, as far as the steps of this row reach; whether all is done."""
        self.trail_all(instrument)
        while order := self.next_step(instrument):
            if self.steps >= STEPS_MAX:
                return False
            self.steps, self.met = self.steps + 1, 0
            if self.is_over(order):
                self.expire(order)
            elif order.held:
                self.activate(order)
            else:
                self.trigger(order)
            self.cancel_linked()
            self.trail_all(instrument)
        if last := self.last.get(instrument):
            self.span[instrument] = last, last
        return True

    def next_step(self, instrument):
        """The order that is activated or triggered next: one that will wait for a price comes behind pending triggers."""
        activated, triggered = self.next_activated(instrument), self.next_triggered(instrument)
        return triggered if activated is None or (activated.waits and triggered) else activated

    def next_triggered(self, instrument):
        """The waiting order that is triggered next."""
        if instrument not in self.last:
            return None
        waiting = [o for o in self.live(instrument) if o.watches]
        crossed = [o for o in waiting if self.is_crossed(o)]
        if rising := [o for o in crossed if o.rises]:
            return min(rising, key=lambda o: (o.trigger, o.armed, o.number))
        return min(crossed, key=lambda o: (-o.trigger, o.armed, o.number), default=None)

    def is_crossed(self, order):
        """Whether its trigger price has been reached: of a trailing stop, after it followed the last price."""
        low, high = self.span[order.instrument]
        if order.type == Type.TRAILING_STOP:
            return order.crossed
        return order.trigger <= high if order.rises else order.trigger >= low

    def trail_all(self, instrument):
        """Trailing stops follow the last price; those that it has reached wait for their turn."""
        for order in self.live(instrument) if instrument in self.last else ():
            if order.watches and order.type == Type.TRAILING_STOP and not order.crossed:
                self.trail(order)
                last = self.last[instrument]
                order.crossed = last >= order.trigger if order.rises else last <= order.trigger

    def trail(self, order):
        last, offset = self.last[order.instrument], order.offset
        if order.flags & BASIS_POINTS:
            offset = max(last * offset // 10_000, 1)
        follows = last + offset * order.sign
        order.trigger = min(order.trigger, follows) if order.side == Side.BUY else max(order.trigger, follows)

    def trigger(self, order):
        """The order arrives, as a market or a limit order."""
        self.touch(order)
        self.orders = [o for o in self.orders if o is not order]
        order.waits = order.crossed = False
        self.report(m.Triggered, order, public=False, quantity=order.leaves, trigger_price=order.trigger)
        linked = self.cancel_other(order)
        if not self.may_enter(order):
            self.cancel(order, CancelReason.ACCOUNT_STATE)
            return
        if order.type in ARRIVE_AS_MARKET:
            order.price = self.market_price(order) or 0
        self.place(order)
        if order.rests and self.has_no_room(order):
            self.cancel(order, CancelReason.NO_ROOM)
        elif linked and self.is_uncovered(order):
            self.cancel(order, CancelReason.INSUFFICIENT_FUNDS)
        else:
            self.arrive(order)

    def may_enter(self, order):
        state = self.standing(order.account).state
        if not self.killed.isdisjoint([*self.owners(order.account, order.session), ("venue", 0)]):
            return False
        allowed = state == AccountStanding.ACTIVE or (state == AccountStanding.REDUCE_ONLY and order.reduces)
        return allowed and self.account_states.get(order.account, 1) == TradingState.OPEN

    # ---- pegged orders

    def follow(self, instrument):
        """Pegged orders get the prices that they should have, in order of order number."""
        pegged = [o for o in self.live(instrument) if o.type == Type.PEGGED and not o.held]
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
        if price:
            self.note_best(order)
        flags = RESTING if price else 0
        self.report(
            m.Restated, order, public=not order.hidden and bool(stood or price), flags=flags, quantity=order.leaves
        )

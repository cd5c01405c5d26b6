"""At the end of a row: trailing stops follow, waiting orders are triggered, pegged orders follow; all of it bounded."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from core.activating import Activating, may_enter
from core.arrival import reference
from core.book import Order
from core.codes import CancelReason, EventKind, Side, TradingState
from core.instrument import Instrument
from core.judging import has_price
from core.kinds import BASIS_POINTS, RESTING
from core.limits import STEPS_MAX
from core.placing import rests_by, time_in_force_of
from core.terms import CROSSED, HELD, IN_BOOK, PARKED, Terms, type_of, waits_for_price

_BASIS: Final = 10_000


class Following(Activating):
    """What follows the market. At most STEPS_MAX steps a row; what is left stays due."""

    __slots__ = ()

    def follow_all(self) -> None:
        """Work on all instruments that are due, in their turn."""
        steps: i64 = STEPS_MAX
        while self.following and steps > 0:
            steps = self.follow(self.following[0], steps)

    def follow(self, instrument: Instrument, steps: i64) -> i64:
        """Work on one instrument; returns the steps that are left, none if it is not done."""
        self.timer_time = -instrument.number
        if self.state == TradingState.OPEN and instrument.state == TradingState.OPEN:
            steps = self._trigger_all(instrument, steps)
            if instrument.followers.activations or self.is_crossed(instrument):
                self.timer_time = 0
                return 0
            instrument.low = instrument.high = instrument.last_price
        # Counted for AdvanceTime, which works on many instruments in one row.
        steps -= 1 + len(instrument.followers.trailing) + len(instrument.followers.pegged)
        self._follow_pegs(instrument)
        instrument.stirred = False
        self.following.remove(instrument)
        self.timer_time = 0
        return steps if steps > 0 else 0

    # ---- activations and triggers

    def _trigger_all(self, instrument: Instrument, steps: i64) -> i64:
        self._trail(instrument)
        activations = instrument.followers.activations
        while steps > 0 and (activations or self.is_crossed(instrument)):
            order = self._next_step(instrument)
            terms = order.terms
            assert terms is not None
            self.met = 0
            self.timer = order
            if terms.waits == HELD:
                self.activate(order, terms)
            else:
                self.trigger(order, terms)
            self.timer = None
            if self.upset:
                self.see_to_aftermath()
            steps -= 1 + self.met
            self._trail(instrument)
        return steps

    def _next_step(self, instrument: Instrument) -> Order:
        """The order that is activated or triggered next.

        One that will wait for a price is activated behind all triggers that are pending: what was crossed is not for it.
        """
        if instrument.followers.activations:
            order = self.next_activated(instrument)
            if not waits_for_price(type_of(order)) or not self.is_crossed(instrument):
                return order
        return self._next_crossed(instrument)

    def _next_crossed(self, instrument: Instrument) -> Order:
        """The order that is triggered next: rising prices first, then falling ones; by price, then by time."""
        rising = instrument.followers.rising
        if rising:
            key, order = rising.peekitem(0)
            if key[0] <= instrument.high:
                return order
        return instrument.followers.falling.peekitem(0)[1]

    def trigger(self, order: Order, terms: Terms) -> None:
        """An order that waited for a price arrives, unless its time is over."""
        if self.is_over(order):
            self.expire(order)
            return
        self.disarm(order, terms)
        terms.waits = IN_BOOK
        self.recount(order, terms)
        self.triggered(order, terms.trigger_price)
        linked = self.part_triggered(order, terms)
        if self.is_killed(order) or not may_enter(order.account, order.flags):
            self.cancel(order, CancelReason.ACCOUNT_STATE)
        elif has_price(type_of(order)) and self.refuse_room(order, None) != 0:
            self.cancel(order, CancelReason.NO_ROOM)
        elif linked and not self._cover(order):
            self.cancel(order, CancelReason.INSUFFICIENT_FUNDS)
        else:
            if not has_price(type_of(order)):
                order.price = self.limit_on_arrival(order)
            self.trade_or_rest(order)

    def _cover(self, order: Order) -> bool:
        """Reserve what a link has spared the order until now; whether the account covers it."""
        if not self.is_covered(order, None):
            return False
        self.hold(order)
        return True

    def _trail(self, instrument: Instrument) -> None:
        """Trailing stops follow the last price, in order of order number; those that it crosses wait for their turn."""
        last = instrument.last_price
        trailing = instrument.followers.trailing
        if last == 0 or not trailing:
            return
        for number in sorted(trailing.keys()):
            order = trailing[number]
            terms = order.terms
            assert terms is not None
            terms.trigger_price = trailed(order, terms, last)
            if last <= terms.trigger_price if order.side == Side.SELL else last >= terms.trigger_price:
                del trailing[number]
                terms.waits = CROSSED
                self.queue(order, terms)

    # ---- pegged orders

    def _follow_pegs(self, instrument: Instrument) -> None:
        pegged = instrument.followers.pegged
        if not pegged:
            return
        # What they follow are orders that are not pegged: none of them moves it.
        bid = reference(instrument.bids)
        ask = reference(instrument.asks)
        for number in sorted(pegged.keys()):
            order = pegged[number]
            terms = order.terms
            assert terms is not None
            price = self.passive_price(order, terms, bid, ask)
            if price != order.price:
                self._move_peg(order, terms, price)

    def _move_peg(self, order: Order, terms: Terms, price: i64) -> None:
        """Put a pegged order at the back of another price, or park it (0)."""
        stood = self.shows(order)
        before = order.price
        order.price = price
        if price != 0 and self.refuse_room(order, order) != 0:
            order.price = before
            self.cancel(order, CancelReason.NO_ROOM)
            return
        if order.level is not None:
            self.same(order).remove(order)
        terms.waits = PARKED if price == 0 else IN_BOOK
        if price != 0:
            self.put(order)
        flags = order.flags | RESTING if price != 0 else order.flags
        self.about(EventKind.RESTATED, order, flags, order.leaves, order.leaves, 0, stood or self.shows(order))

    # ---- new orders

    def place(self, order: Order, terms: Terms) -> None:
        """Accept a new order: it waits, rests, or is matched and its rest seen to."""
        if terms.waits != IN_BOOK:
            self.enlist(order)
            self.accepted(order, False)
            self.stir(order.instrument)
        elif self.rests_at_once(order, terms):
            self.rest(order)
            self.accepted(order, True)
            if self.shows_part(order):
                self.rested(order)
        else:
            self.accepted(order, False)
            self.trade_or_rest(order)

    def rests_at_once(self, order: Order, terms: Terms) -> bool:
        """Whether an order stands without a match."""
        if order.price == 0 or terms.minimum != 0 or not rests_by(time_in_force_of(order)):
            return False
        return not self.meets(order, order.price) and not self.lacks_room(order)


def trailed(order: Order, terms: Terms, last: i64) -> i64:
    """The trigger price of a trailing stop after it has followed the last price; it never goes back."""
    offset = terms.offset
    if order.flags & BASIS_POINTS:
        offset = last * terms.offset // _BASIS
        if offset == 0:
            offset = 1
    if order.side == Side.SELL:
        price = last - offset
        return price if price > terms.trigger_price else terms.trigger_price
    price = last + offset
    return price if price < terms.trigger_price else terms.trigger_price

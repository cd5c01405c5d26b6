"""Matching where an order is more than plain: shown and hidden ladders, icebergs, owners, budgets, positions.

It gives the same events as core/matching.py where all orders are plain; a test holds the two against each other.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from core.book import Ladder, Level, Order
from core.codes import CancelReason, EventKind, OrderType, Prevention, Side
from core.counting import closing
from core.instrument import Instrument, charge
from core.kinds import PREVENTION_MASK, PREVENTION_SHIFT, QUOTE, REDUCE_ONLY, REMOVED
from core.ledger import Account
from core.limits import MATCHES_MAX
from core.matching import Matching, reserve
from core.terms import type_of


class Crossing(Matching):
    """Matching an incoming order by the rules of docs/matching.md."""

    __slots__ = ("met", "met_before")

    def __init__(self) -> None:
        super().__init__()
        # How many resting orders the latest incoming order met.
        self.met: i64 = 0
        # How many the orders before it have met that are of the same command; 0 for any other.
        self.met_before: i64 = 0

    def opposite_hidden(self, order: Order) -> Ladder:
        """The ladder of hidden orders that an order trades against."""
        return order.instrument.hidden_asks if order.side == Side.BUY else order.instrument.hidden_bids

    def next_level(self, order: Order) -> Level | None:
        """The level that trades next with an order, shown before hidden; None if none is in reach of its price."""
        shown = self.opposite(order)
        hidden = self.opposite_hidden(order)
        sign = shown.sign
        level = shown.best
        if hidden.best is not None and (level is None or hidden.best.price * sign < level.price * sign):
            level = hidden.best
        if level is None or (order.price != 0 and level.price * sign > order.price * sign):
            return None
        return level

    def cross(self, incoming: Order) -> i64:
        """Trade while prices allow; returns why the rest must be canceled, or 0."""
        self.met = 0
        while incoming.leaves > 0:
            level = self.next_level(incoming)
            if level is None:
                return 0
            reason = self.cross_level(incoming, level)
            if reason != 0:
                return reason
        return 0

    def has_met_all(self) -> bool:
        """Whether the orders of this command have met as many as they may."""
        return self.met + self.met_before == MATCHES_MAX

    def cross_level(self, incoming: Order, level: Level) -> i64:
        """Trade with the first order of a level; returns why the rest must be canceled, or 0."""
        if self.has_met_all():
            return CancelReason.MATCH_LIMIT
        self.met += 1
        resting = level.first
        assert resting is not None
        if self.is_over(resting):
            self.expire(resting)
            return 0
        return self.prevent(incoming, resting) if owns(incoming, resting) else self._trade_with(incoming, resting)

    def _trade_with(self, incoming: Order, resting: Order) -> i64:
        """Trade with one resting order; returns why the rest must be canceled, or 0."""
        offered = self.offered(resting)
        terms = incoming.terms
        if type_of(incoming) == OrderType.SPEND_AT_MOST:
            payable = self._payable(incoming, resting.price, offered, incoming.leaves)
            if payable > 0:
                self.exchange(incoming, resting, payable)
            return 0 if payable == offered else CancelReason.BUDGET_SPENT
        quantity = offered if offered < incoming.leaves else incoming.leaves
        payable = quantity
        if terms is not None and terms.pays:
            payable = self._payable(incoming, resting.price, quantity, incoming.hold.free())
        if payable > 0:
            self.exchange(incoming, resting, payable)
        return 0 if payable == quantity else CancelReason.INSUFFICIENT_FUNDS

    def offered(self, resting: Order) -> i64:
        """How many lots of a resting order trade next: of an iceberg what it shows."""
        terms = resting.terms
        return terms.shown if terms is not None and terms.display != 0 else resting.leaves

    def _payable(self, order: Order, price: i64, quantity: i64, funds: i64) -> i64:
        """The largest quantity up to this one that these funds pay, with the fee; a rebate does not count."""
        instrument = order.instrument
        low: i64 = 0
        high = quantity
        middle = quantity
        while low < high:
            if self._cost(order, instrument.amount(price, middle)) <= funds:
                low = middle
            else:
                high = middle - 1
            middle = (low + high + 1) >> 1
        return low

    def _cost(self, order: Order, amount: i64) -> i64:
        return amount + charge(amount, order.taker_rate if order.taker_rate > 0 else 0)

    def exchange(self, incoming: Order, resting: Order, quantity: i64) -> None:
        """One match, and all that follows from it."""
        price = resting.price
        told = self.shows(resting)
        terms = resting.terms
        self.match_numbers += 1
        self.same(resting).reduce(resting, quantity)
        resting.executed += quantity
        if terms is not None and terms.display != 0:
            terms.shown -= quantity
        if type_of(incoming) == OrderType.SPEND_AT_MOST:
            incoming.leaves -= self._cost(incoming, incoming.instrument.amount(price, quantity))
        else:
            incoming.leaves -= quantity
        incoming.executed += quantity
        self.executed(resting, resting.flags, price, quantity, told)
        if not told:
            self.traded(resting, price, quantity)
        self.executed(incoming, incoming.flags | REMOVED, price, quantity, False)
        self.settle(incoming, resting, price, quantity)
        self._after(incoming, resting, price, quantity)

    def _after(self, incoming: Order, resting: Order, price: i64, quantity: i64) -> None:
        """The last price, the next display of an iceberg, positions and what hangs on them."""
        instrument = resting.instrument
        self._print(instrument, price)
        self.note_trade(resting)
        self.note_trade(incoming)
        if self.ratios != 0:
            self.count_trade(resting)
            self.count_trade(incoming)
        if (resting.flags | incoming.flags) & QUOTE:
            self._count_quotes(incoming, resting, quantity)
        terms = resting.terms
        if resting.leaves == 0:
            self.leave(resting)
        elif terms is not None:
            if terms.display != 0 and terms.shown == 0:
                self._show_next(resting)
            self.recount(resting, terms)
        if incoming.terms is not None:
            self.recount(incoming, incoming.terms)
        rules = instrument.rules
        if rules is not None and rules.schedule is not None:
            schedule = rules.schedule
            amount = instrument.amount(price, quantity)
            resting.account.volume(schedule).add(amount, schedule.period)
            incoming.account.volume(schedule).add(amount, schedule.period)
        if rules is not None and rules.exposures:
            self.move(resting, quantity)
            self.move(incoming, quantity)
            self.follow_position(resting.account, instrument)
            self.follow_position(incoming.account, instrument)

    def _count_quotes(self, incoming: Order, resting: Order, quantity: i64) -> None:
        if resting.flags & QUOTE:
            self.count_quote(resting, quantity)
        if incoming.flags & QUOTE:
            self.count_quote(incoming, quantity)

    def _print(self, instrument: Instrument, price: i64) -> None:
        instrument.last_price = price
        if instrument.watch == 0:
            return
        if instrument.low == 0 or price < instrument.low:
            instrument.low = price
        if price > instrument.high:
            instrument.high = price
        self.stir(instrument)

    def _show_next(self, order: Order) -> None:
        """The next display of an iceberg stands behind all others at its price."""
        terms = order.terms
        assert terms is not None
        ladder = self.same(order)
        ladder.remove(order)
        terms.shown = terms.display if terms.display < order.leaves else order.leaves
        ladder.add(order)
        self.rested(order)

    def follow_position(self, account: Account, instrument: Instrument) -> None:
        """Cut the reduce-only orders of an account to what its position still allows."""
        exposure = account.exposure(instrument.number)
        if not exposure.reducing:
            return
        for number in sorted(exposure.reducing.keys()):
            order = exposure.reducing[number]
            allowed = closing(exposure, order.side)
            if order.leaves == 0:
                continue  # The incoming order itself, which has been filled and leaves next.
            if allowed == 0:
                self.cancel(order, CancelReason.REDUCE_ONLY)
            elif order.leaves > allowed:
                self.cut(order, order.leaves - allowed)

    def cut(self, order: Order, quantity: i64) -> None:
        """Take a quantity off an order, less than it has open; it keeps its place. Told as `Reduced`."""
        if order.level is not None:
            self.same(order).reduce(order, quantity)
        else:
            order.leaves -= quantity
        order.hold.reserved -= order.reserved
        order.reserved = reserve(order)
        order.hold.reserved += order.reserved
        self.about(EventKind.REDUCED, order, order.flags, quantity, order.leaves, 0, self.shows(order))
        terms = order.terms
        if terms is not None:
            self.recount(order, terms)
            if terms.shown > order.leaves:
                terms.shown = order.leaves
                self.display_changed(order, terms.shown)

    # ---- self-trade prevention

    def prevent(self, incoming: Order, resting: Order) -> i64:
        """What prevention does where an order meets one of its owner; returns why the rest is canceled, or 0."""
        mode = incoming.flags >> PREVENTION_SHIFT & PREVENTION_MASK
        if mode == Prevention.CANCEL_NEWEST:
            return CancelReason.SELF_TRADE
        if mode != Prevention.DECREMENT:
            self.cancel(resting, CancelReason.SELF_TRADE)
            return CancelReason.SELF_TRADE if mode == Prevention.CANCEL_BOTH else 0
        quantity = resting.leaves if resting.leaves < incoming.leaves else incoming.leaves
        if quantity == resting.leaves:
            self.cancel(resting, CancelReason.SELF_TRADE)
        else:
            self.cut(resting, quantity)
        if quantity == incoming.leaves:
            return CancelReason.SELF_TRADE
        self.cut(incoming, quantity)
        return 0

    # ---- what is in reach

    def reach(self, incoming: Order, needed: i64) -> i64:
        """The worst price that trading so many lots now would reach; 0 if they are not in reach."""
        shown = self.opposite(incoming)
        hidden = self.opposite_hidden(incoming)
        sign = shown.sign
        at: i64 = len(shown.levels)
        hidden_at: i64 = len(hidden.levels)
        orders: i64 = 0
        while at > 0 or hidden_at > 0:
            level: Level
            if hidden_at == 0 or (
                at > 0 and shown.levels[at - 1].price * sign <= hidden.levels[hidden_at - 1].price * sign
            ):
                at -= 1
                level = shown.levels[at]
            else:
                hidden_at -= 1
                level = hidden.levels[hidden_at]
            if incoming.price != 0 and level.price * sign > incoming.price * sign:
                return 0
            orders += self._displays(level)
            if orders + self.met_before > MATCHES_MAX:
                return 0
            needed = self._count_level(incoming, level, needed)
            if needed == _BLOCKED:
                return 0
            if needed <= 0:
                return level.price
        return 0

    def _displays(self, level: Level) -> i64:
        """How many orders a level counts as: an iceberg as one for each display. Beyond MATCHES_MAX, any number of that."""
        count: i64 = 0
        order = level.first
        while order is not None and count <= MATCHES_MAX:
            terms = order.terms
            if terms is not None and terms.display != 0:
                count += 1 + (order.leaves - terms.shown + terms.display - 1) // terms.display
            else:
                count += 1
            order = order.behind
        return count

    def _count_level(self, incoming: Order, level: Level, needed: i64) -> i64:
        """What is still needed behind this level; _BLOCKED where an order of the owner ends the count before."""
        ends = incoming.flags >> PREVENTION_SHIFT & PREVENTION_MASK != Prevention.CANCEL_OLDEST
        blocked = ends and self._has_own(incoming, level)
        order = level.first
        while order is not None and needed > 0:
            if not self.is_over(order):
                if not owns(incoming, order):
                    # Next displays go behind the order that ends the count; reduce-only orders may be cut by a match.
                    offers = self.offered(order) if blocked else order.leaves
                    needed -= 0 if order.flags & REDUCE_ONLY else offers
                elif ends:
                    return _BLOCKED
            order = order.behind
        return needed

    def _has_own(self, incoming: Order, level: Level) -> bool:
        order = level.first
        while order is not None:
            if owns(incoming, order) and not self.is_over(order):
                return True
            order = order.behind
        return False


_BLOCKED: Final = -0x3FFFFFFFFFFFFFFF
"""What is still needed where an order of the owner ends the count: no quantity gets there."""


def owns(incoming: Order, resting: Order) -> bool:
    """Whether self-trade prevention is asked for and both orders have the same owner."""
    mode = incoming.flags >> PREVENTION_SHIFT & PREVENTION_MASK
    if mode == Prevention.NONE or mode == Prevention.ALLOW:
        return False
    one = incoming.account
    other = resting.account
    return one is other or (one.group != 0 and one.group == other.group)

"""The naive market's linked orders: one cancels the other, one triggers the other (docs/matching.md).

`links` holds the numbers of the orders that are about to be canceled because a link is over, in the order in which the links
ended. `parents` holds what is to be activated: triples of an instrument, the number of an
order that ended there, and the lots that it had traded.
"""

from core import messages as m
from core.kinds import POST_ONLY, SLIDE
from core.kinds import OrderType as Type
from core.reasons import CancelReason
from tests.model_orders import STOPS
from tests.model_rules import Rules

REDUCE_ONLY_MAX = 64
"""Live reduce-only orders of an account in an instrument, those that are held aside."""


class Links(Rules):
    """What happens to orders when one that they are linked with trades, is triggered or ends."""

    def __init__(self):
        super().__init__()
        self.links, self.parents = [], []

    # ---- the end of links

    def numbered(self, number):
        """The live order of that number, or None."""
        return next((o for o in self.orders if o.number == number), None)

    def ended(self, order):
        """An order is live no more: what it was linked with is canceled, what it held is canceled or activated."""
        self.end_link(order)
        held = sorted(o.number for o in self.orders if o.held and o.parent == order.number)
        parent = (order.instrument, order.number, order.executed)
        if not order.executed:
            self.links += held
        elif held and parent not in self.parents:
            self.parents.append(parent)
            self.touch(order)

    def end_link(self, order):
        """An order has traded or ended: the other that it is linked with is to be canceled."""
        other = self.numbered(order.other)
        if order.other and other:
            other.other, other.doomed = 0, True
            self.links.append(other.number)
        order.other = 0

    def cancel_linked(self):
        """Cancel what links leave behind."""
        while self.links:
            if order := self.numbered(self.links.pop(0)):
                self.cancel(order, CancelReason.LINKED)

    def cancel_other(self, order):
        """An order is triggered: the one that it is linked with is canceled at once; whether there is one."""
        other, order.other = self.numbered(order.other) if order.other else None, 0
        if other:
            other.other = 0
            self.cancel(other, CancelReason.LINKED)
        return other is not None

    # ---- money

    def reserves(self, order):
        """Held orders reserve nothing, nor do buys that pay as they go, nor one that waits beside the other of its link."""
        return not order.held and not order.pays and not (order.waits and (order.other or order.doomed))

    def is_uncovered(self, order):
        """Whether the account lacks what the order must be covered by; the other one of its link counts as nothing."""
        if order.pays:
            return False
        every, (currency, amount) = self.orders, self.cover(order)
        self.orders = [o for o in every if not order.other or o.number != order.other]
        free, self.orders = self.free(order.account, currency), every
        return amount > free

    def count_reducing(self, order):
        """The live reduce-only orders of the account in the instrument."""
        live = [o for o in self.live(order.instrument) if o is not order and o.account == order.account]
        return sum(o.reduces and not o.held for o in live)

    # ---- held orders

    def held_by(self, parent):
        return [o for o in self.orders if o.held and o.parent == parent]

    def has_to_activate(self, instrument):
        return any(self.held_by(number) for place, number, _ in self.parents if place == instrument)

    def next_activated(self, instrument):
        """The first order of the first parent that ended in the instrument."""
        self.parents = [parent for parent in self.parents if self.held_by(parent[1])]
        ended = [number for place, number, _ in self.parents if place == instrument]
        return min(self.held_by(ended[0]), key=lambda o: o.number) if ended else None

    def activate(self, order):
        """A held order arrives with the lots that its parent traded, or waits for its price from now on."""
        lots = next(lots for _, number, lots in self.parents if number == order.parent)
        if order.leaves > lots and not order.spends:
            self.cut(order, order.leaves - lots, CancelReason.LINKED)
        order.held = False
        self.touch(order)
        self.orders = [o for o in self.orders if o is not order]
        if order.type in (Type.MARKET, Type.MARKET_TO_LIMIT, Type.PEGGED):
            order.price = self.price_on_entry(order)
        self.report(m.Activated, order, public=False, quantity=order.leaves, parent=order.parent)
        if reason := self.refuse_activated(order):
            self.cancel(order, reason)
        else:
            self.arrive_in_turn(order)

    def refuse_activated(self, order):
        """Why an order that is activated does not go on; cuts one that is reduce-only."""
        if not self.may_enter(order):
            return CancelReason.ACCOUNT_STATE
        if (order.rests and not order.waits and self.passes(order, order.price)) or self.counts_too_much(order):
            return CancelReason.NO_ROOM
        if reason := self.refuse_arrival(order):
            return reason
        if order.reduces and not self.allowed(order):
            return CancelReason.REDUCE_ONLY
        if order.reduces and self.count_reducing(order) >= REDUCE_ONLY_MAX:
            return CancelReason.NO_ROOM
        if order.reduces and order.leaves > self.allowed(order):
            self.cut(order, order.leaves - self.allowed(order), CancelReason.REDUCE_ONLY)
        return CancelReason.INSUFFICIENT_FUNDS if self.is_uncovered(order) else None

    # ---- arriving after being accepted

    def refuse_arrival(self, order):
        """Why an order that was accepted earlier cannot arrive."""
        if order.waits or (order.type == Type.PEGGED and not order.price):
            return None
        if order.rests and order.price and self.has_no_room(order):
            return CancelReason.NO_ROOM
        return CancelReason.WOULD_TRADE if order.flags & (POST_ONLY | SLIDE) and self.in_reach(order) else None

    def arrive_in_turn(self, order):
        """An order that was accepted earlier, and that nothing keeps from it, waits, is parked, or trades and stands."""
        self.place(order)
        if order.waits or (order.type == Type.PEGGED and not order.price):
            if order.waits and order.instrument in self.last:
                self.span[order.instrument] = (self.last[order.instrument],) * 2
            self.orders.append(order)
            self.touch(order)
            return
        if order.all_or_none:
            order.needed = order.leaves
        self.arrive(order)


def waits(flags):
    """Whether an order of these flags waits for a price."""
    return (flags >> 1 & 15) in (*STOPS, Type.MARKET_IF_TOUCHED, Type.LIMIT_IF_TOUCHED)

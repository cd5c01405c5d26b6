"""Orders arrive, on entry or when they are triggered: the price that they get, what must trade at once, the rest."""

from __future__ import annotations

from mypy_extensions import i64

from core.book import Ladder, Level, Order
from core.codes import CancelReason, OrderType, Peg, RejectReason, Side, TimeInForce
from core.judging import Judging, has_price
from core.kinds import ALL_OR_NONE, PEG_MASK, PEG_SHIFT, POST_ONLY, SLIDE
from core.matching import reserve
from core.placing import refuse_resting, rests_by, time_in_force_of
from core.terms import FOR_PRICE, HELD, IN_BOOK, PARKED, Terms, type_of, waits_for_price


class Arrival(Judging):
    """From the terms of a command to a place in the book."""

    __slots__ = ("spared",)

    def __init__(self) -> None:
        super().__init__()
        # What an order that is being judged need not cover: the reservation of one that it would cancel.
        self.spared: i64 = 0

    def best_opposite(self, order: Order) -> i64:
        """The best price of the other side, shown or hidden; 0 for an empty side."""
        shown = self.opposite(order).best
        hidden = self.opposite_hidden(order).best
        sign = self.opposite(order).sign
        if shown is None:
            return hidden.price if hidden is not None else 0
        return hidden.price if hidden is not None and hidden.price * sign < shown.price * sign else shown.price

    def meets(self, order: Order, price: i64) -> bool:
        """Whether the other side, shown or hidden, trades with an order at this price."""
        return self.opposite(order).reaches(price) or self.opposite_hidden(order).reaches(price)

    def get_price(self, order: Order, terms: Terms, is_new: bool) -> i64:
        """Give a draft the price that it gets where it arrives now; returns WOULD_TRADE if post-only has none, or 0.

        A pegged order that is replaced follows again, and never trades by it.
        """
        order_type = type_of(order)
        if terms.waits == FOR_PRICE or terms.waits == HELD:
            return 0
        if order_type == OrderType.PEGGED:
            bid = reference(order.instrument.bids)
            ask = reference(order.instrument.asks)
            follows = (
                self.pegged_price(order, terms, bid, ask) if is_new else self.passive_price(order, terms, bid, ask)
            )
            order.price = follows
            terms.waits = PARKED if order.price == 0 else IN_BOOK
            return 0
        if order.price == 0 and order_type != OrderType.SPEND_AT_MOST:
            order.price = self.limit_on_arrival(order)
        if order.flags & (POST_ONLY | SLIDE) and self.meets(order, order.price):
            if order.flags & POST_ONLY:
                return RejectReason.WOULD_TRADE
            slid = self._slid_price(order)
            if slid == 0:
                return RejectReason.WOULD_TRADE
            order.price = slid
        return 0

    def _slid_price(self, order: Order) -> i64:
        """One tick short of the best opposite price; 0 if that is no price of the instrument."""
        instrument = order.instrument
        price = self.best_opposite(order) + (-1 if order.side == Side.BUY else 1)
        if not 1 <= price <= instrument.price_max or order.leaves > instrument.notional_max // price:
            return 0
        return price

    def refuse_place(self, order: Order, terms: Terms, leaving: Order | None) -> i64:
        """Why the book has no room, or the account no cover, as if `leaving` had left first; or 0."""
        stands = rests_by(time_in_force_of(order)) and terms.waits == 0 and type_of(order) != OrderType.PEGGED
        reason: i64 = 0
        if stands and order.price != 0:
            reason = self.refuse_room(order, leaving)
        if reason == 0:
            reason = self.refuse_sums(order, terms, leaving)
        return reason

    def refuse_room(self, order: Order, leaving: Order | None) -> i64:
        """LEVELS_FULL or SUM_AT_BOUND if the order cannot stand at its price, as if `leaving` had left first; or 0."""
        ladder = self.same(order)
        return refuse_resting(ladder, order.price, order.leaves, leaving, self._other_ladder(order, ladder).total)

    def _other_ladder(self, order: Order, ladder: Ladder) -> Ladder:
        """The ladder of the same side that the order does not stand on: one sum bounds both."""
        instrument = order.instrument
        if order.side == Side.BUY:
            return instrument.bids if ladder is instrument.hidden_bids else instrument.hidden_bids
        return instrument.asks if ladder is instrument.hidden_asks else instrument.hidden_asks

    def is_covered(self, order: Order, leaving: Order | None) -> bool:
        """Whether the account covers what the order reserves, as if `leaving` had left first."""
        freed = leaving.reserved if leaving is not None else 0
        return reserve(order) <= order.hold.free() + freed + self.spared

    def trade_or_rest(self, order: Order) -> None:
        """Match an order that has been told, and see to its rest; its limit is the price that it got."""
        order_type = type_of(order)
        # A stop that has been triggered is a market order, whatever its own time in force.
        rests = rests_by(time_in_force_of(order)) and (has_price(order_type) or not waits_for_price(order_type))
        needs_limit = order_type == OrderType.MARKET_TO_LIMIT or (rests and order_type == OrderType.MARKET)
        if order.price == 0 and (needs_limit or self._is_protected(order)):
            self.cancel(order, CancelReason.IMMEDIATE_OR_CANCEL)
            return
        reason = self._refuse_to_trade(order)
        if reason == 0:
            reason = self.cross(order)
        self.see_to_rest(order, self.without_room(order, reason) if rests else reason, rests)

    def without_room(self, order: Order, reason: i64) -> i64:
        """Why the rest of an order must be canceled: for this reason, or NO_ROOM where it cannot stand; or 0."""
        return CancelReason.NO_ROOM if reason == 0 and order.leaves != 0 and self.lacks_room(order) else reason

    def lacks_room(self, order: Order) -> bool:
        """Whether a pegged order cannot stand at its price: others have been judged before they were accepted."""
        return type_of(order) == OrderType.PEGGED and self.refuse_room(order, None) != 0

    def _is_protected(self, order: Order) -> bool:
        rules = order.instrument.rules
        if rules is None or rules.protection == 0:
            return False
        return type_of(order) != OrderType.SPEND_AT_MOST

    def _refuse_to_trade(self, order: Order) -> i64:
        """Why FOK, all-or-none or minimum quantity cancel the order at once, or 0."""
        terms = order.terms
        if time_in_force_of(order) == TimeInForce.FOK:
            worst = self.reach(order, order.leaves)
            if worst == 0:
                return CancelReason.FILL_OR_KILL
            return self.reserve_at(order, worst) if terms is not None and terms.pays else 0
        needed: i64 = terms.minimum if terms is not None else 0
        if order.flags & ALL_OR_NONE:
            needed = order.leaves
        if terms is not None:
            terms.minimum = 0
        if needed > order.leaves:
            return CancelReason.MINIMUM_NOT_MET
        return CancelReason.MINIMUM_NOT_MET if needed != 0 and self.reach(order, needed) == 0 else 0

    # ---- pegged orders

    def pegged_price(self, order: Order, terms: Terms, bid: i64, ask: i64) -> i64:
        """The price that a pegged order should have by these references, within its limit; 0 where it has none."""
        own = bid if order.side == Side.BUY else ask
        other = ask if order.side == Side.BUY else bid
        peg = order.flags >> PEG_SHIFT & PEG_MASK
        if peg == Peg.PRIMARY:
            price = own
        elif peg == Peg.MARKET:
            price = other
        elif own == 0 or other == 0:
            price = 0
        else:
            price = (own + other + (0 if order.side == Side.BUY else 1)) >> 1
        if price == 0:
            return 0
        return self._bounded(order, terms, price + terms.offset)

    def passive_price(self, order: Order, terms: Terms, bid: i64, ask: i64) -> i64:
        """The price that a pegged order should have, at most one tick short of the other side; 0 to park it."""
        price = self.pegged_price(order, terms, bid, ask)
        if price == 0 or not self.meets(order, price):
            return price
        instrument = order.instrument
        price = self.best_opposite(order) + (-1 if order.side == Side.BUY else 1)
        if not 1 <= price <= instrument.price_max or order.leaves > instrument.notional_max // price:
            return 0
        return price

    def _bounded(self, order: Order, terms: Terms, price: i64) -> i64:
        """A price within the limit of a pegged order and the prices of the instrument; 0 if the notional passes its bound."""
        instrument = order.instrument
        highest = instrument.price_max
        if price < 1:
            price = 1
        if price > highest:
            price = highest
        if terms.limit != 0 and (price > terms.limit if order.side == Side.BUY else price < terms.limit):
            price = terms.limit
        return price if price <= highest and order.leaves <= instrument.notional_max // price else 0


def reference(ladder: Ladder) -> i64:
    """The best price of a shown ladder, orders that are pegged not counted; 0 if there is none.

    At most FOLLOWERS_MAX pegged orders stand before it.
    """
    at: i64 = len(ladder.levels)
    while at > 0:
        at -= 1
        level = ladder.levels[at]
        if has_unpegged(level):
            return level.price
    return 0


def has_unpegged(level: Level) -> bool:
    """Whether an order stands on the level that is not pegged."""
    order = level.first
    while order is not None:
        if order.terms is None or type_of(order) != OrderType.PEGGED:
            return True
        order = order.behind
    return False

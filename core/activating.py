"""Orders that arrive after they were accepted: those of a batch in turn, held ones when their parent has traded."""

from __future__ import annotations

from mypy_extensions import i64

from core.aftermath import Aftermath
from core.arrival import reference
from core.book import Order
from core.codes import AccountStanding, CancelReason, OrderType, TradingState
from core.counting import closing, count_held
from core.instrument import Instrument
from core.kinds import POST_ONLY, REDUCE_ONLY, SLIDE
from core.ledger import Account
from core.limits import REDUCING_MAX
from core.linked import spared_by
from core.matching import reserve
from core.placing import rests_by, time_in_force_of
from core.terms import (
    ARRIVING,
    FOR_PRICE,
    HELD,
    IN_BOOK,
    PARKED,
    OrderLink,
    Terms,
    is_waiting,
    type_of,
    waits_for_price,
)


class Activating(Aftermath):
    """From accepted to a place in the book, or among the orders that wait."""

    __slots__ = ()

    def settle_in(self, order: Order, terms: Terms) -> None:
        """An order that was held, or has not arrived, waits or follows from now on, or is about to trade or rest."""
        instrument = order.instrument
        count_held(order, -1)
        order_type = type_of(order)
        terms.waits = IN_BOOK
        if waits_for_price(order_type):
            terms.waits = FOR_PRICE
            terms.armed = self.sequence
            self.arm(order, terms)
        elif order_type == OrderType.PEGGED:
            terms.waits = PARKED if order.price == 0 else IN_BOOK
            instrument.followers.pegged[order.number] = order
            instrument.watch += 1
        order.hold.reserved -= order.reserved
        self.hold(order)
        self.recount(order, terms)
        if instrument.watch != 0:
            self.stir(instrument)

    def arrive(self, order: Order, terms: Terms) -> None:
        """An accepted order whose turn has come trades or stands, waits, or is canceled."""
        reason = self._refuse_standing(order, terms)
        if reason != 0:
            self.cancel(order, reason)
            return
        self.settle_in(order, terms)
        if terms.waits == IN_BOOK:
            self.trade_or_rest(order)

    def _refuse_standing(self, order: Order, terms: Terms) -> i64:
        """NO_ROOM where the book cannot take it any more, WOULD_TRADE where it is post-only and would trade; or 0."""
        if is_waiting(order, terms) or type_of(order) == OrderType.PEGGED or order.price == 0:
            return 0
        if rests_by(time_in_force_of(order)) and self.refuse_room(order, None) != 0:
            return CancelReason.NO_ROOM
        passive = order.flags & (POST_ONLY | SLIDE) != 0
        return CancelReason.WOULD_TRADE if passive and self.meets(order, order.price) else 0

    # ---- held orders

    def next_activated(self, instrument: Instrument) -> Order:
        """The held order whose turn it is."""
        link: OrderLink = instrument.followers.activations.peekitem(0)[1]
        terms = link.first.terms
        if link.second is None or (terms is not None and terms.waits == HELD):
            return link.first
        return link.second

    def activate(self, order: Order, terms: Terms) -> None:
        """A held order arrives, because its parent has traded."""
        link = terms.link
        assert link is not None
        if link.second is None or order is link.second:
            self.drop_activation(link)
        if link.second is None:
            self.unlink(link)
        if self.is_over(order):
            self.expire(order)
            return
        if order.leaves > link.traded and type_of(order) != OrderType.SPEND_AT_MOST:
            self.cut(order, order.leaves - link.traded)
        self._give_price(order, terms)
        self.activated(order, link.number)
        reason = self._refuse_activated(order, terms)
        if reason == 0:
            reason = self._reduce_activated(order, terms)
        if reason == 0 and reserve(order) > order.hold.free() + spared_by(order, terms.link):
            reason = CancelReason.INSUFFICIENT_FUNDS
        if reason != 0:
            self.cancel(order, reason)
            return
        self.settle_in(order, terms)
        if terms.waits == IN_BOOK:
            self.trade_or_rest(order)

    def _give_price(self, order: Order, terms: Terms) -> None:
        """What has no price of its own gets one, as on entry."""
        instrument = order.instrument
        if type_of(order) == OrderType.PEGGED:
            order.price = self.pegged_price(order, terms, reference(instrument.bids), reference(instrument.asks))
        elif order.price == 0 and type_of(order) != OrderType.SPEND_AT_MOST and not is_waiting(order, terms):
            order.price = self.limit_on_arrival(order)

    def _refuse_activated(self, order: Order, terms: Terms) -> i64:
        """Why account or book do not let a held order arrive, or 0."""
        if self.is_killed(order) or not may_enter(order.account, order.flags):
            return CancelReason.ACCOUNT_STATE
        bound = rests_by(time_in_force_of(order)) or type_of(order) == OrderType.MARKET_TO_LIMIT
        if bound and order.price != 0 and order.leaves > order.instrument.notional_max // order.price:
            return CancelReason.NO_ROOM
        if self.refuse_sums(order, terms, order) != 0:
            return CancelReason.NO_ROOM
        return self._refuse_standing(order, terms)

    def _reduce_activated(self, order: Order, terms: Terms) -> i64:
        """Positions bind a held order from now on: cut what is reduce-only; returns why it must be canceled, or 0."""
        if order.flags & REDUCE_ONLY:
            exposure = order.account.exposure(order.instrument.number)
            allowed = closing(exposure, order.side)
            if allowed == 0:
                return CancelReason.REDUCE_ONLY
            if len(exposure.reducing) >= REDUCING_MAX:
                return CancelReason.NO_ROOM
            if order.leaves > allowed:
                self.cut(order, order.leaves - allowed)
            exposure.reducing[order.number] = order
        terms.waits = ARRIVING
        return 0

    def is_killed(self, order: Order) -> bool:
        """Whether a kill switch is thrown that concerns an order."""
        account = order.account
        return self.killed or account.killed() or account.firm.killed() or order.session.killed()


def may_enter(account: Account, flags: i64) -> bool:
    """Whether the states of an account let an order with these flags arrive."""
    if account.state != TradingState.OPEN or account.standing == AccountStanding.SUSPENDED:
        return False
    return account.standing == AccountStanding.ACTIVE or flags & REDUCE_ONLY != 0

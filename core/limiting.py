"""Limits before the trade: what accounts, sessions and firms may enter, and how fast."""

from __future__ import annotations

from mypy_extensions import i64

from core.book import Order
from core.codes import AccountStanding, OrderType, RejectReason, Role, Side
from core.codes import Limit as Kind
from core.counting import worth
from core.holder import Holder, Limit
from core.instrument import Instrument
from core.kinds import REDUCE_ONLY
from core.ledger import Account
from core.limits import NANOSECONDS, SPENDING_LOTS, SUM_MAX
from core.placing import Placing
from core.terms import Terms, type_of


class Limiting(Placing):
    """Kill switches, the standing of accounts, and every limit of SetLimit."""

    __slots__ = ()

    def refuse_guarded(self, account: Account, flags: i64) -> i64:
        """Why a kill switch, the account's standing or a rate does not let this order in, or 0."""
        if self.killed or account.killed() or account.firm.killed() or self.requester.killed():
            return RejectReason.KILLED
        if account.standing == AccountStanding.SUSPENDED:
            return RejectReason.ACCOUNT_SUSPENDED
        if account.standing == AccountStanding.REDUCE_ONLY and flags & REDUCE_ONLY == 0:
            return RejectReason.ACCOUNT_REDUCE_ONLY
        return 0 if self.conforms(Kind.MESSAGE_RATE, account) else RejectReason.MESSAGE_RATE_LIMIT

    def conforms(self, kind: i64, account: Account | None) -> bool:
        """Whether a command comes no faster than this rate lets it, of account, firm and session; counts it if so."""
        session = self.requester
        if session.role == Role.OPERATOR:
            return True
        if account is not None:
            if account.guards | account.firm.guards | session.guards == 0:
                return True
            if not self._is_in_time(account, kind) or not self._is_in_time(account.firm, kind):
                return False
        if not self._is_in_time(session, kind):
            return False
        if account is not None:
            self._arrive(account, kind)
            self._arrive(account.firm, kind)
        self._arrive(session, kind)
        return True

    def _is_in_time(self, holder: Holder, kind: i64) -> bool:
        rate = holder.limit(kind, 0)
        if rate is None:
            return True
        ahead = rate.arrival - self.now
        return ahead <= (rate.second_at(self.now) - 1) * (NANOSECONDS // rate.value_at(self.now))

    def _arrive(self, holder: Holder, kind: i64) -> None:
        rate = holder.limit(kind, 0)
        if rate is not None:
            later = rate.arrival if rate.arrival > self.now else self.now
            rate.arrival = later + NANOSECONDS // rate.value_at(self.now)

    def refuse_limited(self, order: Order, terms: Terms, quantity: i64, leaving: Order | None) -> i64:
        """Why a limit does not let an order in, as if `leaving` had left first, or 0; in the order of reasons."""
        account = order.account
        firm = account.firm
        session = self.requester if leaving is None else leaving.session
        if account.guards | firm.guards | session.guards | self.requester.guards == 0:
            return 0
        kind: i64 = Kind.ORDER_QUANTITY
        while kind <= Kind.ORDER_TO_TRADE:
            if (
                kind != Kind.MESSAGE_RATE
                and kind != Kind.CANCEL_RATE
                and (
                    self._passes(account, kind, order, terms, quantity, leaving)
                    or self._passes(session, kind, order, terms, quantity, leaving)
                    or self._passes(firm, kind, order, terms, quantity, leaving)
                )
            ):
                return _REASONS[kind]
            kind += 1
        return 0

    def _passes(
        self, holder: Holder, kind: i64, order: Order, terms: Terms, quantity: i64, leaving: Order | None
    ) -> bool:
        """Whether the order passes a limit of this kind that the holder has, of its instrument or of any."""
        if not holder.limits:
            return False
        limit = holder.limit(kind, order.instrument.number)
        if limit is not None and self._passes_one(holder, limit, order, terms, quantity, leaving):
            return True
        limit = holder.limit(kind, 0)
        return limit is not None and self._passes_one(holder, limit, order, terms, quantity, leaving)

    def _passes_one(
        self, holder: Holder, limit: Limit, order: Order, terms: Terms, quantity: i64, leaving: Order | None
    ) -> bool:
        value = limit.value_at(self.now)
        lots: i64 = 0 if type_of(order) == OrderType.SPEND_AT_MOST else order.leaves
        if limit.kind == Kind.ORDER_QUANTITY:
            return lots != 0 and quantity > value
        if limit.kind == Kind.ORDER_NOTIONAL:
            return worth(order, terms) > value
        if limit.kind == Kind.OPEN_ORDERS:
            return holder.open - (0 if leaving is None else 1) >= value
        if limit.kind == Kind.ORDER_TO_TRADE:
            return self._has_too_many(holder, limit, value)
        left = leaving.terms if leaving is not None else None
        exposure = holder.exposure(order.instrument.number)
        if limit.kind == Kind.OPEN_NOTIONAL:
            others = exposure.notional - (left.worth if left is not None else 0)
            return worth(order, terms) > value - others
        freed = left.counted if left is not None else 0
        if order.side == Side.BUY:
            return lots > value - exposure.position - (exposure.buys - freed)
        return lots > value + exposure.position - (exposure.sells - freed)

    def _has_too_many(self, holder: Holder, ratio: Limit, value: i64) -> bool:
        if self.requester.role == Role.OPERATOR:
            return False
        self.begin_day(holder)
        return ratio.orders >= value * ratio.trades + ratio.second_at(self.now)

    def count_order(self, order: Order, count: i64 = 1) -> None:
        """Count a command that was not refused for the order-to-trade ratios of those whose order it is; -1 takes it back."""
        if self.ratios == 0 or self.requester.role == Role.OPERATOR:
            return
        self._count_order(order.account, count)
        self._count_order(order.account.firm, count)
        self._count_order(order.session, count)

    def _count_order(self, holder: Holder, count: i64) -> None:
        ratio = holder.limit(Kind.ORDER_TO_TRADE, 0)
        if ratio is not None:
            self.begin_day(holder)
            ratio.orders += count

    def refuse_sums(self, order: Order, terms: Terms, leaving: Order | None) -> i64:
        """SUM_AT_BOUND if what exposures count would pass its bound, or 0."""
        rules = order.instrument.rules
        if rules is None or not rules.exposures:
            return 0
        session = order.session
        if (
            self._fits(order.account, order, terms, leaving)
            and self._fits(order.account.firm, order, terms, leaving)
            and (session.number == 0 or self._fits(session, order, terms, leaving))
        ):
            return 0
        return RejectReason.SUM_AT_BOUND

    def _fits(self, holder: Holder, order: Order, terms: Terms, leaving: Order | None) -> bool:
        exposure = holder.exposure(order.instrument.number)
        left = leaving.terms if leaving is not None else None
        lots = (exposure.buys if order.side == Side.BUY else exposure.sells) - (left.counted if left is not None else 0)
        position = exposure.position if order.side == Side.BUY else -exposure.position
        if position > 0:
            # With what is open counted as filled: no match has to look whether a position is at its bound.
            lots += position
        notional = exposure.notional - (left.worth if left is not None else 0)
        more: i64 = SPENDING_LOTS if type_of(order) == OrderType.SPEND_AT_MOST else order.leaves
        return more <= SUM_MAX - lots and worth(order, terms) <= SUM_MAX - notional


_REASONS: tuple[int, ...] = (
    0,
    RejectReason.QUANTITY_LIMIT,
    RejectReason.NOTIONAL_LIMIT,
    RejectReason.OPEN_ORDERS_LIMIT,
    RejectReason.OPEN_NOTIONAL_LIMIT,
    RejectReason.POSITION_LIMIT,
    0,
    0,
    RejectReason.ORDER_TO_TRADE_LIMIT,
)
"""The reason of each limit, by its number."""


def amount_or_more(instrument: Instrument, price: i64, quantity: i64) -> i64:
    """Quote units of a quantity at a price; SUM_MAX where the product passes its bound."""
    return SUM_MAX if price != 0 and quantity > instrument.notional_max // price else instrument.amount(price, quantity)

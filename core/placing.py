"""What entering, replacing and triggered orders share: who may, room in the book, and what becomes of the rest."""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.allocating import Allocating
from core.book import Ladder, Order
from core.codes import CancelReason, RejectReason, Role, Side, TimeInForce, TradingState
from core.instrument import Instrument
from core.kinds import C6, C7, C8, HIDDEN, TIME_IN_FORCE_MASK, TIME_IN_FORCE_SHIFT
from core.ledger import Account
from core.limits import LEVELS_MAX, SUM_MAX
from core.matching import buy_cover, reserve
from core.terms import Terms, is_special

_ALL_OPEN: Final = 3 * TradingState.OPEN


class Placing(Allocating):
    """Refusals by name and state, reservations, resting."""

    __slots__ = ()

    def refuse_names(self, instrument: Instrument | None, account: Account | None, entering: bool) -> i64:
        """Why this session may not act for this account in this instrument now, or 0."""
        session = self.requester
        if account is None:
            if session.role != Role.OPERATOR:
                return RejectReason.NOT_PERMITTED
            return RejectReason.UNKNOWN_INSTRUMENT if instrument is None else RejectReason.UNKNOWN_ACCOUNT
        if session.account is not account and not session.acts_for(account):
            return RejectReason.NOT_PERMITTED
        if instrument is None:
            return RejectReason.UNKNOWN_INSTRUMENT
        if self.state + instrument.state + account.state == _ALL_OPEN:
            return 0
        worst = self.state if self.state > instrument.state else instrument.state
        return self.refuse_state(worst, account.state, entering)

    def refuse_state(self, market: i64, account: i64, entering: bool) -> i64:
        """Why these trading states, of venue or instrument and of the account, do not allow the command, or 0."""
        if not entering and self.requester.role == Role.OPERATOR:
            return 0
        if market == TradingState.HALTED:
            return RejectReason.HALTED
        if entering and market == TradingState.CANCEL_ONLY:
            return RejectReason.CANCEL_ONLY
        if account == TradingState.HALTED or (entering and account == TradingState.CANCEL_ONLY):
            return RejectReason.ACCOUNT_HALTED
        return 0

    def refuse(self, reason: i64, row: bytes, at: i64) -> None:
        """Refuse an order command, with the names it gives."""
        self.reject(reason, read_i64_le(row, at + C6), read_i64_le(row, at + C7), read_i64_le(row, at + C8))

    def is_guarded(self, instrument: Instrument, account: Account) -> bool:
        """Whether orders of this account in this instrument need more than the plain way: its one test."""
        return instrument.special | account.guards | account.firm.guards | self.requester.guards != 0 or self.killed

    def expiry_of(self, time_in_force: i64, expires: i64) -> i64:
        """When the time of a new order is over: its own time, the mark of this day, or never."""
        if time_in_force == TimeInForce.GTD:
            return expires
        return self.day_mark if time_in_force == TimeInForce.DAY else self.never

    def hold(self, order: Order) -> None:
        """Reserve what the order may cost; a buy that pays as it goes reserves nothing."""
        order.reserved = reserve(order)
        order.hold.reserved += order.reserved

    def rest(self, order: Order) -> None:
        """Let an order stand in the book; a new one is live from now on."""
        terms = order.terms
        if terms is not None and not self.keeps_terms(order, terms):
            self.shed_terms(order)
        elif terms is not None and terms.display != 0:
            terms.shown = terms.display if terms.display < order.leaves else order.leaves
        self.put(order)
        if not order.live:
            self.enlist(order)
        if order.instrument.watch != 0:
            self.stir(order.instrument)

    def put(self, order: Order) -> None:
        """Put an order at the back of its price; it may set the best price of its side."""
        ladder = self.same(order)
        sets_best = bool(order.instrument.steps) and not ladder.reaches(order.price)
        ladder.add(order)
        if sets_best and order.flags & HIDDEN == 0:
            ladder.top = order

    def keeps_terms(self, order: Order, terms: Terms) -> bool:
        """Whether a live order needs its terms, or is a plain one from now on."""
        rules = order.instrument.rules
        return is_special(order, terms.display) or (rules is not None and rules.exposures) or terms.link is not None

    def shed_terms(self, order: Order) -> None:
        """The order is a plain one from now on."""
        order.terms = None
        if order.live:
            order.instrument.special -= 1

    def see_to_rest(self, order: Order, reason: i64, rests: bool) -> None:
        """What matching left of an order rests, or is canceled."""
        if order.leaves == 0:
            self.leave(order)
        elif reason != 0:
            self.cancel(order, reason)
        elif rests:
            self.rest(order)
            self.rested(order)
        else:
            self.cancel(order, CancelReason.IMMEDIATE_OR_CANCEL)

    def reserve_at(self, order: Order, worst: i64) -> i64:
        """Reserve a buy that pays as it goes in full at the worst price it reaches; returns why it cannot be, or 0."""
        if order.leaves > order.instrument.notional_max // worst:
            return CancelReason.INSUFFICIENT_FUNDS
        needed = buy_cover(order.instrument, worst, order.leaves, order.maker_rate, order.taker_rate)
        if needed > order.hold.free():
            return CancelReason.INSUFFICIENT_FUNDS
        order.price = worst
        if order.terms is not None:
            order.terms.pays = False
        self.hold(order)
        return 0


def time_in_force_of(order: Order) -> i64:
    """The time in force in the flags of an order."""
    return order.flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK


def rests_by(time_in_force: i64) -> bool:
    """Whether the rest of an order of this time in force may stand."""
    return time_in_force != TimeInForce.IOC and time_in_force != TimeInForce.FOK


def refuse_terms(instrument: Instrument, side: i64, price: i64, quantity: i64, is_market: bool) -> i64:
    """Why price and quantity are out of range for the instrument, or 0."""
    if not (price == 0 if is_market else 1 <= price <= instrument.price_max):
        return RejectReason.INVALID_PRICE
    if not 1 <= quantity <= instrument.quantity_max:
        return RejectReason.INVALID_QUANTITY
    if side == Side.SELL and quantity > instrument.lots_max:
        return RejectReason.INVALID_NOTIONAL
    if not is_market and quantity > instrument.notional_max // price:
        return RejectReason.INVALID_NOTIONAL
    return 0


def refuse_resting(ladder: Ladder, price: i64, quantity: i64, leaving: Order | None, sum_left: i64) -> i64:
    """Why the side cannot take an order, as if `leaving` (which may rest on it) had left first, or 0.

    `sum_left` is by how much less the side may hold: what stands on its other ladder.
    """
    levels: i64 = len(ladder.levels)
    total = ladder.total
    if leaving is not None:
        level = leaving.level
        if level is not None:
            levels -= 1 if level.count == 1 and level.price != price else 0
            total -= leaving.leaves
    if levels >= LEVELS_MAX and ladder.find(price) is None:
        return RejectReason.LEVELS_FULL
    return 0 if quantity <= SUM_MAX - sum_left - total else RejectReason.SUM_AT_BOUND


def would_trade(instrument: Instrument, side: i64, price: i64) -> bool:
    """Whether an order at this price meets the best price of the other side."""
    return (instrument.asks if side == Side.BUY else instrument.bids).reaches(price)

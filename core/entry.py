"""Entering orders: refuse first, in the order of `reasons.py`; then only success."""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.codes import CancelReason, OrderType, RejectReason, Role, Side, TimeInForce, TradingState
from core.book import Ladder, Order
from core.instrument import Instrument
from core.kinds import (
    C6,
    C7,
    C8,
    C9,
    C10,
    C11,
    C12,
    C13,
    C14,
    C15,
    ENTER_FLAGS,
    FLAGS,
    POST_ONLY,
    SIDE_MASK,
    TIME_IN_FORCE_MASK,
    TIME_IN_FORCE_SHIFT,
    TYPE_MASK,
    TYPE_SHIFT,
)
from core.ledger import Account, Balance
from core.limits import LEVELS_MAX, SUM_MAX
from core.matching import Matching, buy_cover, reserve

_ALL_OPEN: Final = 3 * TradingState.OPEN


class Entry(Matching):
    """EnterOrder."""

    __slots__ = ("needed",)

    def __init__(self) -> None:
        super().__init__()
        # What the order that is being entered must reserve.
        self.needed: i64 = 0

    def enter_order(self, row: bytes, at: i64) -> None:
        """Enter a limit or market order."""
        instrument = self.instrument(read_i64_le(row, at + C6))
        account = self.account(read_i64_le(row, at + C7))
        client = read_i64_le(row, at + C8)
        price = read_i64_le(row, at + C9)
        quantity = read_i64_le(row, at + C10)
        expires = read_i64_le(row, at + C11)
        flags = read_i64_le(row, at + FLAGS)
        reason = malformed_entry(row, at, flags, client)
        if reason == 0:
            reason = self.refuse_names(instrument, account, True)
        if reason != 0 or instrument is None or account is None:
            self.refuse(reason, row, at)
            return
        hold = account.balance(instrument.quote if flags & SIDE_MASK == Side.BUY else instrument.base)
        time_in_force = flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK
        at_once = time_in_force == TimeInForce.IOC or time_in_force == TimeInForce.FOK
        reason = self._refuse_entry(instrument, account, hold, flags, at_once, client, price, quantity, expires)
        if reason != 0:
            self.refuse(reason, row, at)
            return

        # From here on the order stands: nothing below may refuse it.
        self.order_numbers += 1
        order = Order(account, self.requester, instrument, self.order_numbers, hold)
        order.client_order_id = client
        order.flags = flags
        order.side = flags & SIDE_MASK
        order.price = price
        order.leaves = quantity
        order.expires = self.never if time_in_force == TimeInForce.GTC else self._expiry(time_in_force, expires)
        order.reserved = self.needed
        hold.reserved += self.needed
        self._place(order, time_in_force, at_once)

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

    def _refuse_entry(
        self, instrument: Instrument, account: Account, hold: Balance, flags: i64, at_once: bool,
        client: i64, price: i64, quantity: i64, expires: i64,
    ) -> i64:  # fmt: skip
        if client in account.orders:
            return RejectReason.DUPLICATE_CLIENT_ORDER_ID
        is_market = flags >> TYPE_SHIFT & TYPE_MASK == OrderType.MARKET
        if is_market and not at_once:
            return RejectReason.INVALID_TIME_IN_FORCE
        if at_once and flags & POST_ONLY:
            return RejectReason.INVALID_INSTRUCTION
        side = flags & SIDE_MASK
        reason = refuse_terms(instrument, side, price, quantity, is_market)
        if reason != 0:
            return reason
        is_timed = flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK == TimeInForce.GTD
        if not (self.now < expires <= SUM_MAX if is_timed else expires == 0):
            return RejectReason.INVALID_EXPIRY
        ladder = instrument.bids if side == Side.BUY else instrument.asks
        if not at_once:
            reason = refuse_resting(ladder, price, quantity, None)
            if reason != 0:
                return reason
            if flags & POST_ONLY and would_trade(instrument, side, price):
                return RejectReason.WOULD_TRADE
        if side == Side.SELL:
            needed = quantity * instrument.lot_units
        else:
            needed = buy_cover(instrument, price, quantity, instrument.maker_rate, instrument.taker_rate)
        self.needed = needed
        return 0 if needed <= hold.total - hold.reserved else RejectReason.INSUFFICIENT_FUNDS

    def _expiry(self, time_in_force: i64, expires: i64) -> i64:
        if time_in_force == TimeInForce.GTD:
            return expires
        return self.day_mark if time_in_force == TimeInForce.DAY else self.never

    def hold(self, order: Order) -> None:
        """Reserve what the order may cost; a market buy reserves nothing."""
        order.reserved = reserve(order)
        order.hold.reserved += order.reserved

    def _place(self, order: Order, time_in_force: i64, at_once: bool) -> None:
        """Accept a new order; let it rest, or match it and see to the rest."""
        instrument = order.instrument
        opposite = instrument.asks if order.side == Side.BUY else instrument.bids
        if not at_once and not opposite.reaches(order.price):
            self._rest(order)
            self.accepted(order, True)
            return
        self.accepted(order, False)
        reason: i64 = 0
        if time_in_force == TimeInForce.FOK:
            reason = self._unfillable(order)
        if reason == 0:
            reason = self.match(order)
        self._see_to_rest(order, reason, not at_once)

    def _rest(self, order: Order) -> None:
        """Let an order stand in the book; a new one is live from now on."""
        self.same(order).add(order)
        if not order.live:
            order.account.add(order)
            if order.expires <= SUM_MAX:
                self.start_timer(order)

    def _see_to_rest(self, order: Order, reason: i64, rests: bool) -> None:
        """What matching left of an order rests, or is canceled."""
        if order.leaves == 0:
            self.leave(order)
        elif reason != 0:
            self.cancel(order, reason)
        elif rests:
            self._rest(order)
            self.rested(order)
        else:
            self.cancel(order, CancelReason.IMMEDIATE_OR_CANCEL)

    def _unfillable(self, order: Order) -> i64:
        """Why a fill-or-kill order is canceled at once, or 0; a market buy is reserved at the worst price it reaches."""
        worst = self.fok_worst_price(order)
        if worst == 0:
            return CancelReason.FILL_OR_KILL
        if order.price == 0 and order.side == Side.BUY:
            if order.leaves > order.instrument.notional_max // worst:
                return CancelReason.INSUFFICIENT_FUNDS
            needed = buy_cover(order.instrument, worst, order.leaves, order.maker_rate, order.taker_rate)
            if needed > order.hold.free():
                return CancelReason.INSUFFICIENT_FUNDS
            order.price = worst
            self.hold(order)
        return 0


def malformed_entry(row: bytes, at: i64, flags: i64, client: i64) -> i64:
    """MALFORMED if EnterOrder uses a spare column, a flag or number without a meaning, or no client order id; else 0."""
    spare = (
        read_i64_le(row, at + C12)
        | read_i64_le(row, at + C13)
        | read_i64_le(row, at + C14)
        | read_i64_le(row, at + C15)
    )
    order_type = flags >> TYPE_SHIFT & TYPE_MASK
    time_in_force = flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK
    if spare != 0 or flags & ~ENTER_FLAGS or client == 0 or not -SUM_MAX <= client <= SUM_MAX:
        return RejectReason.MALFORMED
    if order_type != OrderType.LIMIT and order_type != OrderType.MARKET:
        return RejectReason.MALFORMED
    if time_in_force > TimeInForce.GTD or time_in_force == 2 or time_in_force == 5:
        return RejectReason.MALFORMED
    return 0


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


def refuse_resting(ladder: Ladder, price: i64, quantity: i64, leaving: Order | None) -> i64:
    """Why the side cannot take an order, as if `leaving` (which rests on it) had left first, or 0."""
    levels: i64 = len(ladder.levels)
    total = ladder.total
    if leaving is not None:
        level = leaving.level
        assert level is not None
        levels -= 1 if level.count == 1 and level.price != price else 0
        total -= leaving.leaves
    if levels >= LEVELS_MAX and ladder.find(price) is None:
        return RejectReason.LEVELS_FULL
    return 0 if quantity <= SUM_MAX - total else RejectReason.SUM_AT_BOUND


def would_trade(instrument: Instrument, side: i64, price: i64) -> bool:
    """Whether an order at this price meets the best price of the other side."""
    return (instrument.asks if side == Side.BUY else instrument.bids).reaches(price)

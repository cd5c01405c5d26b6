"""Entering orders: refuse first, in the order of `reasons.py`; then only success."""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.book import Order
from core.codes import CancelReason, OrderType, RejectReason, Side, TimeInForce
from core.instrument import Instrument
from core.judging import is_malformed
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
    FLAGS,
    PLAIN_FLAGS,
    POST_ONLY,
    SIDE_MASK,
    TIME_IN_FORCE_MASK,
    TIME_IN_FORCE_SHIFT,
    TYPE_MASK,
    TYPE_SHIFT,
)
from core.ledger import Account, Balance
from core.limits import SUM_MAX
from core.matching import buy_cover
from core.placing import refuse_resting, refuse_terms, would_trade
from core.special import Special


class Entry(Special):
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
        is_plain = is_plain_entry(row, at, flags)
        reason: i64 = 0
        reason = RejectReason.MALFORMED if is_malformed(flags, client) else self.refuse_names(instrument, account, True)
        if reason != 0 or instrument is None or account is None:
            self.refuse(reason, row, at)
            return
        if not is_plain or self.is_guarded(instrument, account):
            self.enter_special(instrument, account, row, at)
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
        order.expires = self.never if time_in_force == TimeInForce.GTC else self.expiry_of(time_in_force, expires)
        order.reserved = self.needed
        hold.reserved += self.needed
        self._place(order, time_in_force, at_once)

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
            reason = refuse_resting(ladder, price, quantity, None, 0)
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

    def _place(self, order: Order, time_in_force: i64, at_once: bool) -> None:
        """Accept a new order; let it rest, or match it and see to the rest."""
        instrument = order.instrument
        opposite = instrument.asks if order.side == Side.BUY else instrument.bids
        if not at_once and not opposite.reaches(order.price):
            self.rest(order)
            self.accepted(order, True)
            return
        self.accepted(order, False)
        reason: i64 = 0
        if time_in_force == TimeInForce.FOK:
            reason = self._unfillable(order)
        if reason == 0:
            reason = self.match(order)
        self.see_to_rest(order, reason, not at_once)

    def _unfillable(self, order: Order) -> i64:
        """Why a fill-or-kill order is canceled at once, or 0; a market buy is reserved at the worst price it reaches."""
        worst = self.fok_worst_price(order)
        if worst == 0:
            return CancelReason.FILL_OR_KILL
        return self.reserve_at(order, worst) if order.price == 0 and order.side == Side.BUY else 0


def is_plain_entry(row: bytes, at: i64, flags: i64) -> bool:
    """Whether EnterOrder uses nothing but what a plain limit or market order has."""
    more = (
        read_i64_le(row, at + C12)
        | read_i64_le(row, at + C13)
        | read_i64_le(row, at + C14)
        | read_i64_le(row, at + C15)
        | flags & ~PLAIN_FLAGS
    )
    return more == 0 and flags >> TYPE_SHIFT & TYPE_MASK <= OrderType.LIMIT

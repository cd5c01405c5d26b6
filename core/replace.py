"""Replacing orders: the order number stays, and the place in the queue where nothing was taken from others."""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.book import Order
from core.codes import CancelReason, RejectReason, Side
from core.entry import Entry
from core.instrument import Instrument
from core.kinds import (
    C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, FLAGS, KEPT_PLACE, PLAIN_FLAGS, POST_ONLY, REDUCE_ONLY, REENTER, RESTING,
)  # fmt: skip
from core.ledger import Account
from core.limits import SUM_MAX
from core.matching import buy_cover
from core.placing import refuse_resting, refuse_terms, would_trade
from core.state import fits


class Replacing(Entry):
    """ReplaceOrder."""

    __slots__ = ()

    def replace_order(self, row: bytes, at: i64) -> None:
        """Change price, quantity or expiry of a live order."""
        instrument = self.instrument(read_i64_le(row, at + C6))
        account = self.account(read_i64_le(row, at + C7))
        client = read_i64_le(row, at + C8)
        original = read_i64_le(row, at + C15)
        flags = read_i64_le(row, at + FLAGS)
        more = read_i64_le(row, at + C12) | read_i64_le(row, at + C14)
        reason: i64 = 0
        if read_i64_le(row, at + C13) != 0 or flags & ~REENTER or client == 0 or not -SUM_MAX <= client <= SUM_MAX:
            reason = RejectReason.MALFORMED
        else:
            reason = self.refuse_names(instrument, account, True)
        if reason != 0 or instrument is None or account is None:
            self.refuse(reason, row, at)
            return
        guarded = self.is_guarded(instrument, account)
        if guarded:
            reason = self._refuse_guarded_replace(account, original, instrument)
            if reason != 0:
                self.refuse(reason, row, at)
                return
        order = account.orders.get(original)
        if order is None or order.instrument is not instrument or self.is_over(order):
            self.refuse(RejectReason.UNKNOWN_ORDER, row, at)
            return
        if guarded or more != 0 or order.session.guards != 0 or order.flags & ~PLAIN_FLAGS or order.terms is not None:
            self.replace_special(order, row, at)
            return
        price = read_i64_le(row, at + C9)
        quantity = read_i64_le(row, at + C10)
        expires = read_i64_le(row, at + C11)
        leaves = quantity if flags & REENTER else quantity - order.executed
        keeps = flags == 0 and price == order.price and leaves <= order.leaves
        reason = self._refuse_replace(order, client, price, quantity, leaves, expires, keeps)
        if reason != 0:
            self.refuse(reason, row, at)
            return

        # From here on the replace stands.
        if leaves <= 0:
            self.cancel(order, CancelReason.REPLACED_BELOW_EXECUTED)
        else:
            self._replace(order, client, price, leaves, expires, keeps)
        self.acknowledged(order)

    def _refuse_guarded_replace(self, account: Account, original: i64, instrument: Instrument) -> i64:
        """Why kill switches, standing or rates do not let this replace in, or 0; an unknown order is no reduce-only one."""
        order = account.orders.get(original)
        flags: i64 = REDUCE_ONLY
        if order is not None and order.instrument is instrument and not self.is_over(order):
            flags = order.flags
        return self.refuse_guarded(account, instrument, flags)

    def _refuse_replace(
        self, order: Order, client: i64, price: i64, quantity: i64, leaves: i64, expires: i64, keeps: bool
    ) -> i64:
        instrument = order.instrument
        if client != order.client_order_id and client in order.account.orders:
            return RejectReason.DUPLICATE_CLIENT_ORDER_ID
        reason = refuse_terms(instrument, order.side, price, quantity, False)
        if reason != 0:
            return reason
        if expires != 0 and not (order.timed and self.now < expires <= SUM_MAX):
            return RejectReason.INVALID_EXPIRY
        if keeps or leaves <= 0:
            return 0
        reason = refuse_resting(self.same(order), price, leaves, order, 0)
        if reason != 0:
            return reason
        if not fits(order.executed, leaves):
            return RejectReason.SUM_AT_BOUND
        if order.flags & POST_ONLY and would_trade(instrument, order.side, price):
            return RejectReason.WOULD_TRADE
        if order.side == Side.SELL:
            covered = leaves * instrument.lot_units <= order.hold.free() + order.reserved
        else:
            needed = buy_cover(instrument, price, leaves, order.maker_rate, order.taker_rate)
            covered = needed <= order.hold.free() + order.reserved
        return 0 if covered else RejectReason.INSUFFICIENT_FUNDS

    def _replace(self, order: Order, client: i64, price: i64, leaves: i64, expires: i64, keeps: bool) -> None:
        original = order.client_order_id
        if client != original:
            del order.account.orders[original]
            order.client_order_id = client
            order.account.orders[client] = order
        if expires != 0:
            self.stop_timer(order)
            order.expires = expires
            self.start_timer(order)
        ladder = self.same(order)
        if keeps:
            ladder.reduce(order, order.leaves - leaves)
        else:
            ladder.remove(order)
        order.hold.reserved -= order.reserved
        order.price = price
        order.leaves = leaves
        self.hold(order)
        if keeps:
            self.replaced(order, KEPT_PLACE, original, True)
        elif self.opposite(order).reaches(price):
            self.replaced(order, 0, original, True)
            self.see_to_rest(order, self.match(order), True)
        else:
            ladder.add(order)
            self.replaced(order, RESTING, original, True)

"""Several orders that enter together or not at all: each is judged and held, then they arrive in turn."""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.book import Order
from core.codes import EventKind, Link, OrderType, RejectReason, Role
from core.instrument import Instrument
from core.judging import is_malformed
from core.kinds import (
    C6,
    C7,
    C8,
    C10,
    C11,
    FLAGS,
    TIME_IN_FORCE_MASK,
    TIME_IN_FORCE_SHIFT,
    TYPE_MASK,
    TYPE_SHIFT,
)
from core.ledger import Account
from core.placing import rests_by
from core.safety import Safety
from core.terms import ARRIVING, HELD, OrderLink, is_waiting, waits_for_price


class Batches(Safety):
    """EnterBatch and LinkOrders, when all their rows have come: the head, then the parts."""

    __slots__ = ()

    def enter_batch(self, rows: list[bytes]) -> None:
        """Enter all orders of a batch, or none."""
        account = self.account_of(rows[0])
        orders = self._judge_all(rows, account, 0) if account is not None else []
        if account is None or not orders:
            return

        # From here on the batch stands.
        batch_id = read_i64_le(rows[0], C8)
        self.control(EventKind.BATCH_ENTERED, 0, account.number, batch_id, len(orders), 0, 0, None)
        self._admit(orders)

    def link_orders(self, rows: list[bytes]) -> None:
        """Enter two or three linked orders, or none."""
        account = self.account_of(rows[0])
        kind = read_i64_le(rows[0], FLAGS)
        orders = self._judge_all(rows, account, kind) if account is not None else []
        if account is None or not orders:
            return

        # From here on the orders are linked.
        third: i64 = orders[2].number if len(orders) > 2 else 0
        self.row(
            EventKind.ORDERS_LINKED, self.requester, kind, orders[0].instrument.number, account.number,
            read_i64_le(rows[0], C8), orders[0].number, orders[1].number, third, 0, 0, 0, 0,
        )  # fmt: skip
        self.begin_link(link_of(kind, orders))
        self._admit(orders)

    def account_of(self, head: bytes) -> Account | None:
        """The account of a command of several parts; None after refusing the command."""
        number = read_i64_le(head, C7)
        account = self.account(number)
        if self.requester.role != Role.OPERATOR and (account is None or not self.requester.acts_for(account)):
            self.reject(RejectReason.NOT_PERMITTED, 0, number, 0)
            return None
        if account is None:
            self.reject(RejectReason.UNKNOWN_ACCOUNT, 0, number, 0)
        return account

    # ---- judged and held

    def _judge_all(self, rows: list[bytes], account: Account, link: i64) -> list[Order]:
        """The orders, each judged as if those before it were live, and held; none after refusing the command."""
        orders: list[Order] = []
        reason: i64 = 0
        at: i64 = 1
        while at < len(rows) and reason == 0:
            row = rows[at]
            self.part = at
            instrument = self.instrument(read_i64_le(row, C6))
            self.timer_time = -instrument.number if instrument is not None else 0
            reason = self._judge(rows, account, instrument, link, orders)
            if reason != 0:
                self._let_go(orders)
                self.reject(reason, read_i64_le(row, C6), account.number, read_i64_le(row, C8))
                orders = []
            at += 1
        self.part = 0
        self.timer_time = 0
        return orders

    def _judge(
        self, rows: list[bytes], account: Account, instrument: Instrument | None, link: i64, orders: list[Order]
    ) -> i64:
        """Why the next order is refused, or 0: it is live then, and held."""
        at: i64 = len(orders) + 1
        row = rows[at]
        reason: i64 = 0
        if is_malformed(read_i64_le(row, FLAGS), read_i64_le(row, C8)) or read_i64_le(row, C7) != 0:
            return RejectReason.MALFORMED
        if instrument is None:
            return RejectReason.UNKNOWN_INSTRUMENT
        if link != 0 and not goes_with(link, at, row, rows):
            return RejectReason.INVALID_LINK
        reason = self.refuse_names(instrument, account, True)
        if reason != 0:
            return reason
        order = self.draft(instrument, account, row, 0)
        terms = order.terms
        assert terms is not None
        held = at > 1 and link > Link.ONE_CANCELS_OTHER
        if held:
            terms.waits = HELD
        elif link == Link.ONE_CANCELS_OTHER and at == 2:
            self.spared = orders[0].reserved if orders[0].hold is order.hold else 0
        reason = self.refuse_draft(order, terms, read_i64_le(row, C10), read_i64_le(row, C11))
        self.spared = 0
        if reason != 0:
            return reason

        # From here on the order is live, unless another one is refused.
        terms.waits = HELD if held else ARRIVING
        self.order_numbers += 1
        self.hold(order)
        self.count_order(order)
        self.enlist(order)
        orders.append(order)
        return 0

    def _let_go(self, orders: list[Order]) -> None:
        """Take back the orders that were held, the last one first; only what rates have counted remains."""
        for order in reversed(orders):
            instrument = order.instrument
            stirred = instrument.stirred
            self.leave(order)
            self.count_order(order, -1)
            self.order_numbers -= 1
            if not stirred and instrument.stirred:
                # It came last to those that follow: nothing has happened to it.
                instrument.stirred = False
                self.following.pop()

    # ---- accepted, then arriving

    def _admit(self, orders: list[Order]) -> None:
        """All are accepted, and those that wait for a price wait from now on; then each of the others arrives in turn."""
        for order in orders:
            self.accepted(order, False)
            terms = order.terms
            if terms is not None and terms.waits == ARRIVING and is_waiting(order, terms):
                self.settle_in(order, terms)
        for order in orders:
            terms = order.terms
            if order.live and terms is not None and terms.waits == ARRIVING:
                self.timer_time = -order.instrument.number
                self.met = 0
                self.arrive(order, terms)
                self.met_before += self.met
        self.met_before = 0
        self.timer_time = 0


def link_of(kind: i64, orders: list[Order]) -> OrderLink:
    """What links these orders."""
    if kind == Link.ONE_CANCELS_OTHER:
        return OrderLink(kind, None, orders[0], orders[1])
    return OrderLink(kind, orders[0], orders[1], orders[2] if len(orders) > 2 else None)


def goes_with(link: i64, at: i64, row: bytes, rows: list[bytes]) -> bool:
    """Whether a part goes with those before it: one instrument, and of two that cancel each other the types."""
    if read_i64_le(row, C6) != read_i64_le(rows[1], C6):
        return False
    first: i64 = 1 if link == Link.ONE_CANCELS_OTHER else 2
    if link == Link.ONE_TRIGGERS_OTHER or at < first:
        return True
    waits = waits_for_price(type_in(row))
    if not waits and not stands(row):
        return False
    return at == first or waits or waits_for_price(type_in(rows[first]))


def type_in(row: bytes) -> i64:
    """The order type in the flags of a row."""
    return read_i64_le(row, FLAGS) >> TYPE_SHIFT & TYPE_MASK


def stands(row: bytes) -> bool:
    """Whether a row is of a limit order whose time in force lets it stand."""
    time_in_force: i64 = read_i64_le(row, FLAGS) >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK
    return type_in(row) == OrderType.LIMIT and rests_by(time_in_force)

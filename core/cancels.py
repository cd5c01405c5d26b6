"""Reducing and canceling orders, one by one and in mass."""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.codes import CancelReason, CommandKind, EventKind, Limit, RejectReason, Role, TradingState
from core.book import Order
from core.replace import Replacing
from core.kinds import C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, FLAGS, ONLY_SELLS, PENDING, ROW_SIZE
from core.limits import QUANTITY_MAX, TODOS_MAX
from core.state import Todo
from core.text import is_text


class Cancels(Replacing):
    """ReduceOrder, CancelOrder and MassCancel."""

    __slots__ = ()

    def reduce_order(self, row: bytes, at: i64) -> None:
        """Take a quantity off a live order, which keeps its place."""
        spare = read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C9) | unused_from_11(row, at)
        order = self._find(row, at, spare)
        if order is None:
            return
        quantity = read_i64_le(row, at + C10)
        if not 1 <= quantity <= QUANTITY_MAX:
            self.refuse(RejectReason.INVALID_QUANTITY, row, at)
            return

        # From here on the reduction stands.
        if quantity >= order.leaves:
            self.cancel(order, CancelReason.REQUESTED)
        else:
            self._reduce(order, quantity)
        self.acknowledged(order)

    def _reduce(self, order: Order, quantity: i64) -> None:
        if order.terms is not None:
            self.cut(order, quantity)
            return
        self.same(order).reduce(order, quantity)
        order.hold.reserved -= order.reserved
        self.hold(order)
        self.about(EventKind.REDUCED, order, order.flags, quantity, order.leaves, 0, True)

    def cancel_order(self, row: bytes, at: i64) -> None:
        """Cancel a live order."""
        spare = (
            read_i64_le(row, at + FLAGS)
            | read_i64_le(row, at + C9)
            | read_i64_le(row, at + C10)
            | unused_from_11(row, at)
        )
        order = self._find(row, at, spare)
        if order is None:
            return

        # From here on the cancel stands.
        self.cancel(order, CancelReason.REQUESTED)
        self.acknowledged(order)

    def _find(self, row: bytes, at: i64, spare: i64) -> Order | None:
        """The live order that a command names; None after refusing the command."""
        instrument = self.instrument(read_i64_le(row, at + C6))
        account = self.account(read_i64_le(row, at + C7))
        if spare != 0:
            self.refuse(RejectReason.MALFORMED, row, at)
            return None
        reason = self.refuse_names(instrument, account, False)
        if reason != 0 or account is None:
            self.refuse(reason, row, at)
            return None
        if not self.conforms(Limit.CANCEL_RATE, account):
            self.refuse(RejectReason.CANCEL_RATE_LIMIT, row, at)
            return None
        order = account.orders.get(read_i64_le(row, at + C8))
        if order is None or order.instrument is not instrument:
            self.refuse(RejectReason.UNKNOWN_ORDER, row, at)
            return None
        return order

    def mass_cancel(self, row: bytes, at: i64) -> None:
        """Cancel the live orders of an account, a side, an instrument, or any combination."""
        side = read_i64_le(row, at + FLAGS)
        instrument = read_i64_le(row, at + C6)
        account = read_i64_le(row, at + C7)
        reason = self._refuse_mass_cancel(row, at, side, instrument, account)
        if reason != 0:
            self.reject(reason, instrument, account, 0)
            return

        # From here on the mass cancel stands.
        todo = Todo(CommandKind.MASS_CANCEL, self.sequence, self.requester, self.order_numbers)
        todo.inbound = self.inbound
        todo.instrument = instrument
        todo.account = account
        todo.side = side
        todo.named = read_i64_le(row, at + C8)
        todo.firm = read_i64_le(row, at + C9)
        self.add_todo(todo)
        self.mass_canceled(todo, PENDING if todo in self.todos else 0)

    def _refuse_mass_cancel(self, row: bytes, at: i64, side: i64, instrument: i64, account: i64) -> i64:
        unused = read_i64_le(row, at + C10)
        if unused != 0 or misuses_from_11(row, at) or not 0 <= side <= ONLY_SELLS:
            return RejectReason.MALFORMED
        named = self.instrument(instrument)
        owner = self.account(account)
        session = self.requester
        if session.role != Role.OPERATOR and (owner is None or not session.acts_for(owner)):
            return RejectReason.NOT_PERMITTED
        if named is None and instrument != 0:
            return RejectReason.UNKNOWN_INSTRUMENT
        if owner is None and account != 0:
            return RejectReason.UNKNOWN_ACCOUNT
        market = self.state
        if named is not None and named.state > market:
            market = named.state
        reason = self.refuse_state(market, owner.state if owner is not None else TradingState.OPEN, False)
        if reason != 0:
            return reason
        if not self.conforms(Limit.CANCEL_RATE, owner):
            return RejectReason.CANCEL_RATE_LIMIT
        if not self.is_holder(read_i64_le(row, at + C8), read_i64_le(row, at + C9)):
            return RejectReason.INVALID_DEFINITION
        return RejectReason.TOO_MANY_PENDING if len(self.todos) >= TODOS_MAX else 0

    def is_holder(self, named: i64, firm: i64) -> bool:
        """Whether session and firm are known, where they are given."""
        return (named == 0 or self.session(named) is not None) and (firm == 0 or self.firm(firm) is not None)


def unused_from_11(row: bytes, at: i64) -> i64:
    """Not 0 if a command that ends at column 10 uses a later one."""
    return (
        read_i64_le(row, at + C11)
        | read_i64_le(row, at + C12)
        | read_i64_le(row, at + C13)
        | read_i64_le(row, at + C14)
        | read_i64_le(row, at + C15)
    )


def misuses_from_11(row: bytes, at: i64) -> bool:
    """Whether a command that gives a reason uses columns 11 to 13, or gives one that is no text (columns 14 and 15)."""
    unused = read_i64_le(row, at + C11) | read_i64_le(row, at + C12) | read_i64_le(row, at + C13)
    return unused != 0 or not is_text(row, at + C14, at + ROW_SIZE)

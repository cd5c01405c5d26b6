"""Orders leave the book: by expiry, by mass operations that go on over several rows, and for good.

At most STEPS_MAX orders or accounts are visited per row; what is left stays due (`State.due`).
"""

from __future__ import annotations

from mypy_extensions import i64

from core.codes import CancelReason, CommandKind, EventKind, OnDisconnect, Role, Side, TimeInForce
from core.book import Order
from core.kinds import ONLY_BUYS, TIME_IN_FORCE_MASK, TIME_IN_FORCE_SHIFT
from core.ledger import Account
from core.limits import STEPS_MAX, SUM_MAX, TODOS_MAX
from core.linked import Linked
from core.reports import told_expiry
from core.session import Session
from core.state import Todo


class Timers(Linked):
    """Expiry, dead-man timers, mass cancel and end of day."""

    __slots__ = ()

    def leave(self, order: Order) -> None:
        """Take an order out of everything that knows it, and free what it reserves."""
        if order.level is not None:
            self.same(order).remove(order)
        if order.timed:
            self.stop_timer(order)
        if order is self.todo_order:
            self.todo_order = order.newer
        if order.live:
            order.account.remove(order)
            if order.terms is not None:
                self.count_out(order, order.terms)
                self.note_leave(order, order.terms)
        order.hold.reserved -= order.reserved
        order.reserved = 0
        if order.instrument.watch != 0:
            self.stir(order.instrument)

    def enlist(self, order: Order) -> None:
        """A new order lives from now on."""
        order.account.add(order)
        if order.expires <= SUM_MAX:
            self.start_timer(order)
        if order.terms is not None:
            self.count_in(order, order.terms)

    def start_timer(self, order: Order) -> None:
        """A GTD order will be due at its expiry."""
        order.timed = True
        self.timers[order.expires, order.number] = order

    def stop_timer(self, order: Order) -> None:
        """The order is due no more."""
        order.timed = False
        del self.timers[order.expires, order.number]

    def cancel(self, order: Order, reason: i64) -> None:
        """Cancel a live order and tell; its open quantity stands in the event."""
        told = self.shows(order)
        veiled = self.shows_part(order)
        self.leave(order)
        self.about(EventKind.CANCELED, order, order.flags, order.leaves, 0, reason, told)
        if veiled:
            self.display_changed(order, 0)

    def expire(self, order: Order) -> None:
        """Remove a live order whose time is over, and tell."""
        told = self.shows(order)
        veiled = self.shows_part(order)
        self.leave(order)
        self.about(EventKind.EXPIRED, order, order.flags, order.leaves, 0, told_expiry(order), told)
        if veiled:
            self.display_changed(order, 0)

    def run_timers(self, steps: i64) -> i64:
        """Expire GTD orders that are due, in order of expiry and number; returns the steps that are left."""
        timers = self.timers
        while steps > 0 and timers:
            key, order = timers.peekitem(0)
            expires: i64 = key[0]
            if expires > self.now:
                break
            self.timer = order
            self.timer_time = expires
            self.expire(order)
            self.timer = None
            self.timer_time = 0
            steps -= 1
        return steps

    def set_dead_man(self, account: Account, fires_at: i64, session: Session | None) -> None:
        """Arm the dead-man timer of an account, from the session that asks for it, or disarm it (0 and None)."""
        if account.fires_at != 0:
            del self.dead_men[account.fires_at, account.number]
        account.fires_at = fires_at
        account.armed_by = session
        if fires_at != 0:
            self.dead_men[fires_at, account.number] = account

    def run_dead_men(self, steps: i64) -> i64:
        """Fire the dead-man timers that are due, in order of time and account; returns the steps that are left.

        While TODOS_MAX mass operations are pending there is no place for what they cancel, and they stay due.
        """
        while steps > 0 and self.dead_men and len(self.todos) < TODOS_MAX:
            key, account = self.dead_men.peekitem(0)
            fires_at: i64 = key[0]
            if fires_at > self.now:
                break
            self.timer_account = account
            self.timer_time = fires_at
            self._fire(account, fires_at)
            self.timer_account = None
            self.timer_time = 0
            steps -= 1
        return steps

    def _fire(self, account: Account, fires_at: i64) -> None:
        session = account.armed_by
        assert session is not None
        self.set_dead_man(account, 0, None)
        self.row(
            EventKind.DEAD_MAN_FIRED, session, 0, 0, account.number, 0, fires_at, 0, 0, 0, 0,
            account.firm.next_drop_copy(), 0,
        )  # fmt: skip
        todo = Todo(CommandKind.ARM_DEAD_MAN, self.sequence, session, self.order_numbers)
        todo.account = account.number
        todo.fires_at = fires_at
        self._take_up(todo)

    def add_todo(self, todo: Todo) -> None:
        """Take up a mass operation behind those that are pending, and begin at once if there are none."""
        self._take_up(todo)
        if len(self.todos) == 1:
            self.run_todos(STEPS_MAX)

    def _take_up(self, todo: Todo) -> None:
        self.todos.append(todo)
        if len(self.todos) == 1:
            self._start(todo)

    def _start(self, todo: Todo) -> None:
        self.todo_account = todo.account
        account = self.account(todo.account)
        self.todo_order = account.oldest if account is not None else None

    def run_todos(self, steps: i64) -> None:
        """Go on with the pending mass operations, oldest first."""
        while steps > 0 and self.todos:
            todo = self.todos[0]
            if todo.fires_at != 0 and todo.sequence == self.sequence:
                # It is not pending yet for whoever comes to this row again: what raises here is the timer's doing.
                self.timer_account = self.account(todo.account)
                self.timer_time = todo.fires_at
            steps = self._advance(todo, steps)
            self.timer_account = None
            self.timer_time = 0
            if steps >= 0 and self._is_done(todo):
                self._finish(todo)

    def _is_done(self, todo: Todo) -> bool:
        order = self.todo_order
        if order is not None and order.number <= todo.last_order:
            return False
        return self._account_after(todo) == 0

    def _account_after(self, todo: Todo) -> i64:
        """The account at which the oldest operation goes on when it is done with one; 0 for none.

        What a session entered that is no operator is of accounts that it was granted: the others are passed over.
        """
        if todo.account != 0:
            return 0
        session = self.session(todo.named) if todo.named != 0 else None
        if session is not None and session.role != Role.OPERATOR:
            return session.account_after(self.todo_account)
        number = self.todo_account + 1
        return number if number < len(self.accounts) else 0

    def _advance(self, todo: Todo, steps: i64) -> i64:
        """Visit orders, then accounts, from the cursor on; returns the steps that are left."""
        while steps > 0:
            order = self.todo_order
            if order is not None and order.number <= todo.last_order:
                self.todo_order = order.newer
                self._visit(todo, order)
            elif self._is_done(todo):
                return steps
            else:
                self.todo_account = self._account_after(todo)
                account = self.account(self.todo_account)
                self.todo_order = account.oldest if account is not None else None
            steps -= 1
        return steps

    def _visit(self, todo: Todo, order: Order) -> None:
        if todo.command == CommandKind.END_OF_DAY:
            if SUM_MAX < order.expires < self.day_mark:
                todo.count += 1
                self.expire(order)
            return
        if todo.instrument not in (0, order.instrument.number):
            return
        if todo.side != 0 and (todo.side == ONLY_BUYS) != (order.side == Side.BUY):
            return
        if todo.named not in (0, order.session.number) or todo.firm not in (0, order.account.firm.number):
            return
        if todo.mode == OnDisconnect.DAY_ORDERS and not _is_of_the_day(order):
            return
        todo.count += 1
        self.cancel(order, _why(todo.command))

    def _finish(self, todo: Todo) -> None:
        if todo.command == CommandKind.MASS_CANCEL and todo.sequence != self.sequence:
            self.mass_canceled(todo, 0)
        self.drop_todo()

    def drop_todo(self) -> None:
        """The oldest pending mass operation is done, or given up; the next one begins."""
        if self.todos:
            del self.todos[0]
        self.todo_account = 0
        self.todo_order = None
        if self.todos:
            self._start(self.todos[0])

    def mass_canceled(self, todo: Todo, flags: i64) -> None:
        """Tell the asking session how many orders were canceled so far."""
        self.row(
            EventKind.MASS_CANCELED, todo.session, flags, todo.instrument, todo.account, todo.command, todo.inbound,
            todo.count, 0, 0, 0, 0, 0,
        )  # fmt: skip


def _is_of_the_day(order: Order) -> bool:
    return order.flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK == TimeInForce.DAY


def _why(command: i64) -> i64:
    """The reason of what a mass operation of this command cancels."""
    if command == CommandKind.MASS_CANCEL:
        return CancelReason.MASS_CANCEL
    if command == CommandKind.KILL:
        return CancelReason.KILLED
    return CancelReason.SESSION_LOST if command == CommandKind.SESSION_LOST else CancelReason.DEAD_MAN

"""Orders leave the book: by expiry, by mass operations that go on over several rows, and for good.

At most STEPS_MAX orders or accounts are visited per row; what is left stays due (`State.due`).
"""

from __future__ import annotations

from mypy_extensions import i64

from core.codes import CancelReason, CommandKind, EventKind, Side
from core.book import Order
from core.kinds import ONLY_BUYS
from core.limits import STEPS_MAX, SUM_MAX
from core.linked import Linked
from core.reports import told_expiry
from core.state import Todo


class Timers(Linked):
    """Expiry, mass cancel and end of day."""

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

    def add_todo(self, todo: Todo) -> None:
        """Take up a mass operation behind those that are pending, and begin at once if there are none."""
        self.todos.append(todo)
        if len(self.todos) == 1:
            self._start(todo)
            self.run_todos(STEPS_MAX)

    def _start(self, todo: Todo) -> None:
        self.todo_account = todo.account
        account = self.account(todo.account)
        self.todo_order = account.oldest if account is not None else None

    def run_todos(self, steps: i64) -> None:
        """Go on with the pending mass operations, oldest first."""
        while steps > 0 and self.todos:
            todo = self.todos[0]
            steps = self._advance(todo, steps)
            if steps >= 0 and self._is_done(todo):
                self._finish(todo)

    def _is_done(self, todo: Todo) -> bool:
        order = self.todo_order
        if order is not None and order.number <= todo.last_order:
            return False
        return todo.account != 0 or self.todo_account + 1 >= len(self.accounts)

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
                self.todo_account += 1
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
        todo.count += 1
        killed = todo.command == CommandKind.KILL
        self.cancel(order, CancelReason.KILLED if killed else CancelReason.MASS_CANCEL)

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

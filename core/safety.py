"""What happens to orders when those who entered them are gone: lost sessions and dead-man timers."""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.cancels import misuses_from_11, unused_from_11
from core.codes import CommandKind, EventKind, OnDisconnect, RejectReason, Role
from core.kinds import C6, C7, C8, C9, C10, FLAGS
from core.limits import DAY_NS, INTERVAL_MIN, SUM_MAX, TODOS_MAX
from core.quotes import Quotes
from core.session import Session
from core.state import Todo


class Safety(Quotes):
    """SessionLost, SetCancelOnDisconnect and ArmDeadMan."""

    __slots__ = ()

    def session_lost(self, row: bytes, at: i64) -> None:
        """A session has no connection any more: cancel what it asked for in that case."""
        named = read_i64_le(row, at + C8)
        connection = read_i64_le(row, at + C9)
        session = self.session(named)
        reason: i64 = 0
        spare = read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C6) | read_i64_le(row, at + C7)
        if spare | read_i64_le(row, at + C10) or misuses_from_11(row, at):
            reason = RejectReason.MALFORMED
        elif session is None or session.number == 0 or not 0 <= connection <= SUM_MAX:
            reason = RejectReason.INVALID_DEFINITION
        elif len(self.todos) >= TODOS_MAX:
            reason = RejectReason.TOO_MANY_PENDING
        if reason != 0 or session is None:
            self.reject(reason, 0, 0, 0)
            return

        # From here on it is lost.
        mode = session.on_disconnect
        self.control(EventKind.SESSION_LOST, 0, 0, named, connection, mode, 0, None)
        if mode != OnDisconnect.NOTHING:
            todo = Todo(CommandKind.SESSION_LOST, self.sequence, self.requester, self.order_numbers)
            todo.named = named
            todo.mode = mode
            self.add_todo(todo)

    def set_cancel_on_disconnect(self, row: bytes, at: i64) -> None:
        """Say what is canceled when a session is lost."""
        named = read_i64_le(row, at + C8)
        mode = read_i64_le(row, at + C9)
        session = self.requester if named == 0 else self.session(named)
        reason: i64 = 0
        spare = read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C6) | read_i64_le(row, at + C7)
        if spare | read_i64_le(row, at + C10) | unused_from_11(row, at):
            reason = RejectReason.MALFORMED
        elif not self._may_set_for(session):
            reason = RejectReason.NOT_PERMITTED
        elif session is None or session.number == 0 or not OnDisconnect.NOTHING <= mode <= OnDisconnect.DAY_ORDERS:
            reason = RejectReason.INVALID_DEFINITION
        if reason != 0 or session is None:
            self.reject(reason, 0, 0, 0)
            return

        # From here on it stands.
        session.on_disconnect = mode
        self.control(EventKind.CANCEL_ON_DISCONNECT_SET, 0, 0, session.number, mode, 0, 0, None)

    def _may_set_for(self, session: Session | None) -> bool:
        """Whether the asking session is an operator or the one itself, and that one may have orders."""
        if self.requester.role != Role.OPERATOR and session is not self.requester:
            return False
        return session is None or not session.only_reads()

    def arm_dead_man(self, row: bytes, at: i64) -> None:
        """Cancel all orders of an account after an interval, unless this is said again; or disarm."""
        number = read_i64_le(row, at + C7)
        interval = read_i64_le(row, at + C8)
        account = self.account(number)
        session = self.requester
        reason: i64 = 0
        spare = read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C6) | read_i64_le(row, at + C9)
        if spare | read_i64_le(row, at + C10) | unused_from_11(row, at):
            reason = RejectReason.MALFORMED
        elif session.role != Role.OPERATOR and (account is None or not session.acts_for(account)):
            reason = RejectReason.NOT_PERMITTED
        elif account is None:
            reason = RejectReason.UNKNOWN_ACCOUNT
        elif interval != 0 and not INTERVAL_MIN <= interval <= DAY_NS:
            reason = RejectReason.INVALID_DEFINITION
        if reason != 0 or account is None:
            self.reject(reason, 0, number, 0)
            return

        # From here on it is armed, or disarmed.
        fires_at: i64 = self.now + interval if interval != 0 else 0
        self.set_dead_man(account, fires_at, session if interval != 0 else None)
        self.control(EventKind.DEAD_MAN_ARMED, 0, number, interval, fires_at, 0, 0, account)

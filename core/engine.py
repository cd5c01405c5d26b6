"""The deterministic engine: applies rows of commands in order and returns rows of events.

`apply` is the whole interface to the hot path. It reads commands where they lie in a sealed batch and never keeps the
batch; it knows no batch structure, so any cutting of the same rows into batches gives the same events and state.
"""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.book import Order
from core.codes import CommandKind, EventKind, RejectReason, Role, TradingState
from core.control import Control
from core.instrument import Instrument
from core.kinds import C6, C7, C8, C9, C10, INBOUND, KIND, ROW_SIZE, SEQUENCE, SESSION, TIME
from core.limits import STEPS_MAX, SUM_MAX
from core.session import Session, content_hash
from core.parts import is_head, is_part


class Engine(Control):
    """A venue. Not to be used after `apply` has raised: rebuild it from a snapshot and the journal."""

    __slots__ = ()

    def apply(self, batch: bytes, begin: i64, end: i64) -> bytes:
        """Apply the command rows from `begin` to `end` (byte offsets) and return the event rows.

        AssertionError if a row is out of order; anything raised means a bug of ours, and the state is lost then.
        """
        self.used = 0
        at = begin
        while at < end:
            self._take(batch, at)
            self._dispatch(batch, at)
            if self.upset:
                self.see_to_aftermath()
            if self.following:
                self._end_row(batch, at)
            at += ROW_SIZE
        return self.event_rows()

    def apply_quarantined(self, batch: bytes, at: i64, quarantine: bytes, quarantine_at: i64) -> bytes:
        """Replace the row at this offset by the halt that its Quarantine row stands for, and return the event rows."""
        self.used = 0
        self._take(batch, at)
        named = read_i64_le(quarantine, quarantine_at + C8)
        if read_i64_le(quarantine, quarantine_at + KIND) != CommandKind.QUARANTINE or named != self.sequence:
            raise AssertionError(f"row {self.sequence} is not the one that its quarantine names")
        self._halt(batch, at, read_i64_le(quarantine, quarantine_at + C9), read_i64_le(quarantine, quarantine_at + C10))
        self.quarantined.append(self.sequence)
        return self.event_rows()

    def _take(self, row: bytes, at: i64) -> None:
        """The row is next: number and time go forward."""
        sequence = read_i64_le(row, at + SEQUENCE)
        time = read_i64_le(row, at + TIME)
        if sequence != self.sequence + 1 or not self.now < time <= SUM_MAX:
            raise AssertionError(f"row {sequence} at {time} does not follow row {self.sequence} at {self.now}")
        self.sequence = sequence
        self.now = time

    def _end_row(self, row: bytes, at: i64) -> None:
        """Waiting and pegged orders follow: of the instrument that an order command names, or of all that are due."""
        kind = self.command
        if self.advanced == self.sequence:
            self.follow_all()
        elif names_order(kind):
            instrument = self.instrument(read_i64_le(row, at + C6))
            if instrument is not None and instrument.stirred:
                self.follow(instrument, STEPS_MAX)

    def _dispatch(self, row: bytes, at: i64) -> None:
        """Check session and inbound number, run the command, remember the answer."""
        if self.staged:
            self.see_to_staged(row, at)
        number = read_i64_le(row, at + SESSION)
        inbound = read_i64_le(row, at + INBOUND)
        sessions = self.sessions
        session = sessions[number] if 0 <= number < len(sessions) else None
        kind = read_i64_le(row, at + KIND)
        self.command = kind
        self.inbound = inbound
        if session is None:
            self._out_of_sequence(RejectReason.UNKNOWN_SESSION, row, at)
            return
        self.requester = session
        if number == 0:
            self._venue_command(kind, row, at)
            return
        if inbound != session.inbound + 1:
            self._repeat(session, row, at)
            return
        before = session.outbound
        self._run(kind, row, at)
        session.remember(content_hash(row, at), before + 1, session.outbound - before)

    def _venue_command(self, kind: i64, row: bytes, at: i64) -> None:
        if self.inbound != 0:
            if not self.control_inbound < self.inbound <= SUM_MAX:
                self._out_of_sequence(RejectReason.INBOUND_TOO_OLD, row, at)
                return
            self.control_inbound = self.inbound
        self._run(kind, row, at)

    def _repeat(self, session: Session, row: bytes, at: i64) -> None:
        """Not the next inbound number: a gap, a repeat, or a conflict; nothing is consumed."""
        inbound = self.inbound
        if inbound > session.inbound:
            self._out_of_sequence(RejectReason.INBOUND_GAP, row, at)
        elif inbound < 1 or not session.remembers(inbound):
            self._out_of_sequence(RejectReason.INBOUND_TOO_OLD, row, at)
        elif session.content(inbound) != content_hash(row, at):
            self._out_of_sequence(RejectReason.INBOUND_CONFLICT, row, at)
        else:
            first = session.first(inbound)
            self.unsequenced(EventKind.REPEATED, session.number, inbound, 0, first, session.count(inbound), 0, 0)
            self.command = 0

    def _out_of_sequence(self, reason: i64, row: bytes, at: i64) -> None:
        kind = self.command
        instrument = read_i64_le(row, at + C6) if names_instrument(kind) else 0
        account = read_i64_le(row, at + C7) if names_account(kind) else 0
        client = read_i64_le(row, at + C8) if names_order(kind) or is_part(kind) else 0
        session = read_i64_le(row, at + SESSION)
        self.unsequenced(EventKind.REJECTED, session, instrument, account, client, kind, self.inbound, reason)
        self.command = 0

    def _run(self, kind: i64, row: bytes, at: i64) -> None:
        if kind == CommandKind.ENTER_ORDER:
            self.enter_order(row, at)
        elif kind == CommandKind.CANCEL_ORDER:
            self.cancel_order(row, at)
        elif kind == CommandKind.REPLACE_ORDER:
            self.replace_order(row, at)
        elif kind == CommandKind.REDUCE_ORDER:
            self.reduce_order(row, at)
        elif kind == CommandKind.MASS_CANCEL:
            self.mass_cancel(row, at)
        elif is_head(kind) or is_part(kind):
            self.stage(kind, row, at)
        elif not is_control(kind):
            self.reject(RejectReason.MALFORMED, 0, 0, 0)
        elif self.requester.role != Role.OPERATOR:
            self.reject(RejectReason.NOT_AN_OPERATOR, 0, 0, 0)
        else:
            self._control(kind, row, at)

    def _control(self, kind: i64, row: bytes, at: i64) -> None:
        if kind == CommandKind.DEFINE_CURRENCY:
            self.define_currency(row, at)
        elif kind == CommandKind.DEFINE_INSTRUMENT:
            self.define_instrument(row, at)
        elif kind == CommandKind.OPEN_ACCOUNT:
            self.open_account(row, at)
        elif kind == CommandKind.DEPOSIT:
            self.deposit(row, at)
        elif kind == CommandKind.WITHDRAW:
            self.withdraw(row, at)
        elif kind == CommandKind.GRANT_SESSION:
            self.grant_session(row, at)
        elif kind == CommandKind.SET_TRADING_STATE:
            self.set_trading_state(row, at)
        elif kind == CommandKind.ADVANCE_TIME:
            self.advance_time(row, at)
        elif kind == CommandKind.END_OF_DAY:
            self.end_of_day(row, at)
        elif kind == CommandKind.UPGRADE:
            self.upgrade(row, at)
        elif kind == CommandKind.QUARANTINE:
            self.quarantine(row, at)
        elif kind == CommandKind.SET_CREDENTIAL:
            self.set_credential(row, at)
        elif kind == CommandKind.PROMOTE:
            self.promote(row, at)
        elif kind == CommandKind.ACCEPT_CLOCK:
            self.accept_clock(row, at)
        elif kind == CommandKind.KILL:
            self.kill(row, at)
        elif kind == CommandKind.SET_ALLOCATION:
            self.set_allocation(row, at)
        elif kind == CommandKind.SET_FEE_SCHEDULE:
            self.set_fee_schedule(row, at)
        elif kind == CommandKind.SET_ACCOUNT:
            self.set_account(row, at)
        elif kind == CommandKind.SET_LIMIT:
            self.set_limit(row, at)
        else:
            self.set_rules(row, at)

    def _halt(self, row: bytes, at: i64, timer_time: i64, timer_order: i64) -> None:
        """What a quarantined row does: consume its inbound number, answer, and halt what it names."""
        if self.staged:
            self.see_to_staged(row, at)
        self.command = read_i64_le(row, at + KIND)
        self.inbound = read_i64_le(row, at + INBOUND)
        instrument = read_i64_le(row, at + C6) if names_instrument(self.command) else 0
        account = read_i64_le(row, at + C7) if names_account(self.command) else 0
        staged = self.staged
        if staged:
            self.staged = []
            self.command = read_i64_le(staged[0], KIND)
            account = read_i64_le(staged[0], C7)
            instrument = 0
        session = self.session(read_i64_le(row, at + SESSION))
        if session is not None and session.number != 0 and self.inbound == session.inbound + 1:
            self.requester = session
            before = session.outbound
            client = read_i64_le(row, at + C8) if names_order(self.command) or is_part(self.command) else 0
            self.reject(RejectReason.QUARANTINED, instrument, account, client)
            session.remember(content_hash(row, at), before + 1, session.outbound - before)
        elif session is self.venue and self.control_inbound < self.inbound <= SUM_MAX:
            self.control_inbound = self.inbound
        if self.command == CommandKind.ADVANCE_TIME:
            instrument = self._drop_timer(timer_time, timer_order)
            account = 0
        elif staged:
            instrument = -timer_time
        if self.instrument(instrument) is None:
            instrument = 0
        if instrument != 0 or self.account(account) is None:
            account = 0
        named = instrument | account
        self.row(EventKind.QUARANTINED, None, 0, instrument, account, self.command, 0, 0, timer_order, 0, 0, 0, 0)
        if named != 0:
            self.change_state(None, instrument, account, TradingState.HALTED)
        elif self.state == TradingState.OPEN:
            self.change_state(None, 0, 0, TradingState.CANCEL_ONLY)

    def _drop_timer(self, timer_time: i64, timer_order: i64) -> i64:
        """Drop what raised: the timer, what made an instrument follow, or else the first pending mass operation.

        Returns the instrument to halt, or 0.
        """
        followed = self.instrument(-timer_time)
        if followed is not None:
            self._drop_following(followed)
            return -timer_time
        self.dropped += 1
        order = self.timers.get((timer_time, timer_order))
        if order is not None:
            self.stop_timer(order)
            number: i64 = order.instrument.number
            return number
        self.drop_todo()
        return 0

    def _drop_following(self, instrument: Instrument) -> None:
        """The instrument is due no more; where nothing but this row made it so, what would do it again is dropped.

        Otherwise every AdvanceTime row would raise as this one did: its timers run, or its mass operation goes on, before
        the instrument follows.
        """
        if instrument.stirred:
            instrument.stirred = False
            self.following.remove(instrument)
            return
        due: list[Order] = []
        at: i64 = 0
        while at < len(self.timers):
            order = self.timers.peekitem(at)[1]
            if order.expires > self.now:
                break
            if order.instrument is instrument:
                due.append(order)
            at += 1
        self.dropped += 1
        for order in due:
            self.stop_timer(order)
        if not due:
            self.drop_todo()


def is_control(kind: i64) -> bool:
    """Whether this is a kind of command for session 0 and operators alone."""
    if CommandKind.DEFINE_CURRENCY <= kind <= CommandKind.QUARANTINE:
        return True
    if CommandKind.KILL <= kind <= CommandKind.SET_LIMIT:
        return True
    return kind in (CommandKind.SET_FEE_SCHEDULE, CommandKind.SET_ALLOCATION, CommandKind.SET_RULES)


def names_instrument(kind: i64) -> bool:
    """Whether column 6 of this kind of command is an instrument."""
    if kind in (
        CommandKind.DEFINE_INSTRUMENT, CommandKind.SET_TRADING_STATE, CommandKind.SET_LIMIT, CommandKind.SET_RULES,
        CommandKind.SET_ALLOCATION, CommandKind.DETAIL, CommandKind.QUOTE_DETAIL,
    ):  # fmt: skip
        return True
    return CommandKind.ENTER_ORDER <= kind <= CommandKind.MASS_CANCEL


def names_account(kind: i64) -> bool:
    """Whether column 7 of this kind of command is an account."""
    if CommandKind.OPEN_ACCOUNT <= kind <= CommandKind.SET_TRADING_STATE:
        return True
    if kind in (CommandKind.KILL, CommandKind.SET_ACCOUNT, CommandKind.SET_LIMIT):
        return True
    return CommandKind.ENTER_ORDER <= kind <= CommandKind.LINK_ORDERS or is_part(kind)


def names_order(kind: i64) -> bool:
    """Whether column 8 of this kind of command is a client order id."""
    return CommandKind.ENTER_ORDER <= kind <= CommandKind.CANCEL_ORDER

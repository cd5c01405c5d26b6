"""The venue's own acts: money, states, the clock, the day, upgrades, quarantines and promotions."""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.cancels import misuses_from_11, unused_from_11
from core.codes import CommandKind, EventKind, RejectReason, TradingState
from core.kinds import C6, C7, C8, C9, C10, FEE_PERIOD, FLAGS
from core.limits import DAY_BASE, STEPS_MAX, SUM_MAX, TODOS_MAX
from core.session import Session
from core.state import Todo, fits
from core.venue_rules import VenueRules


class Control(VenueRules):
    """Deposit, Withdraw, SetTradingState, AdvanceTime, EndOfDay, Upgrade, Quarantine, Promote and AcceptClock."""

    __slots__ = ()

    def deposit(self, row: bytes, at: i64) -> None:
        """Credit an account from outside the venue."""
        self._move(row, at, 1)

    def withdraw(self, row: bytes, at: i64) -> None:
        """Debit what is neither reserved nor spent."""
        self._move(row, at, -1)

    def _move(self, row: bytes, at: i64, sign: i64) -> None:
        number = read_i64_le(row, at + C7)
        amount = read_i64_le(row, at + C9)
        account = self.account(number)
        currency = self.currency(read_i64_le(row, at + C8))
        reason: i64 = 0
        spare = read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C6) | read_i64_le(row, at + C10)
        if spare != 0 or misuses_from_11(row, at):
            reason = RejectReason.MALFORMED
        elif currency is None:
            reason = RejectReason.UNKNOWN_CURRENCY
        elif account is None:
            reason = RejectReason.UNKNOWN_ACCOUNT
        elif not 1 <= amount <= SUM_MAX:
            reason = RejectReason.INVALID_AMOUNT
        elif not fits(currency.deposited if sign > 0 else currency.withdrawn, amount):
            reason = RejectReason.SUM_AT_BOUND
        elif sign < 0 and amount > account.balance(currency).free():
            reason = RejectReason.INSUFFICIENT_FUNDS
        if reason != 0 or account is None or currency is None:
            self.reject(reason, 0, number, 0)
            return

        # From here on the money has moved.
        balance = account.balance(currency)
        balance.total += sign * amount
        if sign > 0:
            currency.deposited += amount
        else:
            currency.withdrawn += amount
        self.control(
            EventKind.BALANCE_CHANGED,
            0,
            number,
            currency.number,
            sign * amount,
            balance.total,
            balance.reserved,
            account,
        )

    def set_trading_state(self, row: bytes, at: i64) -> None:
        """Open, restrict to cancels, or halt: an instrument, an account, or the venue."""
        instrument = read_i64_le(row, at + C6)
        account = read_i64_le(row, at + C7)
        state = read_i64_le(row, at + C8)
        reason: i64 = 0
        spare = read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C9) | read_i64_le(row, at + C10)
        if spare != 0 or misuses_from_11(row, at):
            reason = RejectReason.MALFORMED
        elif instrument != 0 and self.instrument(instrument) is None:
            reason = RejectReason.UNKNOWN_INSTRUMENT
        elif account != 0 and self.account(account) is None:
            reason = RejectReason.UNKNOWN_ACCOUNT
        elif (instrument != 0 and account != 0) or not TradingState.OPEN <= state <= TradingState.HALTED:
            reason = RejectReason.INVALID_DEFINITION
        if reason != 0:
            self.reject(reason, instrument, account, 0)
            return
        self.change_state(self.requester, instrument, account, state)

    def change_state(self, told: Session | None, instrument: i64, account: i64, state: i64) -> None:
        """Set the trading state of what is named, or of the venue where neither is, and tell."""
        market_data: i64 = 0
        drop_copy: i64 = 0
        named = self.instrument(instrument)
        owner = self.account(account)
        if named is not None:
            named.state = state
            if state == TradingState.OPEN and named.watch != 0:
                self.stir(named)
            market_data = named.next_market_data()
        elif owner is not None:
            owner.state = state
            drop_copy = owner.firm.next_drop_copy()
        else:
            self.state = state
            if state == TradingState.OPEN:
                self._stir_all()
        self.row(
            EventKind.TRADING_STATE_CHANGED, told, 0, instrument, account, state, 0, 0, 0, 0, 0, drop_copy, market_data
        )

    def _stir_all(self) -> None:
        """What waited for the venue to open may have to follow."""
        for instrument in self.instruments:
            if instrument is not None and instrument.watch != 0:
                self.stir(instrument)

    def advance_time(self, row: bytes, at: i64) -> None:
        """Run what is due."""
        if unused_from_6(row, at):
            self.reject(RejectReason.MALFORMED, 0, 0, 0)
            return
        self.advanced = self.sequence
        self.run_todos(self.run_dead_men(self.run_timers(STEPS_MAX)))

    def end_of_day(self, row: bytes, at: i64) -> None:
        """End the trading day."""
        day = read_i64_le(row, at + C8)
        reason: i64 = 0
        flags = read_i64_le(row, at + FLAGS)
        if flags & ~FEE_PERIOD or misuses_but_8_and_flags(row, at):
            reason = RejectReason.MALFORMED
        elif not self.day < day <= 99_999_999:
            reason = RejectReason.INVALID_DAY
        elif len(self.todos) >= TODOS_MAX:
            reason = RejectReason.TOO_MANY_PENDING
        if reason != 0:
            self.reject(reason, 0, 0, 0)
            return

        # From here on the day is over.
        self.day = day
        self.days += 1
        self.day_mark = DAY_BASE + self.days
        if flags & FEE_PERIOD:
            for schedule in self.fee_schedules:
                if schedule is not None:
                    schedule.period += 1
        self.row(EventKind.DAY_ENDED, self.requester, flags, 0, 0, day, 0, 0, 0, 0, 0, 0, 0)
        self.add_todo(Todo(CommandKind.END_OF_DAY, self.sequence, self.requester, self.order_numbers))

    def upgrade(self, row: bytes, at: i64) -> None:
        """Name the semantics version of the next segment."""
        version = read_i64_le(row, at + C8)
        reason: i64 = 0
        if unused_but_8(row, at):
            reason = RejectReason.MALFORMED
        elif not self.next_semantics <= version <= 65_535:
            reason = RejectReason.INVALID_VERSION
        if reason != 0:
            self.reject(reason, 0, 0, 0)
            return
        self.next_semantics = version
        self.control(EventKind.UPGRADED, 0, 0, version, 0, 0, 0, None)

    def quarantine(self, row: bytes, at: i64) -> None:
        """The row that this one names was replaced already, when it was applied; otherwise refuse."""
        spare = read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C6) | read_i64_le(row, at + C7)
        if spare | unused_from_11(row, at):
            self.reject(RejectReason.MALFORMED, 0, 0, 0)
        elif read_i64_le(row, at + C8) not in self.quarantined:
            self.reject(RejectReason.INVALID_QUARANTINE, 0, 0, 0)
        else:
            self.quarantined.remove(read_i64_le(row, at + C8))

    def promote(self, row: bytes, at: i64) -> None:
        """Raise the epoch. It comes from the node that becomes the writer, and from no session."""
        epoch = read_i64_le(row, at + C8)
        reason: i64 = 0
        if unused_but_8(row, at):
            reason = RejectReason.MALFORMED
        elif self.requester.number != 0:
            reason = RejectReason.NOT_PERMITTED
        elif not self.epoch < epoch <= SUM_MAX:
            reason = RejectReason.INVALID_EPOCH
        if reason != 0:
            self.reject(reason, 0, 0, 0)
            return
        self.epoch = epoch
        self.control(EventKind.PROMOTED, 0, 0, epoch, 0, 0, 0, None)

    def accept_clock(self, row: bytes, at: i64) -> None:
        """Tell that the machine's clock is to be followed again: the node does that, the engine goes by its rows."""
        clock = read_i64_le(row, at + C8)
        if misuses_but_8(row, at):
            self.reject(RejectReason.MALFORMED, 0, 0, 0)
        elif not 1 <= clock <= SUM_MAX:
            self.reject(RejectReason.INVALID_CLOCK, 0, 0, 0)
        else:
            self.control(EventKind.CLOCK_ACCEPTED, 0, 0, clock, 0, 0, 0, None)


def unused_but_8(row: bytes, at: i64) -> i64:
    """Not 0 if a command that has column 8 alone uses another."""
    spare = read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C6) | read_i64_le(row, at + C7)
    return spare | read_i64_le(row, at + C9) | read_i64_le(row, at + C10) | unused_from_11(row, at)


def misuses_but_8(row: bytes, at: i64) -> bool:
    """Whether a command that has column 8 and a reason uses another column, or gives a reason that is no text."""
    return read_i64_le(row, at + FLAGS) != 0 or misuses_but_8_and_flags(row, at)


def misuses_but_8_and_flags(row: bytes, at: i64) -> bool:
    """The same for a command that has flags as well."""
    spare = read_i64_le(row, at + C6) | read_i64_le(row, at + C7)
    return spare | read_i64_le(row, at + C9) | read_i64_le(row, at + C10) != 0 or misuses_from_11(row, at)


def unused_from_6(row: bytes, at: i64) -> i64:
    """Not 0 if a command without columns uses one."""
    return unused_but_8(row, at) | read_i64_le(row, at + C8)

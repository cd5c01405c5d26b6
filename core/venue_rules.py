"""What operators say of accounts, instruments and those whose orders are limited: SetAccount, SetRules, SetLimit, Kill."""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.cancels import misuses_from_11
from core.codes import AccountStanding, CommandKind, EventKind, KillAct, Prevention, RejectReason, Step
from core.codes import Limit as Kind
from core.access import Access
from core.definitions import are_rates
from core.fees import FeeSchedule
from core.holder import KILLED, LIMITED, STANDING, Holder, Limit
from core.instrument import Instrument, Rules
from core.kinds import (
    C10,
    C11,
    C12,
    C13,
    C14,
    C6,
    C7,
    C8,
    C9,
    EXPOSURES,
    FLAGS,
    LEAD_MASK,
    LEAD_SHIFT,
    LOTS_MASK,
    LOTS_SHIFT,
    MARKET_RESTS,
    ROW_SIZE,
    SHARE_MASK,
    SHARE_SHIFT,
    STEP_MASK,
)
from core.limits import (
    FEE_SCALE,
    GROUP_MAX,
    PRICE_MAX,
    QUANTITY_MAX,
    RATE_MAX,
    SCHEDULE_NUMBER_MAX,
    SUM_MAX,
    TIERS_MAX,
    TODOS_MAX,
)
from core.state import Todo, put
from core.text import is_text


class VenueRules(Access):
    """Standing, rules, limits and kill switches."""

    __slots__ = ()

    def set_fee_schedule(self, row: bytes, at: i64) -> None:
        """Set a tier of a fee schedule for orders entered from now on."""
        number = read_i64_le(row, at + C8)
        tier = read_i64_le(row, at + C9)
        volume = read_i64_le(row, at + C10)
        fee_rates = read_i64_le(row, at + C11)
        schedule = self.fee_schedule(number)
        reason: i64 = 0
        spare = read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C6) | read_i64_le(row, at + C7)
        if spare | read_i64_le(row, at + C12) | read_i64_le(row, at + C13) or not is_text(row, at + C14, at + ROW_SIZE):
            reason = RejectReason.MALFORMED
        elif (
            not 1 <= number <= SCHEDULE_NUMBER_MAX
            or not 0 <= tier <= TIERS_MAX
            or not 0 <= volume <= SUM_MAX
            or not are_rates(fee_rates)
            or not (tier | volume == 0 if schedule is None else schedule.fits(tier, volume))
        ):
            reason = RejectReason.INVALID_DEFINITION
        if reason != 0:
            self.reject(reason, 0, 0, 0)
            return

        # From here on it stands.
        if schedule is None:
            schedule = FeeSchedule(number)
            put(self.fee_schedules, number, schedule)
        schedule.put(tier, volume, fee_rates)
        self.control(EventKind.FEE_SCHEDULE_SET, 0, 0, number, tier, volume, fee_rates, None)

    def set_account(self, row: bytes, at: i64) -> None:
        """Say what an account may enter, its group, and the prevention of its orders."""
        number = read_i64_le(row, at + C7)
        standing = read_i64_le(row, at + C8)
        group = read_i64_le(row, at + C9)
        prevention = read_i64_le(row, at + C10)
        account = self.account(number)
        reason: i64 = 0
        if read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C6) or misuses_from_11(row, at):
            reason = RejectReason.MALFORMED
        elif account is None:
            reason = RejectReason.UNKNOWN_ACCOUNT
        elif (
            not AccountStanding.ACTIVE <= standing <= AccountStanding.SUSPENDED
            or not 0 <= group <= GROUP_MAX
            or not Prevention.NONE <= prevention <= Prevention.ALLOW
        ):
            reason = RejectReason.INVALID_DEFINITION
        if reason != 0 or account is None:
            self.reject(reason, 0, number, 0)
            return

        # From here on it stands.
        account.standing = standing
        account.group = group
        account.prevention = prevention
        prevents = prevention != Prevention.NONE and prevention != Prevention.ALLOW
        account.guard(STANDING, prevents or standing != AccountStanding.ACTIVE)
        self.control(EventKind.ACCOUNT_SET, 0, number, standing, group, prevention, 0, account)

    def set_rules(self, row: bytes, at: i64) -> None:
        """Set the rules of an instrument for orders entered from now on."""
        number = read_i64_le(row, at + C6)
        flags = read_i64_le(row, at + FLAGS)
        instrument = self.instrument(number)
        rules = rules_of(row, at)
        reason: i64 = 0
        schedule = read_i64_le(row, at + C13)
        rules.schedule = self.fee_schedule(schedule)
        if (
            flags & ~(EXPOSURES | MARKET_RESTS) or read_i64_le(row, at + C7) != 0
            or not is_text(row, at + C14, at + ROW_SIZE)
        ):  # fmt: skip
            reason = RejectReason.MALFORMED
        elif instrument is None:
            reason = RejectReason.UNKNOWN_INSTRUMENT
        elif (
            (schedule != 0 and rules.schedule is None)
            or not is_valid(rules)
            or loosens(instrument.rules, rules)
            or self._counts_too_late(instrument, rules)
        ):
            reason = RejectReason.INVALID_DEFINITION
        if reason != 0 or instrument is None:
            self.reject(reason, number, 0, 0)
            return

        # From here on they stand.
        if instrument.rules is None:
            instrument.special += 1
        instrument.rules = rules
        self.row(
            EventKind.RULES_SET, self.requester, flags, number, 0, rules.protection, rules.collar, rules.quantity_min,
            rules.notional_min, rules.notional_max, schedule, 0, 0,
        )  # fmt: skip

    def set_allocation(self, row: bytes, at: i64) -> None:
        """Set how the orders of a price level share an incoming order."""
        number = read_i64_le(row, at + C6)
        instrument = self.instrument(number)
        steps = [read_i64_le(row, at + column) for column in range(C8, C14, 8)]
        reason: i64 = 0
        if read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C7) or not is_text(row, at + C14, at + ROW_SIZE):
            reason = RejectReason.MALFORMED
        elif instrument is None:
            reason = RejectReason.UNKNOWN_INSTRUMENT
        elif not self._are_steps(steps):
            reason = RejectReason.INVALID_DEFINITION
        if reason != 0 or instrument is None:
            self.reject(reason, number, 0, 0)
            return

        # From here on they stand.
        used: list[int] = [step for step in steps if step != 0]
        if bool(used) != bool(instrument.steps):
            instrument.special += 1 if used else -1
        instrument.steps = used
        if not used:
            instrument.bids.top = None
            instrument.asks.top = None
        self.row(
            EventKind.ALLOCATION_SET, self.requester, 0, number, 0, steps[0], steps[1], steps[2], steps[3], steps[4],
            steps[5], 0, 0,
        )  # fmt: skip

    def _are_steps(self, steps: list[int]) -> bool:
        """Whether every step says what it takes and nothing else, and none stands behind an unused one."""
        ended = False
        for step in steps:
            if step == 0:
                ended = True
            elif ended or not self._is_step(step):
                return False
        return True

    def _is_step(self, step: i64) -> bool:
        kind = step & STEP_MASK
        share = step >> SHARE_SHIFT & SHARE_MASK
        account = step >> LEAD_SHIFT & LEAD_MASK
        lots = step >> LOTS_SHIFT & LOTS_MASK
        if step < 0 or share > FEE_SCALE:
            return False
        if kind == Step.TOP:
            return share == 0 and account == 0
        if kind == Step.LEAD:
            return share != 0 and self.account(account) is not None and lots == 0
        if kind == Step.PRO_RATA:
            return share != 0 and account == 0
        return kind == Step.LARGEST and step == kind

    def _counts_too_late(self, instrument: Instrument, rules: Rules) -> bool:
        """Whether exposures would begin, or end, while orders of the instrument live."""
        counts = instrument.rules is not None and instrument.rules.exposures
        return counts != rules.exposures and (counts or self.has_orders(instrument))

    def has_orders(self, instrument: Instrument) -> bool:
        """Whether any order of the instrument lives."""
        standing = instrument.bids.total + instrument.asks.total
        return standing + instrument.hidden_bids.total + instrument.hidden_asks.total != 0 or instrument.watch != 0

    def set_limit(self, row: bytes, at: i64) -> None:
        """Set a limit of one account, session or firm."""
        instrument = read_i64_le(row, at + C6)
        account = read_i64_le(row, at + C7)
        kind = read_i64_le(row, at + C10)
        value = read_i64_le(row, at + C11)
        second = read_i64_le(row, at + C12)
        until = read_i64_le(row, at + C13)
        reason = self._refuse_limit(row, at)
        holder = self._holder(account, read_i64_le(row, at + C8), read_i64_le(row, at + C9))
        if reason == 0 and until != 0 and not self.now < until <= SUM_MAX:
            reason = RejectReason.INVALID_EXPIRY
        if reason == 0 and (holder is None or not self._may_be_set(holder, kind, instrument, value, second, until)):
            reason = RejectReason.INVALID_DEFINITION
        if reason != 0 or holder is None:
            self.reject(reason, instrument, account, 0)
            return

        # From here on it is in force.
        limit = holder.limit(kind, instrument)
        if limit is None:
            limit = Limit(kind, instrument)
            limit.days = self.days
            holder.limits[kind, instrument] = limit
            holder.guard(LIMITED, True)
            if kind == Kind.ORDER_TO_TRADE:
                self.ratios += 1
        limit.until = until
        if until != 0:
            limit.value_until = value
            limit.second_until = second
        else:
            limit.value = value
            limit.second = second
            limit.value_until = 0
            limit.second_until = 0
        named = read_i64_le(row, at + C8)
        firm = read_i64_le(row, at + C9)
        self.row(
            EventKind.LIMIT_SET, self.requester, 0, instrument, account, named, firm, kind, value, second, until,
            self._copy_to(account, firm), 0,
        )  # fmt: skip

    def _refuse_limit(self, row: bytes, at: i64) -> i64:
        if read_i64_le(row, at + FLAGS) != 0 or not is_text(row, at + C14, at + ROW_SIZE):
            return RejectReason.MALFORMED
        instrument = read_i64_le(row, at + C6)
        account = read_i64_le(row, at + C7)
        if instrument != 0 and self.instrument(instrument) is None:
            return RejectReason.UNKNOWN_INSTRUMENT
        return RejectReason.UNKNOWN_ACCOUNT if account != 0 and self.account(account) is None else 0

    def _holder(self, account: i64, named: i64, firm: i64) -> Holder | None:
        """The one of account, session and firm that is named; None for none, several, or one that does not exist."""
        if (account != 0) + (named != 0) + (firm != 0) != 1:
            return None
        if account != 0:
            return self.account(account)
        return self.session(named) if named != 0 else self.firm(firm)

    def _may_be_set(self, holder: Holder, kind: i64, instrument: i64, value: i64, second: i64, until: i64) -> bool:
        """Whether kind, instrument and values go together, and a limit for a time finds one that holds after it."""
        if not Kind.ORDER_QUANTITY <= kind <= Kind.ORDER_TO_TRADE:
            return False
        if until != 0:
            known = holder.limit(kind, instrument)
            if known is None:
                return False
        if not 1 <= value <= _MOST[kind] or not _SECOND_LEAST[kind] <= second <= _SECOND_MOST[kind]:
            return False
        if kind == Kind.ORDER_QUANTITY:
            return True
        if kind == Kind.ORDER_NOTIONAL:
            return instrument != 0
        if kind == Kind.OPEN_NOTIONAL or kind == Kind.POSITION:
            named = self.instrument(instrument)
            return named is not None and named.rules is not None and named.rules.exposures
        return instrument == 0

    def _copy_to(self, account: i64, firm: i64) -> i64:
        """The next drop copy number of the firm that is named, or whose account is; 0 for none."""
        owner = self.account(account)
        named = self.firm(firm)
        if owner is not None:
            return owner.firm.next_drop_copy()
        return named.next_drop_copy() if named is not None else 0

    def kill(self, row: bytes, at: i64) -> None:
        """Throw the kill switch of an account, a session, a firm or the venue, or throw it back."""
        account = read_i64_le(row, at + C7)
        named = read_i64_le(row, at + C8)
        firm = read_i64_le(row, at + C9)
        act = read_i64_le(row, at + C10)
        holder = self._holder(account, named, firm)
        reason: i64 = 0
        if read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C6) or misuses_from_11(row, at):
            reason = RejectReason.MALFORMED
        elif account != 0 and self.account(account) is None:
            reason = RejectReason.UNKNOWN_ACCOUNT
        elif (holder is None and account | named | firm != 0) or not KillAct.KILL <= act <= KillAct.REVIVE:
            reason = RejectReason.INVALID_DEFINITION
        elif act == KillAct.KILL and len(self.todos) >= TODOS_MAX:
            reason = RejectReason.TOO_MANY_PENDING
        if reason != 0:
            self.reject(reason, 0, account, 0)
            return

        # From here on it is thrown.
        if holder is not None:
            holder.guard(KILLED, act == KillAct.KILL)
        else:
            self.killed = act == KillAct.KILL
        self.row(
            EventKind.KILLED, self.requester, 0, 0, account, named, firm, act, 0, 0, 0, self._copy_to(account, firm), 0
        )
        if act == KillAct.KILL:
            todo = Todo(CommandKind.KILL, self.sequence, self.requester, self.order_numbers)
            todo.account = account
            todo.named = named
            todo.firm = firm
            self.add_todo(todo)


_MOST: tuple[int, ...] = (0, QUANTITY_MAX, SUM_MAX, RATE_MAX, SUM_MAX, QUANTITY_MAX, RATE_MAX, RATE_MAX, RATE_MAX)
_SECOND_LEAST: tuple[int, ...] = (0, 0, 0, 0, 0, 0, 1, 1, 0)
_SECOND_MOST: tuple[int, ...] = (0, 0, 0, 0, 0, 0, RATE_MAX, RATE_MAX, RATE_MAX)
"""Bounds of the values of each limit, by its number; docs/commands.md (SetLimit) prints the same table."""


def rules_of(row: bytes, at: i64) -> Rules:
    """The rules as a SetRules row gives them."""
    rules = Rules()
    rules.flags = read_i64_le(row, at + FLAGS)
    rules.exposures = rules.flags & EXPOSURES != 0
    rules.protection = read_i64_le(row, at + C8)
    rules.collar = read_i64_le(row, at + C9)
    rules.quantity_min = read_i64_le(row, at + C10)
    rules.notional_min = read_i64_le(row, at + C11)
    rules.notional_max = read_i64_le(row, at + C12)
    return rules


def is_valid(rules: Rules) -> bool:
    """Whether every rule is in its range, and a rest that stands has a protection that prices it."""
    return (
        0 <= rules.protection <= PRICE_MAX
        and 0 <= rules.collar <= FEE_SCALE
        and 0 <= rules.quantity_min <= QUANTITY_MAX
        and 0 <= rules.notional_min <= SUM_MAX
        and 0 <= rules.notional_max <= SUM_MAX
        and (rules.flags & MARKET_RESTS == 0 or rules.protection != 0)
    )


def loosens(old: Rules | None, new: Rules) -> bool:
    """Whether a protection, a collar or a bound that was set would be taken away."""
    return old is not None and (
        (old.protection != 0 and new.protection == 0)
        or (old.collar != 0 and new.collar == 0)
        or (old.quantity_min != 0 and new.quantity_min == 0)
        or (old.notional_min != 0 and new.notional_min == 0)
        or (old.notional_max != 0 and new.notional_max == 0)
    )

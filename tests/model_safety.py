"""The naive venue's care for orders whose owners are gone, and for quotes: docs/commands.md from SessionLost to ResetProtection.

An account and an instrument together are a *place*. `dead_men` has when the timer of an account fires, and who armed it.
"""

from dataclasses import dataclass

from core import messages as m
from core.kinds import QUOTE, OnDisconnect, ProtectionLimit
from core.kinds import TimeInForce as Tif
from core.limits import QUANTITY_MAX, SUM_MAX, TODOS_MAX
from core.reasons import CancelReason
from core.reasons import RejectReason as R
from tests.model_parts import Parts

DAY = 86_400 * 10**9


@dataclass
class Protection:
    """Window and limits, and what the window that runs (`began` is its first match's time) has counted."""

    window: int = 0
    quantity: int = 0
    count: int = 0
    delta: int = 0
    began: int | None = None
    lots: int = 0
    matches: int = 0
    net: int = 0

    def end_window(self):
        self.began, self.lots, self.matches, self.net = None, 0, 0, 0

    def reached(self):
        """The first limit that is reached, or None."""
        sums = ((self.quantity, self.lots), (self.count, self.matches), (self.delta, abs(self.net)))
        return next((which for which, (most, has) in zip(ProtectionLimit, sums, strict=True) if 0 < most <= has), None)


class Safety(Parts):
    """Lost sessions, dead-man timers and protections."""

    def __init__(self):
        super().__init__()
        self.modes, self.dead_men = {}, {}
        self.protections, self.frozen, self.reached = {}, set(), []

    def refuse(self, c):
        """Whoever sends SetCancelOnDisconnect names no account."""
        if c.of is m.SetCancelOnDisconnect:
            return R.MALFORMED if c.spare else None
        return super().refuse(c)

    # ---- lost sessions

    def session_lost(self, c):
        if c.named not in self.sessions or not 0 <= c.connection <= SUM_MAX:
            return R.INVALID_DEFINITION
        if len(self.operations) >= TODOS_MAX:
            return R.TOO_MANY_PENDING
        c.mode, c.firm = self.modes.get(c.named, OnDisconnect.NOTHING), 0
        columns = {"flags": 0, "named": c.named, "connection": c.connection, "mode": c.mode}
        self.tell(m.SessionWasLost, c.session, **columns)
        if c.mode != OnDisconnect.NOTHING:
            self.begin_operation(c)
        return None

    def set_cancel_on_disconnect(self, c):
        named = c.named or c.session
        known = self.sessions.get(named)
        if (not self.trusted and named != c.session) or (known and known.reads):
            return R.NOT_PERMITTED
        if known is None or c.mode not in list(OnDisconnect):
            return R.INVALID_DEFINITION
        self.modes[named] = c.mode
        return self.tell(m.CancelOnDisconnectSet, c.session, flags=0, named=named, mode=c.mode)

    def is_lost(self, c, order):
        """Whether the mode of a lost session means the order."""
        return c.of is not m.SessionLost or c.mode == OnDisconnect.ALL or order.tif == Tif.DAY

    # ---- dead-man timers

    def arm_dead_man(self, c):
        if c.account not in self.accounts:
            return R.UNKNOWN_ACCOUNT
        if c.interval and not 10**6 <= c.interval <= DAY:
            return R.INVALID_DEFINITION
        self.dead_men.pop(c.account, None)
        fires_at = self.now + c.interval if c.interval else 0
        if fires_at:
            self.dead_men[c.account] = (fires_at, c.session)
        columns = {"flags": 0, "account": c.account, "interval": c.interval, "fires_at": fires_at}
        return self.tell(m.DeadManArmed, c.session, copy=c.account, **columns)

    def first_due(self):
        """The account whose dead-man timer is the next to fire, if one is due."""
        due = [(fires_at, account) for account, (fires_at, _) in self.dead_men.items() if fires_at <= self.now]
        return min(due)[1] if due else None

    def fire(self, account):
        fires_at, session = self.dead_men.pop(account)
        self.tell(m.DeadManFired, session, copy=account, flags=0, account=account, fires_at=fires_at)

    def drop_pending(self):
        """A quarantine drops the first mass operation, or the first dead-man timer that is due."""
        if self.operations:
            self.operations = self.operations[1:]
        elif (account := self.first_due()) is not None:
            del self.dead_men[account]

    # ---- quotes

    def protection(self, c):
        return self.protections.setdefault((c.account, c.instrument), Protection())

    def refuse_protection(self, c):
        if c.instrument not in self.instruments:
            return R.UNKNOWN_INSTRUMENT
        return None if c.account in self.accounts else R.UNKNOWN_ACCOUNT

    def set_protection(self, c):
        limits = (c.quantity, c.count, c.delta)
        if reason := self.refuse_protection(c):
            return reason
        in_range = all(0 <= v <= most for v, most in zip(limits, (QUANTITY_MAX, 10**6, QUANTITY_MAX), strict=True))
        if not in_range or not 0 <= c.window <= DAY or bool(c.window) != any(limits):
            return R.INVALID_DEFINITION
        self.protections[c.account, c.instrument] = Protection(c.window, *limits)
        return self.tell_protection(c)

    def reset_protection(self, c):
        if reason := self.refuse_protection(c):
            return reason
        self.frozen.discard((c.account, c.instrument))
        self.protection(c).end_window()
        return self.tell_protection(c)

    def tell_protection(self, c):
        p = self.protection(c)
        columns = {name: getattr(p, name) for name in ("window", "quantity", "count", "delta")}
        columns |= {"instrument": c.instrument, "account": c.account, "flags": 0}
        columns["frozen"] = int((c.account, c.instrument) in self.frozen)
        self.tell(m.ProtectionSet, c.session, copy=c.account, **columns)

    def refuse_by_standing(self, c, reduces):
        if reason := super().refuse_by_standing(c, reduces):
            return reason
        is_quote = c.flags & QUOTE and getattr(c, "of", None) is not m.ReplaceOrder
        return R.PROTECTION_FROZEN if is_quote and (c.account, c.instrument) in self.frozen else None

    def count_match(self, order, resting, quantity):
        super().count_match(order, resting, quantity)
        for one in (resting, order):
            if one.is_quote:
                self.count_quote(one, quantity)

    def count_quote(self, order, quantity):
        place = (order.account, order.instrument)
        p = self.protections.get(place)
        if p is None or not p.window or place in self.frozen:
            return
        if p.began is None or self.now >= p.began + p.window:
            p.end_window()
            p.began = self.now
        p.lots, p.matches = min(p.lots + quantity, SUM_MAX), p.matches + 1
        p.net = max(min(p.net + quantity * order.sign, SUM_MAX), -SUM_MAX)
        if limit := p.reached():
            sums = {"limit": limit, "quantity": p.lots, "count": p.matches, "delta": p.net}
            self.reached.append((place, order.session, sums))
            self.frozen.add(place)
            p.end_window()

    def cancel_linked(self, **how):
        """All events of an order are told: what was frozen is canceled, then what links leave behind."""
        while self.reached:
            (account, instrument), session, sums = self.reached.pop(0)
            columns = {"flags": 0, "account": account, "instrument": instrument} | sums
            self.tell(m.ProtectionFrozen, session, copy=account, **columns)
            mine = [o for o in self.live(instrument) if o.account == account and o.is_quote]
            for order in sorted(mine, key=lambda o: o.number):
                self.cancel(order, CancelReason.PROTECTION)
        super().cancel_linked(**how)

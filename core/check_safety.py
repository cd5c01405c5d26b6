"""Invariants of dead-man timers, quotes and their protections. Called by core/check.py."""

from __future__ import annotations

from mypy_extensions import i64

from core.check_rules import hold
from core.codes import OnDisconnect
from core.engine import Engine
from core.kinds import QUOTE
from core.ledger import Account
from core.limits import QUOTES_MAX, SUM_MAX
from core.quoting import Quoting


def check_safety(engine: Engine) -> None:
    """Timers and accounts name each other, quotes are known where they count, and no sum has passed its limit."""
    armed: i64 = 0
    for account in engine.accounts:
        if account is not None:
            armed += 1 if account.fires_at != 0 else 0
            hold((account.fires_at != 0) == (account.armed_by is not None), "who armed a dead-man timer")
            _check_quotes(account)
    hold(armed == len(engine.dead_men), "dead-man timers")
    for key, owner in sorted(engine.dead_men.items()):
        hold(key[0] == owner.fires_at and key[1] == owner.number, "dead-man timer")
        hold(engine.account(key[1]) is owner, "account of a dead-man timer")
    hold(engine.timer_account is None, "no dead-man timer is running")
    hold(not engine.upset and not engine.reached, "protections that were reached are told")
    _check_sessions(engine)


def _check_sessions(engine: Engine) -> None:
    for session in engine.sessions:
        if session is not None:
            hold(OnDisconnect.NOTHING <= session.on_disconnect <= OnDisconnect.DAY_ORDERS, "mode of a session")
            hold(session.on_disconnect == 0 or not (session.only_reads() or session.number == 0), "mode without orders")
            hold(session.numbers == sorted(session.accounts), "accounts of a session")


def _check_quotes(account: Account) -> None:
    # Every live quote is known where it counts, and nothing else is.
    count: i64 = 0
    order = account.oldest
    while order is not None:
        if order.flags & QUOTE:
            count += 1
            known = account.quotings.get(order.instrument.number)
            hold(known is not None and known.quotes.get(order.number) is order, "index of quotes")
        order = order.newer
    for number in sorted(account.quotings):
        quoting = account.quotings[number]
        count -= len(quoting.quotes)
        hold(quoting.instrument == number and len(quoting.quotes) <= QUOTES_MAX, "quotes of an account")
        _check_protection(quoting)
    hold(count == 0, "quotes that live no more")


def _check_protection(quoting: Quoting) -> None:
    limited = quoting.quantity | quoting.count | quoting.delta != 0
    hold((quoting.window != 0) == limited, "window and limits of a protection")
    hold(not quoting.frozen or len(quoting.quotes) == 0, "a quote that is frozen")
    hold(quoting.reached == 0 and quoting.session is None, "a protection that was reached is told")
    runs = quoting.began != 0
    hold(not runs or quoting.protects(), "a window without a protection")
    hold(runs == (quoting.matches != 0) == (quoting.lots != 0), "sums without a window")
    hold(quoting.lots <= SUM_MAX and -quoting.lots <= quoting.net <= quoting.lots, "sums of a protection")
    hold(quoting.limit() == 0, "a protection that was reached and does not freeze")

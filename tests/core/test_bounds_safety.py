"""Dead-man timers and protections of quotes at their bounds, and how many mass operations may be pending."""

import pytest

from core import messages as m
from core.check import check
from core.kinds import QUOTE
from core.limits import (
    DAY_NS,
    INTERVAL_MIN,
    NEVER,
    PROTECTION_COUNT_MAX,
    QUANTITY_MAX,
    QUOTES_MAX,
    STEPS_MAX,
    SUM_MAX,
    TODOS_MAX,
)
from core.reasons import CancelReason, RejectReason
from tests.venue import BUY, BUYER, SELL, SELLER, Engine, Venue, reason

pytestmark = pytest.mark.both

QUOTING = {"instrument": 1, "account": SELLER}


def venue_of(**terms):
    venue = Venue(Engine())
    venue.instrument(divisor=SUM_MAX, **terms)
    venue.fund()
    venue.send(m.GrantSession, account=SELLER, grantee=5, role=1)
    return venue


def engine(venue):
    return venue.to.machine.engine


def many_pending(venue):
    """As many mass operations as there may be: the first one has a long way to go."""
    venue.send(m.OpenAccount, account=40 * STEPS_MAX, firm=1, name="")
    for _ in range(TODOS_MAX):
        venue.send(m.MassCancel)
    assert len(engine(venue).todos) == TODOS_MAX


def test_the_engine_is_due_when_a_dead_man_timer_is():
    venue = venue_of()
    assert engine(venue).due() == NEVER
    venue.send(m.ArmDeadMan, account=BUYER, interval=DAY_NS)
    assert engine(venue).due() == venue.time + DAY_NS
    venue.send(m.ArmDeadMan, account=SELLER, interval=INTERVAL_MIN)
    assert engine(venue).due() == venue.time + INTERVAL_MIN
    venue.send(m.ArmDeadMan, account=SELLER, interval=0)
    assert engine(venue).due() == venue.time - 2 + DAY_NS
    check(engine(venue))


@pytest.mark.parametrize("interval", [INTERVAL_MIN, DAY_NS])
def test_a_dead_man_timer_fires_at_its_time_and_at_no_other(interval):
    venue = venue_of()
    venue.enter(SELL, 100, 5)
    (armed,) = venue.send(m.ArmDeadMan, account=SELLER, interval=interval)
    venue.time = armed.fires_at - 2
    assert venue.send(m.AdvanceTime) == []
    fired, canceled = venue.send(m.AdvanceTime)
    assert (fired.fires_at, fired.time, canceled.reason) == (armed.fires_at, armed.fires_at, CancelReason.DEAD_MAN)
    for other in (interval + 1 if interval == DAY_NS else interval - 1, -interval, 2**63 - 1, -(2**63)):
        assert reason(venue.send(m.ArmDeadMan, account=SELLER, interval=other)) == RejectReason.INVALID_DEFINITION


def test_a_timer_that_would_fire_after_the_end_of_time_never_does():
    venue = venue_of()
    venue.time = SUM_MAX - 10
    (armed,) = venue.send(m.ArmDeadMan, account=SELLER, interval=DAY_NS)
    assert armed.fires_at == SUM_MAX - 9 + DAY_NS
    assert venue.send(m.AdvanceTime) == []
    check(engine(venue))
    assert engine(venue).due() == armed.fires_at


def test_timers_and_what_they_cancel_share_the_steps_of_a_row():
    """Each timer is a step, and so many of them leave no place for more: the others wait until what these cancel is done."""
    venue = venue_of()
    numbers = range(3, STEPS_MAX + 13)
    for number in numbers:
        venue.send(m.OpenAccount, account=number, firm=1, name="")
        venue.send(m.ArmDeadMan, account=number, interval=INTERVAL_MIN)
    venue.enter(SELL, 100, 5)
    venue.send(m.ArmDeadMan, account=SELLER, interval=INTERVAL_MIN)
    venue.time += INTERVAL_MIN
    first = venue.send(m.AdvanceTime)
    assert [event.account for event in first] == list(numbers)[:STEPS_MAX]
    assert engine(venue).due() == 0
    assert venue.send(m.AdvanceTime) == []
    assert engine(venue).due() <= venue.time
    last = venue.send(m.AdvanceTime)
    assert [event.account for event in last] == [*list(numbers)[STEPS_MAX:], SELLER, SELLER]
    assert last[-1].reason == CancelReason.DEAD_MAN
    assert engine(venue).due() == NEVER
    check(engine(venue))


def test_while_no_more_may_be_pending_timers_stay_due_and_losses_are_refused():
    venue = venue_of()
    venue.send(m.ArmDeadMan, account=SELLER, interval=INTERVAL_MIN)
    many_pending(venue)
    for _ in range(2):
        assert reason(venue.send(m.SessionLost, named=5)) == RejectReason.TOO_MANY_PENDING
        venue.send(m.SetCancelOnDisconnect, named=5, mode=1)
    venue.time += INTERVAL_MIN
    assert not any(isinstance(event, m.DeadManFired) for event in venue.send(m.AdvanceTime))
    assert engine(venue).due() == 0
    engine(venue).drop_todo()
    assert isinstance(venue.send(m.AdvanceTime)[0], m.DeadManFired)
    assert len(engine(venue).todos) == TODOS_MAX


@pytest.mark.parametrize("connection", [0, SUM_MAX])
def test_numbers_of_connections(connection):
    venue = venue_of()
    assert venue.send(m.SessionLost, named=5, connection=connection)[0].connection == connection
    for other in (-1, SUM_MAX + 1, 2**63 - 1):
        refused = venue.send(m.SessionLost, named=5, connection=other)
        assert reason(refused) == RejectReason.INVALID_DEFINITION


def test_limits_of_protections_at_their_bounds():
    venue = venue_of()
    most = {"window": DAY_NS, "quantity": QUANTITY_MAX, "count": PROTECTION_COUNT_MAX, "delta": QUANTITY_MAX}
    assert venue.send(m.SetProtection, **QUOTING, **most)[0].window == DAY_NS
    for name, value in most.items():
        for other in (value + 1, -1, 2**63 - 1, -(2**63)):
            refused = venue.send(m.SetProtection, **QUOTING, **most | {name: other})
            assert reason(refused) == RejectReason.INVALID_DEFINITION
    assert venue.send(m.SetProtection, **QUOTING, window=1, delta=1)[0].window == 1


@pytest.mark.parametrize(("limit", "last"), [("quantity", 1), ("delta", 1)])
def test_a_protection_is_reached_at_its_limit_and_not_one_lot_before(limit, last):
    venue = venue_of()
    venue.send(m.SetProtection, **QUOTING, window=DAY_NS, **{limit: QUANTITY_MAX})
    venue.enter(SELL, 1, QUANTITY_MAX, bits=QUOTE)
    events = venue.enter(BUY, 1, QUANTITY_MAX - 1)
    assert not any(isinstance(event, m.ProtectionFrozen) for event in events)
    frozen = [event for event in venue.enter(BUY, 1, last) if isinstance(event, m.ProtectionFrozen)]
    assert [(event.quantity, event.count, event.delta) for event in frozen] == [(QUANTITY_MAX, 2, -QUANTITY_MAX)]
    check(engine(venue))


@pytest.mark.parametrize("side", [BUY, SELL])
def test_sums_of_a_window_stop_at_the_bound(side):
    """As if the window had counted for years: neither sum passes its bound, and the other limits still count."""
    venue = venue_of()
    account = {"account": BUYER if side == BUY else SELLER, "instrument": 1}
    venue.send(m.SetProtection, **account, window=DAY_NS, count=4)
    venue.enter(side, 1, 9, bits=QUOTE)
    venue.enter(1 - side, 1, 1)
    sign = 1 if side == BUY else -1
    venue.restore(m.ProtectionState, lots=SUM_MAX - 1, net=sign * (SUM_MAX - 1))
    for _ in range(2):
        venue.enter(1 - side, 1, 2)
        quoting = engine(venue).account(account["account"]).quoting(1)
        assert (quoting.lots, quoting.net) == (SUM_MAX, sign * SUM_MAX)
        check(engine(venue))
    events = venue.enter(1 - side, 1, 1)
    (frozen,) = [event for event in events if isinstance(event, m.ProtectionFrozen)]
    assert (frozen.quantity, frozen.count, frozen.delta) == (SUM_MAX, 4, sign * SUM_MAX)


def test_an_account_has_so_many_quotes_in_each_instrument():
    venue = venue_of()
    venue.instrument(number=2)
    for _ in range(QUOTES_MAX):
        venue.enter(SELL, 100, 1, bits=QUOTE)
    assert reason(venue.enter(SELL, 100, 1, bits=QUOTE)) == RejectReason.FOLLOWERS_FULL
    assert isinstance(venue.enter(SELL, 100, 1, bits=QUOTE, instrument=2)[0], m.Accepted)
    assert isinstance(venue.enter(SELL, 100, 1)[0], m.Accepted)
    venue.enter(BUY, 100, 1)
    assert isinstance(venue.enter(SELL, 100, 1, bits=QUOTE)[0], m.Accepted)
    check(engine(venue))

"""Promise 6: one bad command costs at most one instrument, or one account, and every replay agrees."""

import pytest

import core.engine
from core import messages as m
from core.check import check
from core.kinds import Role, TradingState
from core.kinds import TimeInForce as Tif
from core.limits import STEPS_MAX
from core.machine import Machine
from core.reasons import RejectReason
from core.rows import rows
from replicas.opening import take_over
from replicas.replay import recover, replay
from tests.poison.samples import BUY, SELL, PoisonError, Venue, agrees, bodies, of_kind, order, raising_at, trades


class KilledError(BaseException):
    """Not an Exception: the process ends here."""


@pytest.fixture
def venue():
    return Venue()


def test_the_rest_of_the_batch_is_applied(venue, monkeypatch):
    """The poison row is answered as quarantined, its instrument halts, and every other row of the batch counts."""
    poison = venue.next() + 1
    with raising_at(monkeypatch, poison):
        events = venue.submit(
            order(BUY, 100, 5, session=1),
            order(SELL, 100, 5, session=2, account=2),
            order(SELL, 200, 1, session=3, account=3, instrument=2),
            order(BUY, 200, 1, session=1, instrument=2, client_order_id=2),
            order(BUY, 100, 5, session=3, account=3, client_order_id=2),
        )
    assert [type(event).__name__ for event in events] == [
        "Accepted", "Rejected", "Quarantined", "TradingStateChanged", "Accepted", "Accepted", "Executed", "Executed",
        "Settled", "Rejected",
    ]  # fmt: skip
    rejected, quarantined, changed = events[1:4]
    assert (rejected.sequence, rejected.reason, rejected.session, rejected.outbound) == (
        poison,
        RejectReason.QUARANTINED,
        2,
        1,
    )
    assert (quarantined.sequence, quarantined.instrument, quarantined.account) == (poison, 1, 0)
    assert (changed.instrument, changed.state, changed.session) == (1, TradingState.HALTED, 0)
    assert events[-1].reason == RejectReason.HALTED
    agrees(venue)


def test_the_quarantine_row_begins_the_next_batch(venue, monkeypatch):
    """The row that names the poison stands alone behind its batch, at the same venue time plus one, and answers nothing."""
    with raising_at(monkeypatch, poison := venue.next()):
        venue.submit(order(BUY, 100, 5, session=1), order(BUY, 100, 5, session=3, account=3, instrument=2))
    batch, quarantine = bodies(venue.journal.batches())[-2:]
    (row,) = rows(quarantine)
    assert isinstance(row, m.Quarantine)
    assert (row.named, row.timer_time, row.timer_order, row.session, row.inbound) == (poison, 0, 0, 0, 0)
    assert (row.sequence, row.time) == (poison + 2, venue.now + 2)
    assert len(batch) == 256
    assert venue.engine.quarantined == []
    agrees(venue)


def test_others_trade_on_and_the_instrument_opens_again(venue, monkeypatch):
    """Only the poisoned instrument stands still, until an operator opens it."""
    with raising_at(monkeypatch, venue.next()):
        venue.submit(order(BUY, 100, 5, session=1))
    assert trades(venue, 2)
    assert not trades(venue, 1)
    venue.submit(m.SetTradingState(instrument=1, state=TradingState.OPEN))
    assert trades(venue, 1)
    agrees(venue)


def test_its_repeat_is_answered_by_repeated(venue, monkeypatch):
    """A client that repeats the quarantined command is shown its first answer; with other content it is refused."""
    command = order(BUY, 100, 5, session=1, inbound=1)
    with raising_at(monkeypatch, venue.next()):
        first = of_kind(venue.submit(command), m.Rejected)
    again, other = venue.submit(command, order(BUY, 101, 5, session=1, inbound=1))
    assert [event.outbound for event in first] == [1]
    assert isinstance(again, m.Repeated)
    assert (again.inbound, again.first, again.count) == (1, 1, 1)
    assert other.reason == RejectReason.INBOUND_CONFLICT
    next_one = venue.submit(order(BUY, 100, 1, session=1, instrument=2, inbound=2, client_order_id=7))
    assert [(event.outbound, type(event)) for event in next_one] == [(2, m.Accepted)]
    agrees(venue)


def test_a_repeat_in_the_same_batch(venue, monkeypatch):
    """The repeat that came in the very batch of the poison is answered as a repeat too."""
    command = order(BUY, 100, 5, session=1, inbound=1)
    with raising_at(monkeypatch, venue.next()):
        events = venue.submit(command, command)
    assert type(events[-1]) is m.Repeated
    agrees(venue)


@pytest.mark.parametrize("places", [(0, 1), (0, 2), (1, 3), (0, 1, 2, 3), (3,)])
def test_several_in_one_batch(venue, monkeypatch, places):
    """Each poison row of a batch is quarantined, each by a row of its own, in their order."""
    first = venue.next()
    batch = [
        order(BUY, 100, 5, session=s, account=s, instrument=i, client_order_id=1) for s, i in ((1, 1), (2, 1), (3, 2))
    ]
    batch.append(m.Deposit(account=1, currency=1, amount=5))
    with raising_at(monkeypatch, *(first + place for place in places)):
        events = venue.submit(*batch)
    assert [event.sequence for event in of_kind(events, m.Quarantined)] == [first + place for place in places]
    assert len(of_kind(events, m.Accepted)) + len(of_kind(events, m.BalanceChanged)) <= 4 - len(places)
    named = [next(rows(body)).named for body in bodies(venue.journal.batches())[-len(places) :]]
    assert named == [first + place for place in places]
    agrees(venue)


def test_batch_after_batch(venue, monkeypatch):
    """Poison in batches that follow each other: every quarantine belongs to its own batch."""
    for _ in range(3):
        with raising_at(monkeypatch, venue.next() + 1):
            venue.submit(m.Deposit(account=1, currency=1, amount=5), m.Deposit(account=2, currency=1, amount=5))
        venue.submit(m.SetTradingState(account=2, state=TradingState.OPEN))
    agrees(venue)


def test_a_row_without_instrument_halts_its_account(venue, monkeypatch):
    """Poison that names an account alone halts that account, and no instrument."""
    with raising_at(monkeypatch, venue.next()):
        events = venue.submit(m.Deposit(account=1, currency=1, amount=5))
    assert [(e.instrument, e.account, e.state) for e in of_kind(events, m.TradingStateChanged)] == [(0, 1, 3)]
    (refused,) = venue.submit(order(BUY, 100, 5, session=1))
    assert refused.reason == RejectReason.ACCOUNT_HALTED
    assert trades(venue, 1)
    agrees(venue)


@pytest.mark.parametrize(
    "command",
    [
        m.DefineCurrency(currency=9, symbol="X"),
        m.EndOfDay(day=1),
        m.OpenAccount(account=77, firm=1),
        m.Upgrade(version=1),
    ],
)
def test_a_row_that_names_nothing_known_leaves_the_venue_to_cancels(venue, monkeypatch, command):
    """Poison that names neither a known instrument nor a known account lets the venue do nothing but cancel."""
    venue.submit(order(BUY, 100, 5, session=1))
    with raising_at(monkeypatch, venue.next()):
        venue.submit(command)
    assert venue.engine.state == TradingState.CANCEL_ONLY
    (refused,) = venue.submit(order(BUY, 100, 5, session=2, account=2))
    assert refused.reason == RejectReason.CANCEL_ONLY
    (canceled,) = venue.submit(m.CancelOrder(session=1, instrument=1, account=1, client_order_id=1))
    assert isinstance(canceled, m.Canceled)
    venue.submit(m.SetTradingState(state=TradingState.OPEN))
    assert trades(venue, 1)
    agrees(venue)


def test_a_halted_venue_is_not_opened_to_cancels(venue, monkeypatch):
    """A quarantine never loosens what was stricter."""
    venue.submit(m.SetTradingState(state=TradingState.HALTED))
    with raising_at(monkeypatch, venue.next()):
        venue.submit(m.EndOfDay(day=1))
    assert venue.engine.state == TradingState.HALTED
    agrees(venue)


def test_a_poisoned_quarantine_row(venue, monkeypatch):
    """A Quarantine row that raises is itself quarantined, and what it names is halted all the same."""
    poison = venue.next()
    with raising_at(monkeypatch, poison, poison + 1):
        events = venue.submit(order(BUY, 100, 5, session=1))
    assert [event.sequence for event in of_kind(events, m.Quarantined)] == [poison, poison + 1]
    agrees(venue)


def resting_gtd(venue, expires, **columns):
    venue.submit(order(BUY, 100, 5, Tif.GTD, session=1, expires=expires, **columns))


def test_a_timer(venue, monkeypatch):
    """A timer that raises is dropped, its instrument halts, the other timers run, and the order never trades."""
    expires = venue.now + 5_000
    resting_gtd(venue, expires, client_order_id=1)
    resting_gtd(venue, expires, client_order_id=2, instrument=2)
    bad = venue.engine.order_numbers
    resting_gtd(venue, expires, client_order_id=3)
    expire = core.engine.Engine.expire

    def raising(self, order):
        if order.number == bad:
            raise PoisonError("timer")
        expire(self, order)

    with monkeypatch.context() as patch:
        patch.setattr(core.engine.Engine, "expire", raising)
        events = venue.submit(m.AdvanceTime(), later=50_000)
    (quarantined,) = of_kind(events, m.Quarantined)
    assert (quarantined.instrument, quarantined.timer_order) == (2, bad)
    (row,) = rows(bodies(venue.journal.batches())[-1])
    assert (row.timer_time, row.timer_order) == (expires, bad)
    assert [event.client_order_id for event in of_kind(venue.submit(m.AdvanceTime()), m.Expired)] == [1, 3]
    venue.submit(m.SetTradingState(instrument=2, state=TradingState.OPEN))
    events = venue.submit(order(SELL, 100, 5, session=2, account=2, instrument=2))
    assert of_kind(events, m.Executed) == []
    agrees(venue)


def test_a_mass_operation_that_is_pending(venue, monkeypatch):
    """A pending mass operation that raises is given up, the venue takes cancels alone, and the next operation runs."""
    venue.submit(m.OpenAccount(account=2 * STEPS_MAX, firm=1, name="far"))
    venue.submit(order(BUY, 100, 5, Tif.DAY, session=3, account=3))
    venue.submit(m.EndOfDay(day=1), m.MassCancel())
    assert [todo.command for todo in venue.engine.todos] == [m.EndOfDay.KIND, m.MassCancel.KIND]
    with raising_at(monkeypatch, venue.next()):
        venue.submit(m.AdvanceTime())
    assert [todo.command for todo in venue.engine.todos] == [m.MassCancel.KIND]
    assert venue.engine.state == TradingState.CANCEL_ONLY
    for _ in range(4):
        venue.submit(m.AdvanceTime())
    assert venue.engine.todos == []
    agrees(venue)


def test_a_mass_operation_of_the_row_itself(venue, monkeypatch):
    """A mass cancel that raises on its second order leaves both orders standing."""
    venue.submit(*(order(BUY, 100 + n, 5, session=1, client_order_id=n) for n in (1, 2)))
    cancel = core.engine.Engine.cancel

    def raising(self, order, reason):
        if order.client_order_id == 2:
            raise PoisonError("cancel")
        cancel(self, order, reason)

    with monkeypatch.context() as patch:
        patch.setattr(core.engine.Engine, "cancel", raising)
        events = venue.submit(m.MassCancel(session=1, account=1))
    assert of_kind(events, m.Canceled) == []
    assert venue.engine.account(1).state == TradingState.HALTED
    assert len(venue.engine.account(1).orders) == 2
    agrees(venue)


@pytest.mark.parametrize("error", [MemoryError, RecursionError, KeyboardInterrupt, SystemExit])
def test_what_the_machine_does_is_no_poison(venue, monkeypatch, error):
    """A failure of the machine is raised, not journaled; the batch is durable, and a recovered venue applies it."""
    batches = len(bodies(venue.journal.batches()))
    with raising_at(monkeypatch, venue.next(), error=error), pytest.raises(error):
        venue.submit(order(BUY, 100, 5, session=1))
    assert len(bodies(venue.journal.batches())) == batches + 1
    machine = recover(venue.journal)
    assert machine.engine.quarantined == []
    assert machine.engine.order_numbers == 1
    check(machine.engine)


@pytest.mark.parametrize("error", [AssertionError, ValueError, OverflowError, KeyError, ZeroDivisionError, TypeError])
def test_what_a_command_does_is_poison(venue, monkeypatch, error):
    """Whatever Exception the engine raises, the row is quarantined."""
    with raising_at(monkeypatch, venue.next(), error=error):
        events = venue.submit(order(BUY, 100, 5, session=1))
    assert len(of_kind(events, m.Quarantined)) == 1
    agrees(venue)


def test_a_fixed_engine_honours_the_quarantine(venue, monkeypatch):
    """The state after the poison is that of an engine that raised, in a node whose engine never does."""
    with raising_at(monkeypatch, venue.next()):
        venue.submit(order(BUY, 100, 5, session=1))
    machine = agrees(venue)
    assert machine.engine.instrument(1).state == TradingState.HALTED
    assert machine.engine.order_numbers == 0


def test_stopping_between_the_poison_and_its_quarantine(venue, monkeypatch):
    """A replay that stops right after the poisoned row or batch has the halt already, and goes on to the same end."""
    with raising_at(monkeypatch, poison := venue.next() + 1):
        venue.submit(*(order(BUY, 100, 5, session=s, account=s, instrument=i) for s, i in ((1, 2), (2, 1), (3, 2))))
    end = venue.sequencer.machine.rows()
    for upto in range(poison - 1, poison + 3):
        machine = recover(venue.journal, upto=upto)
        assert machine.engine.quarantined == ([poison] if poison <= upto < poison + 2 else [])
        kept = Machine.restore(machine.rows())
        assert kept.rows() == machine.rows()
        list(replay(venue.journal, kept))
        assert kept.rows() == end


def test_an_operators_session(venue, monkeypatch):
    """A quarantined command of an operator's session is answered to that session."""
    venue.submit(m.GrantSession(grantee=8, role=Role.OPERATOR))
    with raising_at(monkeypatch, venue.next()):
        events = venue.submit(m.DefineCurrency(session=8, currency=7, symbol="JPY"))
    (rejected,) = of_kind(events, m.Rejected)
    assert (rejected.session, rejected.outbound, rejected.reason) == (8, 1, RejectReason.QUARANTINED)
    agrees(venue)


def test_a_halt_that_raises(venue, monkeypatch):
    """Where the halt itself raises, submit gives up with an error, and has not filled the journal."""
    halts = []

    def raising(self, *_):
        halts.append(self.sequence)
        if len(halts) > 20:
            raise KilledError
        raise PoisonError("halt")

    with monkeypatch.context() as patch, raising_at(monkeypatch, venue.next()):
        patch.setattr(core.engine.Engine, "_halt", raising)
        with pytest.raises(Exception, match="halt"):
            venue.submit(order(BUY, 100, 5, session=1))
    assert len(halts) < 5


def test_killed_between_the_batch_and_its_quarantine(venue, monkeypatch):
    """A node that died before the quarantine was durable recovers all the same, and quarantines the row then."""

    def die(*_):
        raise KilledError

    with raising_at(monkeypatch, venue.next()):
        with monkeypatch.context() as patch:
            patch.setattr(type(venue.sequencer), "_name_the_row", die)
            with pytest.raises(KilledError):
                venue.submit(order(BUY, 100, 5, session=1))
        assert take_over(venue.journal).machine.engine.instrument(1).state == TradingState.HALTED
    assert recover(venue.journal).engine.instrument(1).state == TradingState.HALTED

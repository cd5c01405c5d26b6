"""Poison in what follows the market: triggers and pegged orders that make an AdvanceTime row raise cost their instrument alone."""

import pytest

import core.engine
from core import messages as m
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.kinds import TradingState
from core.limits import STEPS_MAX
from core.rows import rows
from tests.poison.samples import BUY, SELL, PoisonError, Venue, agrees, bodies, of_kind, order, raising_at, trades

FAR = 2 * STEPS_MAX


@pytest.fixture
def venue():
    """Beside the usual: a pegged order of account 2 on instrument 1, parked until there is something to follow."""
    made = Venue()
    made.submit(pegged(2, 1), order(BUY, 90, 5, session=2, account=2, instrument=2))
    return made


def pegged(account, client, **columns):
    terms = {"session": account, "account": account, "client_order_id": client, "flags": of_type(Type.PEGGED)}
    return order(BUY, 120, 5, **terms | columns)


def of_type(order_type, side=BUY, tif=Tif.GTC):
    return side | order_type << 1 | tif << 5


def bad_pegs(monkeypatch, kind=m.AdvanceTime.KIND):
    """An engine that cannot move pegged orders of instrument 1 in rows of a kind, as long as the patch lasts."""
    move = core.engine.Engine._move_peg

    def raising(self, order, terms, price):
        if order.instrument.number == 1 and self.command == kind:
            raise PoisonError("peg")
        move(self, order, terms, price)

    monkeypatch.setattr(core.engine.Engine, "_move_peg", raising)


def last_row(venue):
    """The last row of the journal."""
    return list(rows(bodies(venue.journal.batches())[-1]))[-1]


def advance(venue):
    """AdvanceTime rows for as long as the engine is due, as a node journals them; how many, and what they told."""
    events, count = [], 0
    while venue.engine.due() <= venue.now:
        events += venue.submit(m.AdvanceTime())
        count += 1
        assert count < 10, "the engine is due for ever"
    return count, events


def holds(venue):
    """Instrument 1 alone is halted, the other one trades, and every replica agrees."""
    assert venue.engine.instrument(1).state == TradingState.HALTED
    assert venue.engine.state == TradingState.OPEN
    assert trades(venue, 2)
    agrees(venue, at_every_row=False)


def test_a_pegged_order(venue, monkeypatch):
    """What an instrument's own turn raises halts it and ends the turn; the row's Quarantine names it, negated."""
    venue.submit(order(BUY, 100, 5, session=1), order(BUY, 95, 5, session=3, account=3))
    venue.submit(m.MassCancel(account=1))
    with monkeypatch.context() as patch:
        bad_pegs(patch)
        events = venue.submit(m.AdvanceTime())
        assert (last_row(venue).timer_time, last_row(venue).timer_order) == (-1, 0)
        assert advance(venue) == (0, [])
    (told,) = of_kind(events, m.Quarantined)
    assert (told.instrument, told.account, told.timer_order) == (1, 0, 0)
    holds(venue)
    venue.submit(m.SetTradingState(instrument=1, state=TradingState.OPEN))
    assert [event.price for event in of_kind(venue.submit(m.AdvanceTime()), m.Restated)] == [95]
    agrees(venue)


def test_a_timer_that_begins_it(venue, monkeypatch):
    """Where the row itself made the instrument due, by timers, they are dropped; or it would raise again for ever."""
    expires = venue.now + 5_000
    gtd = {"tif": Tif.GTD, "expires": expires}
    venue.submit(
        order(BUY, 100, 5, session=1, **gtd),
        order(BUY, 100, 5, session=3, account=3, instrument=2, client_order_id=7, **gtd),
    )
    with monkeypatch.context() as patch:
        bad_pegs(patch)
        venue.submit(m.AdvanceTime(), later=10_000)
        count, events = advance(venue)
    assert count == 1
    assert [event.client_order_id for event in of_kind(events, m.Expired)] == [7]
    assert venue.engine.dropped == 1
    holds(venue)


def test_a_mass_operation_that_begins_it(venue, monkeypatch):
    """Where a mass operation did, it is given up, and the next one goes on."""
    venue.submit(
        m.OpenAccount(account=FAR, firm=9, name="far"),
        m.Deposit(account=FAR, currency=1, amount=10_000),
        order(BUY, 100, 5, account=FAR),
    )
    venue.submit(m.MassCancel(firm=9), m.MassCancel(account=3))
    with monkeypatch.context() as patch:
        bad_pegs(patch)
        count, events = advance(venue)
    assert [e.instrument for e in of_kind(events, m.Quarantined)] == [1]
    assert len(of_kind(events, m.MassCanceled)) == 1
    assert count <= 5
    holds(venue)


def stops(venue, count):
    """So many stops of account 1 that one trade triggers all of them, and a row does not get to the end."""
    venue.submit(order(SELL, 200, 5, session=2, account=2, client_order_id=8))
    venue.submit(
        *(
            m.EnterOrder(
                session=1, account=1, instrument=1, client_order_id=1_000 + n, quantity=1, trigger_price=200,
                flags=of_type(Type.STOP),
            )
            for n in range(count)
        )
    )  # fmt: skip
    return venue.submit(order(BUY, 200, 5, session=3, account=3, client_order_id=9))


def test_a_trigger(venue, monkeypatch):
    """An order that raises as it is triggered is named; nothing is triggered while its instrument stays halted."""
    events = stops(venue, STEPS_MAX + 3)
    assert len(of_kind(events, m.Triggered)) == STEPS_MAX
    trigger = core.engine.Engine.trigger

    def raising(self, order, terms):
        if order.client_order_id == 1_000 + STEPS_MAX + 1:
            raise PoisonError("trigger")
        trigger(self, order, terms)

    with monkeypatch.context() as patch:
        patch.setattr(core.engine.Engine, "trigger", raising)
        (told,) = of_kind(venue.submit(m.AdvanceTime()), m.Quarantined)
        named = venue.engine.account(1).orders[1_000 + STEPS_MAX + 1].number
        assert (last_row(venue).timer_time, last_row(venue).timer_order) == (-1, named)
        assert (told.instrument, told.timer_order) == (1, named)
        assert advance(venue) == (0, [])
    holds(venue)
    venue.submit(m.SetTradingState(instrument=1, state=TradingState.OPEN))
    assert len(of_kind(venue.submit(m.AdvanceTime()), m.Triggered)) == 3


def test_the_row_of_an_order(venue, monkeypatch):
    """What follows from an order command and raises quarantines that command, and with it what follows."""
    with monkeypatch.context() as patch:
        bad_pegs(patch, m.EnterOrder.KIND)
        events = venue.submit(order(BUY, 100, 5, session=1), order(BUY, 100, 5, session=1, client_order_id=2))
    assert [type(event) for event in events] == [m.Rejected, m.Quarantined, m.TradingStateChanged, m.Rejected]
    assert venue.engine.due() > venue.now
    holds(venue)


def test_a_row_that_comes_while_triggers_are_pending(venue, monkeypatch):
    """The instrument that was followed last is no part of the poison of another row."""
    stops(venue, STEPS_MAX + 3)
    with raising_at(monkeypatch, venue.next()):
        (told,) = of_kind(venue.submit(m.AdvanceTime()), m.Quarantined)
    assert (told.instrument, told.timer_order) == (0, 0)
    assert (last_row(venue).timer_time, last_row(venue).timer_order) == (0, 0)
    assert venue.engine.state == TradingState.CANCEL_ONLY
    venue.submit(m.SetTradingState(state=TradingState.OPEN))
    assert len(of_kind(advance(venue)[1], m.Triggered)) == 3
    agrees(venue, at_every_row=False)

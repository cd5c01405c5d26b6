"""An exception at every line of the engine that a command reaches: whatever was half done, the row is quarantined alone."""

import pytest

from core import messages as m
from core.check import check
from core.kinds import ONLY_BUYS, REENTER, Role, TradingState
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.limits import STEPS_MAX
from core.rows import from_row, pack_halves
from journal.batch import HEADER_SIZE, read_header
from replicas.replay import recover
from replicas.sequencer import Sequencer
from tests.conftest import chosen, seed
from tests.poison.samples import BUY, SELL, Lines, Venue, agrees, of_kind, order, trades

LINES_MAX = 1_000
LINES_MIN = 9_000
"""What the scenarios reach in all, at least: fewer means that a scenario does not do any more what it is for."""

BOOK = tuple(
    order(side, 100 + (10 if side == SELL else 0) + n, 5, tif, session=2, account=2, client_order_id=10 + 3 * n + side)
    for n, tif in ((0, Tif.GTC), (1, Tif.GTC), (2, Tif.DAY))
    for side in (BUY, SELL)
)
"""Three orders on each side of instrument 1, all of account 2."""

OWN = order(BUY, 95, 8, session=1, client_order_id=1)
FAR = m.OpenAccount(account=2 * STEPS_MAX, firm=1, name="far")
GTD = tuple(
    order(BUY, 90 + n, 5, Tif.GTD, session=1, client_order_id=40 + n, expires=2_000_000_000_000_000_000) for n in (0, 1)
)
LATER = 400_000_000_000_000_000

SCENARIOS = {
    "trade and rest": (BOOK, order(BUY, 111, 12, session=1)),
    "trade at two prices": (BOOK, order(SELL, 101, 7, Tif.IOC, session=3, account=3)),
    "rest": (BOOK, OWN),
    "good till date": (BOOK, GTD[0]),
    "fill or kill": (BOOK, order(BUY, 112, 14, Tif.FOK, session=1)),
    "killed": (BOOK, order(BUY, 112, 99, Tif.FOK, session=1)),
    "market buy": (BOOK, m.EnterOrder(session=1, account=1, instrument=1, client_order_id=1, quantity=12, flags=BUY | Type.MARKET << 1 | Tif.IOC << 5)),
    "market sell": (BOOK, m.EnterOrder(session=1, account=1, instrument=1, client_order_id=1, quantity=12, flags=SELL | Type.MARKET << 1 | Tif.FOK << 5)),
    "replace in place": ((*BOOK, OWN), m.ReplaceOrder(session=1, account=1, instrument=1, client_order_id=2, price=95, quantity=4, original_client_order_id=1)),
    "replace and trade": ((*BOOK, OWN), m.ReplaceOrder(session=1, account=1, instrument=1, client_order_id=2, price=112, quantity=40, original_client_order_id=1)),
    "enter again": ((*BOOK, *GTD), m.ReplaceOrder(flags=REENTER, session=1, account=1, instrument=1, client_order_id=40, price=91, quantity=4, original_client_order_id=40)),
    "reduce": (BOOK, m.ReduceOrder(session=2, account=2, instrument=1, client_order_id=10, quantity=2)),
    "cancel by the venue": (BOOK, m.CancelOrder(account=2, instrument=1, client_order_id=10)),
    "mass cancel": (BOOK, m.MassCancel(session=2, account=2, flags=ONLY_BUYS)),
    "mass cancel of all": ((*BOOK, FAR), m.MassCancel()),
    "timers": ((*BOOK, *GTD), m.AdvanceTime()),
    "pending": ((*BOOK, OWN, FAR, m.EndOfDay(day=1), m.MassCancel()), m.AdvanceTime()),
    "end of day": (BOOK, m.EndOfDay(day=1)),
    "refused": (BOOK, order(BUY, 5_000, 1, session=1)),
    "repeated": ((OWN,), order(BUY, 95, 8, session=1, client_order_id=1, inbound=1)),
    "gap": (BOOK, order(BUY, 95, 8, session=1, client_order_id=1, inbound=7)),
    "currency": ((), m.DefineCurrency(currency=7, symbol="JPY")),
    "instrument": ((), m.DefineInstrument(instrument=7, symbol="BTC/ETH", currencies=pack_halves(2, 3), price_max=5, quantity_max=5)),
    "account": ((), m.OpenAccount(account=7, firm=7, name="seven")),
    "deposit": ((), m.Deposit(account=1, currency=1, amount=7)),
    "withdrawal": ((), m.Withdraw(account=1, currency=1, amount=7)),
    "grant": ((), m.GrantSession(account=1, grantee=7, role=Role.TRADER)),
    "grant of a drop copy": ((), m.GrantSession(grantee=7, role=Role.DROP_COPY, firm=1)),
    "credential": ((), m.SetCredential(grantee=1, hash_0=-7, salt_1=7, cost=14)),
    "clock": ((), m.AcceptClock(clock=7, reason="set by hand")),
    "state": ((), m.SetTradingState(instrument=1, state=TradingState.CANCEL_ONLY)),
    "upgrade": ((), m.Upgrade(version=1)),
}  # fmt: skip


def prepared(name):
    """The venue before the batch, and the batch: bystanders on instrument 2 around the poison."""
    before, poison = SCENARIOS[name]
    venue = Venue()
    venue.submit(*before)
    bystanders = [
        order(side, 300, 2, session=3, account=3, instrument=2, client_order_id=90 + side) for side in (BUY, SELL)
    ]
    return venue, [bystanders[0], poison, bystanders[1]], LATER if name == "timers" else 1_000


def lines_of(name):
    """How many lines of the engine the poison reaches."""
    venue, batch, later = prepared(name)
    with Lines({venue.next() + 1: 0}) as lines:
        venue.submit(*batch, later=later)
    return lines.count


def states(engine):
    """Everything that is not open."""
    found = {("instrument", i.number): i.state for i in engine.instruments if i and i.state > 1}
    found |= {("account", a.number): a.state for a in engine.accounts if a and a.state > 1}
    return found | ({("venue", 0): engine.state} if engine.state > 1 else {})


def expected_states(engine, events):
    """What the one quarantine of these events says is closed; nothing else is."""
    (told,) = of_kind(events, m.Quarantined)
    if told.instrument:
        return {("instrument", told.instrument): TradingState.HALTED}
    if told.account:
        return {("account", told.account): TradingState.HALTED}
    return {("venue", 0): TradingState.CANCEL_ONLY}


def inject(name, at):
    """Raise at one line, then hold the venue to everything that a quarantine promises."""
    venue, batch, later = prepared(name)
    poison = venue.next() + 1
    with Lines({poison: at}) as lines:
        events = venue.submit(*batch, later=later)
    assert lines.raised, f"line {at} of {name} was not reached"
    (told,) = of_kind(events, m.Quarantined)
    assert told.sequence == poison, lines.where
    assert told.command == batch[1].KIND, lines.where
    if told.command != m.AdvanceTime.KIND:
        assert told.instrument in (getattr(batch[1], "instrument", 0), 0), lines.where
    assert states(venue.engine) == expected_states(venue.engine, events), lines.where
    around = [event for event in events if event.session == 3 and event.instrument == 2]
    assert type(around[0]) is m.Accepted, lines.where
    assert around[1:], lines.where
    if venue.engine.state == TradingState.OPEN:
        assert len(of_kind(around, m.Executed)) == 2, lines.where
    else:
        venue.submit(m.SetTradingState(state=TradingState.OPEN))
    if told.account:
        venue.submit(m.SetTradingState(account=told.account, state=TradingState.OPEN))
    assert trades(venue, 2), lines.where
    agrees(venue, at_every_row=False)
    batch_after = list(venue.journal.batches(poison))[1]
    assert from_row(batch_after[HEADER_SIZE:]) == m.Quarantine(
        sequence=read_header(batch_after).first,
        time=read_header(batch_after).base_time,
        named=poison,
        timer_time=lines.timers[poison][0],
        timer_order=lines.timers[poison][1],
    ), lines.where


def bounded(name):
    """The lines to raise at: of long mass operations the first thousand, and the last one, in which they end."""
    count = lines_of(name)
    return [*range(1, min(count, LINES_MAX + 1)), count]


@pytest.mark.parametrize("name", SCENARIOS)
def test_some_lines(name):
    """A few lines of each scenario, chosen by the seed, and always the first and the last."""
    first, *others, last = bounded(name)
    for at in (first, *(at for at in others if at % 20 == seed() % 20), last):
        inject(name, at)


@pytest.mark.night
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_line(name):
    """Every line of each scenario; the lines of a loop as often as they run, within the bound above."""
    for at in bounded(name):
        inject(name, at)


def test_the_scenarios_reach_much():
    """All lines together are as many as they were when the scenarios were written, or more."""
    count = sum(len(bounded(name)) for name in SCENARIOS)
    assert count > LINES_MIN, count


def test_a_line_that_runs_out_of_memory():
    """A MemoryError in the middle of a row is raised from submit, at any line, and a recovered venue applies the row."""
    for at in (at for at in range(1, lines_of("trade and rest") + 1) if chosen(f"memory {at // 8}") and at % 8 == 0):
        venue, batch, _ = prepared("trade and rest")
        with Lines({venue.next() + 1: at}, MemoryError), pytest.raises(MemoryError):
            venue.submit(*batch)
        machine = recover(venue.journal)
        check(machine.engine)
        venue.sequencer = Sequencer(venue.journal, machine)
        assert trades(venue, 1)

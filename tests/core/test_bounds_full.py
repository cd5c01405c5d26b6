"""What is full: followers, reduce-only orders, levels where an order arrives later, matches with icebergs, steps."""

import pytest

from core import messages as m
from core.check import check
from core.kinds import EXPOSURES, HIDDEN, PEG_SHIFT, REDUCE_ONLY, Peg
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.limits import FOLLOWERS_MAX, LEVELS_MAX, MATCHES_MAX, REDUCING_MAX, STEPS_MAX, SUM_MAX
from core.reasons import CancelReason, RejectReason
from core.rows import rows
from tests.venue import BUY, SELL, Engine, Venue, again, full_side, reason

pytestmark = pytest.mark.both


def alone():
    """The engine alone with an instrument, for sizes that the model is too slow for."""
    venue = Venue(Engine())
    venue.instrument(divisor=SUM_MAX)
    venue.fund()
    return venue


@pytest.mark.parametrize("of", [Type.TRAILING_STOP, Type.PEGGED])
def test_followers_of_an_instrument_are_full(of):
    """1,024 live trailing stops, and as many pegged orders, of all accounts; one more when one has gone."""
    venue = alone()
    columns = {"of": of, "offset": 1} | ({"trigger_price": 50} if of == Type.TRAILING_STOP else {})
    price = 0 if of == Type.TRAILING_STOP else 9
    for _ in range(FOLLOWERS_MAX // 2):
        assert isinstance(venue.enter(BUY, price, 1, **columns)[0], m.Accepted)
        assert isinstance(venue.enter(SELL, 0, 1, **columns)[0], m.Accepted)
    for side in (BUY, SELL):
        assert reason(venue.enter(side, price * (side == BUY), 1, **columns)) == RejectReason.FOLLOWERS_FULL
    assert isinstance(venue.replace(SELL, 2, 0, 2)[0], m.Replaced)
    check(venue.to.machine.engine)
    venue.send(m.CancelOrder, instrument=1, account=2, client_order_id=2)
    assert isinstance(venue.enter(SELL, 0, 1, **columns)[0], m.Accepted)
    assert reason(venue.enter(SELL, 0, 1, **columns)) == RejectReason.FOLLOWERS_FULL


def test_reduce_only_orders_of_an_account_are_full():
    """64 of them in an instrument, waiting ones included; each is cut by the match that takes the position."""
    venue = Venue()
    venue.instrument()
    venue.fund()
    venue.rules(EXPOSURES)
    venue.trade(100, 2 * REDUCING_MAX)
    for at in range(REDUCING_MAX):
        waits = {"of": Type.STOP, "trigger_price": 200} if at % 4 == 0 else {}
        (accepted, *_) = venue.enter(BUY, 0 if waits else 1, 2 * REDUCING_MAX, bits=REDUCE_ONLY, account=2, **waits)
        assert accepted.KIND == m.Accepted.KIND
    assert reason(venue.enter(BUY, 1, 1, bits=REDUCE_ONLY, account=2)) == RejectReason.FOLLOWERS_FULL
    venue.to.reload()
    told = venue.enter(SELL, 1, 2 * REDUCING_MAX, Tif.IOC, account=1)
    assert sum(isinstance(e, m.Canceled) for e in told) >= REDUCING_MAX - 1
    venue.to.check()


@pytest.fixture(scope="module")
def full():
    """A venue whose book has 65,536 levels of one order each, and its snapshot."""
    return full_side()


def test_a_triggered_order_finds_no_room(full):
    """65,536 levels stand where a stop-limit order arrives: NO_ROOM, but at a price that stands, or hidden, there is room."""
    venue = again(full)
    venue.enter(SELL, 1, 3)
    for price in (LEVELS_MAX + 1, LEVELS_MAX):
        venue.enter(SELL, price, 1, of=Type.STOP_LIMIT, trigger_price=1)
    told = venue.enter(BUY, 1, 1)
    (triggered, canceled, other) = told[-4:-1] if isinstance(told[-1], m.Rested) else told[-3:]
    assert [type(e) for e in (triggered, canceled, other)] == [m.Triggered, m.Canceled, m.Triggered]
    assert canceled.reason == CancelReason.NO_ROOM
    assert isinstance(venue.enter(SELL, LEVELS_MAX + 1, 1, bits=HIDDEN)[0], m.Accepted)
    check(venue.to.machine.engine)


def test_a_pegged_order_finds_no_room(full):
    """On entry, and where it follows to a price of its own, while 65,536 levels stand."""
    venue = again(full)
    accepted, canceled = venue.enter(SELL, 0, 1, of=Type.PEGGED, offset=LEVELS_MAX)
    assert (accepted.price, canceled.reason) == (LEVELS_MAX + 1, CancelReason.NO_ROOM)
    (accepted,) = venue.enter(SELL, 0, 1, of=Type.PEGGED, bits=Peg.PRIMARY << PEG_SHIFT, offset=LEVELS_MAX - 1)
    assert accepted.price == LEVELS_MAX
    replaced, canceled = venue.replace(SELL, 1, LEVELS_MAX + 9, 1)
    assert (replaced.KIND, canceled.reason) == (m.Replaced.KIND, CancelReason.NO_ROOM)
    check(venue.to.machine.engine)


@pytest.mark.parametrize("bits", [0, HIDDEN])
def test_open_quantity_leaves_no_room(bits):
    """Shown and hidden orders of a side hold 2^62 - 1 lots together, also where an order is triggered, or follows."""
    venue = alone()
    venue.enter(BUY, 1, 10, bits=bits)
    venue.restore(m.OrderState, leaves=SUM_MAX - 10)
    assert reason(venue.enter(BUY, 2, 11)) == RejectReason.SUM_AT_BOUND
    assert reason(venue.enter(BUY, 2, 11, bits=HIDDEN)) == RejectReason.SUM_AT_BOUND
    (waits,) = venue.enter(BUY, 2, 11, of=Type.STOP_LIMIT, trigger_price=5)
    (parked,) = venue.enter(BUY, 9, 11, of=Type.PEGGED, bits=Peg.MARKET << PEG_SHIFT)
    assert (waits.KIND, parked.price) == (m.Accepted.KIND, 0)
    (*_, canceled) = venue.enter(SELL, 8, 1)
    assert (canceled.KIND, canceled.reason) == (m.Canceled.KIND, CancelReason.NO_ROOM)
    venue.enter(SELL, 5, 1)
    told = venue.enter(BUY, 5, 1)
    assert [e.KIND for e in told[-2:]] == [m.Triggered.KIND, m.Canceled.KIND]
    assert told[-1].reason == CancelReason.NO_ROOM
    check(venue.to.machine.engine)


def test_matches_with_icebergs_at_their_bound():
    """One row meets 65,536 displays; what is left is canceled, and FOK and all-or-none orders count displays too."""
    venue = alone()
    venue.enter(SELL, 5, MATCHES_MAX + 2, display_quantity=1)
    venue.enter(SELL, 5, 3 * MATCHES_MAX, display_quantity=2 * MATCHES_MAX)
    for columns, why in (
        ({"tif": Tif.FOK}, CancelReason.FILL_OR_KILL),
        ({"minimum_quantity": 2}, CancelReason.MINIMUM_NOT_MET),
    ):
        assert venue.enter(BUY, 5, 2 * MATCHES_MAX, **columns)[-1].reason == why
    events = venue.enter(BUY, 5, 4 * MATCHES_MAX)
    matches = [event for event in events if isinstance(event, m.Settled)]
    # It meets both in turns: the first display of the large one takes all of its 131,072 lots at once.
    lots = sum(event.base_amount for event in matches)
    assert len(matches) == len({event.match_number for event in matches}) <= MATCHES_MAX
    assert lots + (events[-1].quantity if isinstance(events[-1], m.Canceled) else 0) == 4 * MATCHES_MAX
    assert sum(isinstance(event, m.Rested) for event in events) >= MATCHES_MAX - 2
    check(venue.to.machine.engine)
    (*_, last) = venue.enter(BUY, 5, 9 * MATCHES_MAX, Tif.IOC)
    assert last.reason == CancelReason.IMMEDIATE_OR_CANCEL


def test_an_order_is_canceled_at_its_last_display():
    """Just 65,536 displays are met: an order that is filled by the last of them is filled, one lot more is MATCH_LIMIT."""
    for more in (0, 1):
        venue = alone()
        venue.enter(SELL, 5, MATCHES_MAX + 5, display_quantity=1)
        events = venue.enter(BUY, 5, MATCHES_MAX + more)
        assert sum(isinstance(event, m.Settled) for event in events) == MATCHES_MAX
        assert isinstance(events[-1], m.Canceled) == bool(more)
        if more:
            assert (events[-1].reason, events[-1].quantity) == (CancelReason.MATCH_LIMIT, 1)
    venue = alone()
    venue.enter(SELL, 5, MATCHES_MAX, display_quantity=1)
    assert isinstance(venue.enter(BUY, 5, MATCHES_MAX, Tif.FOK)[-1], m.Settled)


@pytest.mark.parametrize("orders", [STEPS_MAX - 1, STEPS_MAX, STEPS_MAX + 1, 2 * STEPS_MAX + 1])
def test_triggers_of_one_row_at_their_bound(orders):
    """1,024 orders are triggered in a row, each of which is a step, and the rest in AdvanceTime rows."""
    venue = alone()
    for _ in range(orders):
        venue.enter(SELL, 0, 1, of=Type.STOP, trigger_price=5)
    venue.enter(SELL, 5, 1)
    events, counts = venue.enter(BUY, 5, 1), []
    while True:
        counts.append(sum(isinstance(event, m.Triggered) for event in events))
        if venue.to.machine.engine.due() > venue.time:
            break
        late = venue.enter(SELL, 0, 1, of=Type.STOP, trigger_price=1)
        # The order was refused, but its row goes on with the work.
        assert late[0].reason == RejectReason.TOO_MANY_PENDING
        events = late[1:]
    assert sum(counts) == orders
    assert counts[:-1] == [STEPS_MAX] * (len(counts) - 1)


def test_steps_of_triggers_count_what_they_meet():
    """A triggered order that meets 2,000 others ends the work of its row; the next one waits for another."""
    venue = alone()
    for _ in range(2):
        venue.enter(SELL, 0, 2_000, of=Type.STOP, trigger_price=5)
    for _ in range(4_000):
        venue.enter(BUY, 4, 1)
    venue.trade(5)
    state = [row for row in rows(venue.to.machine.rows()) if isinstance(row, m.TermsState)]
    assert len(state) == 1
    events = venue.send(m.AdvanceTime)
    assert sum(isinstance(event, m.Settled) for event in events) == 2_000
    assert venue.to.machine.engine.due() > venue.time


def test_instruments_that_follow_are_steps_too():
    """One AdvanceTime row works off as many instruments as it has steps: one for each, and one for each that follows."""
    venue = Venue()
    venue.fund()
    for number in range(1, 601):
        venue.instrument(number=number)
        venue.enter(SELL, 0, 1, of=Type.PEGGED, instrument=number)
    venue.to.check()
    venue.send(m.SetTradingState, state=1)
    for left in (600, 600 - STEPS_MAX // 2, 0):
        assert len(venue.to.machine.engine.following) == left
        venue.to.check()
        venue.send(m.AdvanceTime)

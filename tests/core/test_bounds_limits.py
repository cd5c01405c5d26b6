"""Limits, exposures and positions at their bounds, against the naive model's exact integers."""

import itertools

import pytest

from core import messages as m
from core.kinds import EXPOSURES, REDUCE_ONLY, Limit, Role
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.limits import NANOSECONDS, PRICE_MAX, QUANTITY_MAX, RATE_MAX, RATIO_TRADES_MAX, SPENDING_LOTS, SUM_MAX
from core.reasons import RejectReason
from core.rows import rows
from tests.venue import BUY, BUYER, SELL, SELLER, Engine, Venue, reason

pytestmark = pytest.mark.both

TRADER = 5
"""A session that acts for the buyer: rates and ratios do not judge session 0."""


def exposed(bits=0, to=None, divisor=1, **rules):
    """An instrument that counts positions and open orders, and both accounts funded with all there can be."""
    venue = Venue(to)
    venue.instrument(divisor=divisor)
    venue.fund()
    venue.rules(EXPOSURES | bits, **rules)
    return venue


def positions(venue, lots):
    """Give the buyer a position of so many lots and the seller the opposite, in the engine and in the model."""
    venue.trade(1)
    venue.restore(m.ExposureState, position=lambda row: row.position * lots)
    model = venue.to.model.positions
    for key in model:
        model[key] *= lots


def test_a_notional_that_no_price_of_the_command_bounds():
    """A protection may price a large sell far up, and a trigger price may trail far down: both pass every bound."""
    for rules, limit in itertools.product(({}, {"protection": 1}), (None, Limit.ORDER_NOTIONAL, Limit.OPEN_NOTIONAL)):
        for tif in (Tif.IOC, Tif.FOK):
            venue = exposed(**rules)
            if limit:
                venue.send(m.SetLimit, account=SELLER, instrument=1, limit=limit, value=SUM_MAX)
            venue.enter(BUY, PRICE_MAX, 2)
            assert isinstance(venue.enter(SELL, 0, 1, tif)[0], m.Accepted)
            large = venue.enter(SELL, 0, QUANTITY_MAX, tif)
            if rules:
                expected = {None: "SUM_AT_BOUND", 2: "NOTIONAL_LIMIT", 4: "OPEN_NOTIONAL_LIMIT"}[limit]
                assert reason(large).name == expected
            venue.enter(SELL, 0, 2**22, tif)
            venue.to.check()
    venue = exposed()
    trailing = {"of": Type.TRAILING_STOP, "trigger_price": PRICE_MAX, "offset": 1}
    venue.enter(BUY, 0, 1, **trailing)
    venue.trade(10)
    assert reason(venue.replace(BUY, 1, 0, QUANTITY_MAX)) == RejectReason.SUM_AT_BOUND
    venue.send(m.SetLimit, account=BUYER, instrument=1, limit=Limit.ORDER_NOTIONAL, value=SUM_MAX)
    assert reason(venue.replace(BUY, 1, 0, QUANTITY_MAX)) == RejectReason.NOTIONAL_LIMIT
    assert isinstance(venue.replace(BUY, 1, 0, QUANTITY_MAX, trigger_price=11)[0], m.Replaced)
    venue.to.check()


def test_a_stop_that_arrives_at_any_price():
    """A sell that is triggered is priced by the protection; what exposures count of it stays within 64 bits."""
    venue = exposed(protection=1)
    venue.trade(1)
    venue.enter(BUY, PRICE_MAX, 1)
    told = venue.enter(SELL, 0, QUANTITY_MAX, of=Type.STOP, trigger_price=1)
    assert (told[1].KIND, told[2].price) == (m.Triggered.KIND, PRICE_MAX)
    assert (told[-1].KIND, told[-1].quantity) == (m.Canceled.KIND, QUANTITY_MAX - 1)
    venue.to.check()
    venue.to.reload()
    assert isinstance(venue.enter(SELL, 2**21, QUANTITY_MAX)[0], m.Accepted)


def test_open_notionals_at_their_bound():
    """Notionals of live orders add up to 2^62 - 1 and not beyond, whether or not the order may stand."""
    venue = exposed()
    for price, quantity in ((2**21, QUANTITY_MAX), (2**21, QUANTITY_MAX), (2**21, 1)):
        venue.enter(SELL, price, quantity)
    left = SUM_MAX - 2 * 2**21 * QUANTITY_MAX - 2**21
    assert 0 < left < 2**22
    for tif in (Tif.GTC, Tif.IOC, Tif.FOK, Tif.DAY):
        assert reason(venue.enter(SELL, left + 1, 1, tif)) == RejectReason.SUM_AT_BOUND
    assert isinstance(venue.enter(SELL, left, 1)[0], m.Accepted)
    assert reason(venue.enter(SELL, 1, 1, Tif.IOC)) == RejectReason.SUM_AT_BOUND
    assert reason(venue.enter(SELL, 0, 1, of=Type.STOP, trigger_price=1)) == RejectReason.SUM_AT_BOUND
    assert reason(venue.replace(SELL, 3, 2**21 + 1, 1)) == RejectReason.SUM_AT_BOUND
    assert isinstance(venue.replace(SELL, 3, 2**21, 1, 1)[0], m.Replaced)
    venue.to.reload()
    venue.to.check()


@pytest.mark.parametrize("value", [1, 2**61, SUM_MAX - 1, SUM_MAX])
def test_limits_of_notionals_at_their_bound(value):
    """Orders worth just the limit enter, of ORDER_NOTIONAL and OPEN_NOTIONAL, and of account, session and firm alike."""
    for limit, owner in itertools.product((2, 4), ({"account": SELLER}, {"firm": SELLER}, {"named": TRADER})):
        venue = exposed()
        venue.send(m.GrantSession, account=SELLER, grantee=TRADER, role=Role.TRADER)
        venue.send(m.SetLimit, instrument=1, limit=limit, value=value, **owner)
        step = {"session": TRADER}
        for inbound, (price, quantity) in enumerate(
            ((1, 1), (2**21, QUANTITY_MAX), (2**21, QUANTITY_MAX), (2**22 - 2, 1), (1, 1), (PRICE_MAX, 2**22)), 1
        ):
            venue.enter(SELL, price, quantity, inbound=inbound, **step)
        venue.to.check()


def test_open_lots_at_their_bound():
    """Lots that exposures count of a side add up to 2^62 - 1 and not beyond, for an order that may not stand too."""
    venue = exposed(to=Engine(), divisor=SUM_MAX)
    venue.enter(BUY, 1, 10)
    venue.restore(m.OrderState, leaves=SUM_MAX - 10)
    for tif in (Tif.GTC, Tif.IOC):
        assert reason(venue.enter(BUY, 1, 11, tif)) == RejectReason.SUM_AT_BOUND
    assert reason(venue.enter(BUY, 0, 11, of=Type.STOP, trigger_price=1)) == RejectReason.SUM_AT_BOUND
    assert reason(venue.enter(BUY, 0, 1, Tif.IOC, of=Type.SPEND_AT_MOST)) == RejectReason.SUM_AT_BOUND
    assert isinstance(venue.enter(BUY, 1, 10, Tif.IOC)[0], m.Accepted)
    assert isinstance(venue.enter(SELL, 1, 11)[0], m.Accepted)


def test_positions_at_their_bound():
    """A position and what is open on its side stay within 2^62 - 1 together, so that no match can pass it."""
    venue = exposed(divisor=SUM_MAX)
    positions(venue, SUM_MAX - 10)
    for side, tif in itertools.product((BUY, SELL), (Tif.GTC, Tif.IOC)):
        assert reason(venue.enter(side, 1, 11, tif)) == RejectReason.SUM_AT_BOUND
    assert reason(venue.enter(BUY, 0, 1, Tif.IOC, of=Type.SPEND_AT_MOST)) == RejectReason.SUM_AT_BOUND
    assert isinstance(venue.enter(SELL, 1, 10)[0], m.Accepted)
    for side in (BUY, SELL):
        assert reason(venue.enter(side, 2, 11, Tif.IOC)) == RejectReason.SUM_AT_BOUND
    assert isinstance(venue.enter(BUY, 1, 10)[-1], m.Settled)
    exposures = [row.position for row in rows(venue.to.machine.rows()) if isinstance(row, m.ExposureState)]
    assert exposures == [SUM_MAX, -SUM_MAX, SUM_MAX, -SUM_MAX]
    venue.to.check()
    venue.to.reload()
    for side, account in ((BUY, BUYER), (SELL, SELLER)):
        assert reason(venue.enter(side, 1, 1)) == RejectReason.SUM_AT_BOUND
        venue.send(m.SetLimit, account=account, instrument=1, limit=Limit.POSITION, value=QUANTITY_MAX)
        assert reason(venue.enter(side, 1, 1)) == RejectReason.POSITION_LIMIT
        assert reason(venue.enter(side, 1, 1, bits=REDUCE_ONLY)) == RejectReason.WOULD_INCREASE
    # The other way both may trade, whatever the limit, and reduce-only orders are not cut.
    (accepted,) = venue.enter(SELL, 1, 11, bits=REDUCE_ONLY, account=BUYER)
    assert accepted.quantity == 11
    assert isinstance(venue.enter(BUY, 1, 11, bits=REDUCE_ONLY, account=SELLER)[-1], m.Settled)
    venue.to.check()


def test_limits_of_positions_at_their_bound():
    """Position, open orders of the side and the order make up the limit, for the largest positions on either side."""
    for lots, value in itertools.product(
        (1, QUANTITY_MAX, -QUANTITY_MAX, SUM_MAX - 2**50, 2**50 - SUM_MAX), (1, QUANTITY_MAX)
    ):
        venue = exposed(divisor=SUM_MAX)
        positions(venue, lots)
        for account in (BUYER, SELLER):
            venue.send(m.Deposit, account=account, currency=1, amount=1)
            venue.send(m.SetLimit, account=account, instrument=1, limit=Limit.POSITION, value=value)
        venue.enter(SELL, PRICE_MAX, 1)
        for quantity in (value - 1, value, QUANTITY_MAX, 1):
            for side in (BUY, SELL):
                venue.enter(side, 1 if side == BUY else PRICE_MAX, quantity)
        venue.enter(BUY, 0, 1, Tif.IOC, of=Type.SPEND_AT_MOST)
        venue.to.check()
    assert SPENDING_LOTS >= 65_536 * QUANTITY_MAX


def limited(venue, **columns):
    """Set the counts of the only limit, in the engine and in the model."""
    venue.restore(m.LimitState, **columns)
    (bound,) = venue.to.model.bounds.values()
    for name, value in columns.items():
        setattr(bound, {"orders": "entered", "trades": "traded"}.get(name, name), value)


def trader(limit, value, second, time=1_000_000):
    """A venue at a time, with a session of the buyer's that has one limit; and a function that enters by it."""
    venue = Venue()
    venue.instrument()
    venue.fund()
    venue.send(m.GrantSession, account=BUYER, grantee=TRADER, role=Role.TRADER)
    venue.time = time
    venue.send(m.SetLimit, named=TRADER, limit=limit, value=value, second=second)
    count = itertools.count(1)

    def send(of="enter"):
        columns = {"session": TRADER, "inbound": next(count)}
        if of == "enter":
            return venue.enter(BUY, 1, 1, **columns)
        return venue.send(m.CancelOrder, instrument=1, account=BUYER, client_order_id=venue.ids, **columns)

    return venue, send


@pytest.mark.parametrize("time", [1_000_000, 2**40, SUM_MAX - NANOSECONDS - 20, SUM_MAX - 20])
@pytest.mark.parametrize("rate", [1, 2, 3, 999_999, RATE_MAX])
@pytest.mark.parametrize("burst", [1, 2, RATE_MAX])
def test_rates_at_their_bound(time, rate, burst):
    """The arrival time may be just so far ahead that the burst is used up, also where it passes 2^62 - 1."""
    for limit, of, refusal in (
        (Limit.MESSAGE_RATE, "enter", RejectReason.MESSAGE_RATE_LIMIT),
        (Limit.CANCEL_RATE, "cancel", RejectReason.CANCEL_RATE_LIMIT),
    ):
        venue, send = trader(limit, rate, burst, time)
        if of == "cancel":
            send()
        gap = NANOSECONDS // rate
        # The next row is at venue.time + 1: one that comes a nanosecond too early, and one that comes in time.
        limited(venue, arrival=venue.time + 1 + (burst - 1) * gap + 1)
        assert reason(send(of)) == refusal
        assert send(of)[0].KIND != m.Rejected.KIND
        (state,) = (row for row in rows(venue.to.machine.rows()) if isinstance(row, m.LimitState))
        assert state.arrival == venue.time + burst * gap
        assert reason(send(of)) == refusal
        venue.to.check()
        venue.to.reload()


@pytest.mark.parametrize(("value", "second"), [(1, 0), (1, RATE_MAX), (RATE_MAX, 0), (RATE_MAX, RATE_MAX)])
def test_order_to_trade_at_its_bound(value, second):
    """Orders may reach value x trades + second for the most trades that are counted, and those stand still then."""
    for trades in (0, 1, 2**39, RATIO_TRADES_MAX - 1, RATIO_TRADES_MAX):
        venue, send = trader(Limit.ORDER_TO_TRADE, value, second)
        limited(venue, trades=trades, orders=value * trades + second)
        assert reason(send()) == RejectReason.ORDER_TO_TRADE_LIMIT
        if value * trades + second:
            limited(venue, trades=trades, orders=value * trades + second - 1)
            assert send()[0].KIND == m.Accepted.KIND
        assert reason(send()) == RejectReason.ORDER_TO_TRADE_LIMIT
        venue.to.check()
    venue, send = trader(Limit.ORDER_TO_TRADE, value, 1)
    limited(venue, trades=RATIO_TRADES_MAX, orders=0)
    send()
    assert isinstance(venue.enter(SELL, 1, 1)[-1], m.Settled)
    (state,) = (row for row in rows(venue.to.machine.rows()) if isinstance(row, m.LimitState))
    assert state.trades == RATIO_TRADES_MAX

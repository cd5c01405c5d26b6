"""Every arithmetic site of core at its bound, against exact integers: a silent wrap of the compiled build would show here."""

import random

import pytest

from core import messages as m
from core.kinds import REENTER, Rounding
from core.kinds import TimeInForce as Tif
from core.limits import (
    COST_MAX,
    COST_MIN,
    FEE_SCALE,
    LEVELS_MAX,
    MATCHES_MAX,
    NEVER,
    PRICE_MAX,
    QUANTITY_MAX,
    RING_SIZE,
    STEPS_MAX,
    SUM_MAX,
    TODOS_MAX,
)  # fmt: skip
from core.machine import Machine
from core.reasons import CancelReason, RejectReason
from core.rows import from_row, pack_halves
from tests.streams import flags
from tests.venue import BUY, BUYER, SELL, SELLER, USD, Engine, Venue, again, changed, full_side, reason

pytestmark = pytest.mark.both


def extremes():
    """Instruments and orders whose notional or lots touch 2^62 - 1: multiplier, divisor, lot units, price, quantity."""
    rng = random.Random(62)
    yield 1, 1, 1, PRICE_MAX, SUM_MAX // PRICE_MAX
    yield 1, 1, SUM_MAX // QUANTITY_MAX, SUM_MAX // QUANTITY_MAX, QUANTITY_MAX
    yield SUM_MAX, 1, SUM_MAX, 1, 1
    yield SUM_MAX, SUM_MAX, SUM_MAX, 1, 1
    yield 1, SUM_MAX, 1, PRICE_MAX, SUM_MAX // PRICE_MAX
    yield SUM_MAX // (3 * 2**30), 7, 5, 3, 2**30
    for _ in range(14):
        price = 2 ** rng.randint(0, 39) + rng.choice((0, 1, -1)) or 1
        multiplier = 2 ** rng.randint(0, 61 - price.bit_length()) + rng.choice((0, 1))
        quantity = min(SUM_MAX // (price * multiplier), QUANTITY_MAX)
        lot_units = SUM_MAX // quantity
        yield multiplier, rng.choice((1, 2, 3, 2**20, 2**61 + 1, SUM_MAX)), lot_units, price, quantity


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("fees", [(0, 0), (FEE_SCALE, FEE_SCALE), (-FEE_SCALE, FEE_SCALE), (FEE_SCALE, -FEE_SCALE)])
def test_notionals_and_lots_at_their_bound(rounding, fees):
    """Orders up to the bound are reserved, matched in parts, charged and paid exactly; one more is INVALID_NOTIONAL."""
    executed = 0
    for multiplier, divisor, lot_units, price, quantity in extremes():
        venue = Venue()
        venue.instrument(multiplier, divisor, lot_units, rounding, fees)
        venue.fund()
        if quantity < QUANTITY_MAX:
            assert reason(venue.enter(SELL, price, quantity + 1)) == RejectReason.INVALID_NOTIONAL
        venue.enter(BUY, price, quantity)
        for part in (1, quantity // 3, quantity):
            executed += sum(isinstance(event, m.Executed) for event in venue.enter(SELL, price, part, Tif.IOC))
        venue.enter(SELL, price, quantity // 2 or 1)
        venue.enter(BUY, 0, quantity, Tif.FOK)
        venue.enter(BUY, 0, quantity, Tif.IOC)
        venue.to.check()
        venue.to.reload()
    assert executed > 10


def test_prices_and_quantities_at_their_bound():
    """Price and quantity go to 2^40 - 1 and not beyond, also from the far ends of 64 bits."""
    venue = Venue()
    venue.instrument(divisor=SUM_MAX)
    venue.fund()
    for price in (PRICE_MAX + 1, 0, -1, SUM_MAX, NEVER, -NEVER - 1):
        columns = {"instrument": 1, "account": BUYER, "client_order_id": 99, "price": price, "quantity": 1}
        assert reason(venue.send(m.EnterOrder, flags=flags(BUY), **columns)) == RejectReason.INVALID_PRICE
    for quantity in (QUANTITY_MAX + 1, 0, -1, SUM_MAX, NEVER, -NEVER - 1):
        assert reason(venue.enter(BUY, 1, quantity)) == RejectReason.INVALID_QUANTITY
    venue.enter(BUY, PRICE_MAX, 1)
    venue.enter(BUY, 1, QUANTITY_MAX)
    for taken in (QUANTITY_MAX + 1, NEVER, -NEVER - 1):
        columns = {"instrument": 1, "account": BUYER, "client_order_id": venue.ids, "quantity": taken}
        assert reason(venue.send(m.ReduceOrder, **columns)) == RejectReason.INVALID_QUANTITY
    venue.to.check()


def test_client_order_ids_and_expiries_at_their_bound():
    """Identifiers go to 2^62 - 1 either way, an expiry to 2^62 - 1."""
    venue = Venue()
    venue.instrument()
    venue.fund()
    for client in (SUM_MAX, -SUM_MAX):
        (accepted,) = venue.enter(BUY, 1, 1, client_order_id=client)
        assert accepted.client_order_id == client
    for client in (SUM_MAX + 1, -SUM_MAX - 1, NEVER, -NEVER - 1):
        assert reason(venue.enter(BUY, 1, 1, client_order_id=client)) == RejectReason.MALFORMED
    venue.enter(BUY, 1, 1, Tif.GTD, expires=SUM_MAX)
    for expires in (SUM_MAX + 1, NEVER, -1, -NEVER - 1):
        assert reason(venue.enter(BUY, 1, 1, Tif.GTD, expires=expires)) == RejectReason.INVALID_EXPIRY


def test_money_at_its_bound():
    """All deposits of a currency together reach 2^62 - 1, as do all withdrawals, and neither passes it."""
    venue = Venue()

    def move(of, account, amount):
        return venue.send(of, account=account, currency=USD, amount=amount)

    move(m.Deposit, BUYER, SUM_MAX - 5)
    assert reason(move(m.Deposit, SELLER, 6)) == RejectReason.SUM_AT_BOUND
    move(m.Deposit, SELLER, 5)
    for amount in (1, SUM_MAX):
        assert reason(move(m.Deposit, SELLER, amount)) == RejectReason.SUM_AT_BOUND
    for amount in (SUM_MAX + 1, NEVER, -NEVER - 1, 0):
        assert reason(move(m.Withdraw, BUYER, amount)) == RejectReason.INVALID_AMOUNT
    assert reason(move(m.Withdraw, BUYER, SUM_MAX)) == RejectReason.INSUFFICIENT_FUNDS
    (gone,) = move(m.Withdraw, BUYER, SUM_MAX - 5)
    assert (gone.amount, gone.balance) == (-(SUM_MAX - 5), 0)
    move(m.Withdraw, SELLER, 5)
    assert reason(move(m.Withdraw, SELLER, 1)) == RejectReason.SUM_AT_BOUND
    venue.to.check()


def test_a_market_buy_pays_to_its_last_unit_at_the_bound():
    """What a market buy can pay is found exactly with the largest sums, prices and fees."""
    for fee in (0, 1, 999_999, FEE_SCALE):
        for dollars in (SUM_MAX, SUM_MAX - 1, 2**61, 2**61 + 1, PRICE_MAX, PRICE_MAX - 1):
            venue = Venue()
            venue.instrument(fees=(0, fee))
            venue.fund(dollars)
            venue.enter(SELL, PRICE_MAX, SUM_MAX // PRICE_MAX)
            venue.enter(BUY, 0, QUANTITY_MAX, Tif.IOC)
            venue.enter(SELL, 1, QUANTITY_MAX)
            venue.enter(BUY, 0, QUANTITY_MAX, Tif.IOC)
            venue.to.check()


def test_open_quantity_of_a_side_at_its_bound():
    """A side holds 2^62 - 1 lots and not one more, counted before the order trades, also for a replace."""
    venue = Venue(Engine())
    venue.instrument(divisor=SUM_MAX)
    venue.enter(BUY, 1, 10)
    venue.to.machine = Machine.restore(changed(venue.to.machine.rows(), m.OrderState, leaves=SUM_MAX - 10))
    assert reason(venue.enter(BUY, 2, 11)) == RejectReason.SUM_AT_BOUND
    assert isinstance(venue.enter(BUY, 2, 11, Tif.IOC)[0], m.Accepted)
    assert isinstance(venue.enter(BUY, 2, 10)[0], m.Accepted)
    assert reason(venue.enter(BUY, 2, 1)) == RejectReason.SUM_AT_BOUND
    last = {"instrument": 1, "account": BUYER, "client_order_id": 4, "original_client_order_id": 4, "price": 2}
    assert reason(venue.send(m.ReplaceOrder, quantity=11, **last)) == RejectReason.SUM_AT_BOUND
    assert isinstance(venue.send(m.ReplaceOrder, quantity=10, flags=REENTER, **last)[0], m.Replaced)


def test_executed_and_open_quantity_at_their_bound():
    """What a replaced order has executed and has open stays within 2^62 - 1 together."""
    venue = Venue(Engine())
    venue.instrument(divisor=SUM_MAX)
    venue.enter(BUY, 1, 10)
    venue.to.machine = Machine.restore(changed(venue.to.machine.rows(), m.OrderState, executed=SUM_MAX - 10))
    order = {"instrument": 1, "account": BUYER, "client_order_id": 1, "original_client_order_id": 1, "price": 1}
    assert reason(venue.send(m.ReplaceOrder, quantity=11, flags=REENTER, **order)) == RejectReason.SUM_AT_BOUND
    (replaced,) = venue.send(m.ReplaceOrder, quantity=10, flags=REENTER, **order)
    assert (replaced.quantity, replaced.leaves) == (SUM_MAX, 10)
    (canceled,) = venue.send(m.ReplaceOrder, quantity=1, **order)
    assert canceled.reason == CancelReason.REPLACED_BELOW_EXECUTED


def test_time_and_numbers_at_their_bound():
    """Time goes to 2^62 - 1; an order that expires then is expired then."""
    venue = Venue()
    venue.instrument()
    venue.fund()
    venue.enter(BUY, 1, 1, Tif.GTD, expires=SUM_MAX)
    venue.time = SUM_MAX - 2
    assert venue.send(m.AdvanceTime) == []
    (expired,) = venue.send(m.AdvanceTime)
    assert (expired.time, expired.expires) == (SUM_MAX, SUM_MAX)


@pytest.fixture(scope="module")
def full():
    """A venue whose book has 65,536 levels of one order each, and its snapshot."""
    return full_side()


def test_levels_of_a_side_at_their_bound(full):
    """The 65,537th price is LEVELS_FULL; a price that stands, an IOC order, and a level that leaves first are not."""
    venue = again(full)
    for tif in (Tif.GTC, Tif.DAY):
        assert reason(venue.enter(SELL, LEVELS_MAX + 1, 1, tif)) == RejectReason.LEVELS_FULL
    assert reason(venue.enter(SELL, PRICE_MAX, 1)) == RejectReason.LEVELS_FULL
    assert isinstance(venue.enter(SELL, LEVELS_MAX + 1, 1, Tif.IOC)[0], m.Accepted)
    assert isinstance(venue.enter(BUY, 1, 1)[-1], m.Settled)
    assert isinstance(venue.enter(SELL, LEVELS_MAX + 1, 1)[0], m.Accepted)
    order = {"instrument": 1, "account": SELLER, "client_order_id": 2, "original_client_order_id": 2, "quantity": 1}
    assert isinstance(venue.send(m.ReplaceOrder, price=LEVELS_MAX + 2, **order)[0], m.Replaced)
    assert isinstance(venue.enter(SELL, 3, 1)[0], m.Accepted)
    order = {"instrument": 1, "account": SELLER, "client_order_id": 3, "original_client_order_id": 3, "quantity": 1}
    assert reason(venue.send(m.ReplaceOrder, price=LEVELS_MAX + 3, **order)) == RejectReason.LEVELS_FULL


def test_matches_of_one_row_at_their_bound(full):
    """One row meets 65,536 resting orders; what is left is canceled, and a FOK order that needs more does not trade."""
    venue = again(full)
    venue.enter(SELL, LEVELS_MAX, 5)
    killed = venue.enter(BUY, LEVELS_MAX, LEVELS_MAX + 1, Tif.FOK)
    assert killed[-1].reason == CancelReason.FILL_OR_KILL
    events = venue.enter(BUY, LEVELS_MAX, LEVELS_MAX + 3)
    matches = [event for event in events if isinstance(event, m.Settled)]
    assert len(matches) == MATCHES_MAX == len({event.match_number for event in matches})
    assert sum(event.quote_amount for event in matches) == LEVELS_MAX * (LEVELS_MAX + 1) // 2
    assert (events[-1].reason, events[-1].quantity) == (CancelReason.MATCH_LIMIT, 3)
    assert isinstance(venue.enter(BUY, LEVELS_MAX, 5)[-1], m.Settled)


def test_pending_operations_at_their_bound():
    """1,024 mass operations may wait; one more is refused until some are done."""
    venue = Venue()
    venue.send(m.OpenAccount, account=2_000, firm=1)
    for _ in range(TODOS_MAX):
        assert venue.send(m.MassCancel, account=BUYER if venue.to.model.operations else 0)[-1].flags != 0
    assert reason(venue.send(m.MassCancel)) == RejectReason.TOO_MANY_PENDING
    assert reason(venue.send(m.EndOfDay, day=1)) == RejectReason.TOO_MANY_PENDING
    venue.to.reload()
    assert len(venue.send(m.AdvanceTime)) == TODOS_MAX
    assert venue.to.machine.engine.due() == NEVER
    assert len(venue.send(m.EndOfDay, day=1)) == 1


@pytest.mark.parametrize("orders", [STEPS_MAX - 1, STEPS_MAX, STEPS_MAX + 1, 2 * STEPS_MAX, 2 * STEPS_MAX + 1])
def test_steps_of_one_row_at_their_bound(orders):
    """1,024 steps are taken per row and the rest in AdvanceTime rows, for expiries and for mass operations alike."""
    for of, told, in_row in ((m.AdvanceTime, m.Expired, {}), (m.MassCancel, m.Canceled, {"account": BUYER})):
        venue = Venue(Engine())
        venue.instrument()
        venue.fund()
        expires = 100_000
        for _ in range(orders):
            venue.enter(BUY, 1, 1, Tif.GTD, expires=expires)
        venue.time = expires if of is m.AdvanceTime else venue.time
        counts, steps = [], orders
        events = venue.send(of, **in_row)
        while True:
            counts.append(sum(isinstance(event, told) for event in events))
            steps -= counts[-1]
            assert counts[-1] == STEPS_MAX or steps == 0
            if venue.to.machine.engine.due() > venue.time:
                break
            venue.to.machine = Machine.restore(venue.to.machine.rows())
            events = venue.send(m.AdvanceTime)
        assert (sum(counts), steps) == (orders, 0)
        assert len(counts) == -(-orders // STEPS_MAX)


def test_the_ring_of_answers_wraps():
    """A session gets its first answers again for exactly the last 4,096 numbers, after any number of turns."""
    venue = Venue(Engine())
    venue.instrument()
    venue.send(m.GrantSession, account=BUYER, grantee=5, role=1)

    def cancel(inbound, client):
        columns = {"instrument": 1, "account": BUYER, "client_order_id": client}
        return venue.send(m.CancelOrder, session=5, inbound=inbound, **columns)

    sent = 0
    for last in (1, RING_SIZE - 1, RING_SIZE, RING_SIZE + 1, 2 * RING_SIZE, 3 * RING_SIZE + 7):
        for inbound in range(sent + 1, last + 1):
            assert cancel(inbound, inbound)[0].outbound == inbound
        sent = last
        oldest = max(last - RING_SIZE + 1, 1)
        for inbound in {oldest, oldest + 1, last} & {*range(1, last + 1)}:
            (event,) = cancel(inbound, inbound)
            assert (event.KIND, event.first, event.count) == (m.Repeated.KIND, inbound, 1)
            assert reason(cancel(inbound, inbound + 1)) == RejectReason.INBOUND_CONFLICT
        assert reason(cancel(oldest - 1, 1)) == RejectReason.INBOUND_TOO_OLD
        assert reason(cancel(last + 2, 1)) == RejectReason.INBOUND_GAP
        venue.to.machine = Machine.restore(venue.to.machine.rows())


def test_definitions_at_their_bound():
    """Numbers of currencies, instruments, firms, accounts and sessions reach their bounds and not beyond."""
    venue = Venue()
    bounds = [
        (m.DefineCurrency, "currency", 65_535, {"symbol": "X"}),
        (
            m.DefineInstrument,
            "instrument",
            65_535,
            {"symbol": "X", "currencies": pack_halves(1, 2), "price_max": 1, "quantity_max": 1},
        ),
        (m.OpenAccount, "account", 2**20 - 1, {"firm": 65_535}),
        (m.OpenAccount, "firm", 65_535, {"account": 2**20 - 1}),
        (m.GrantSession, "grantee", 2**20 - 1, {"role": 2}),
        (m.GrantSession, "firm", 65_535, {"grantee": 1, "role": 3}),
        (m.SetCredential, "grantee", 2**20 - 1, {"hash_0": 1, "cost": COST_MIN}),
        (m.SetCredential, "cost", COST_MAX, {"hash_0": 1, "grantee": 1}),
    ]
    for of, name, largest, columns in bounds:
        for number in (largest + 1, 0, -1, NEVER, -NEVER - 1):
            assert reason(venue.send(of, **columns | {name: number})) == RejectReason.INVALID_DEFINITION
        assert not isinstance(venue.send(of, **columns | {name: largest})[0], m.Rejected)
    venue.to.reload()
    venue.to.check()
    assert isinstance(from_row(venue.to.machine.rows()), m.EngineState)


def test_epochs_and_clocks_at_their_bound():
    """An epoch and an accepted clock go to 2^62 - 1 and not beyond, also from the far ends of 64 bits."""
    venue = Venue()
    for of, name, why in (
        (m.Promote, "epoch", RejectReason.INVALID_EPOCH),
        (m.AcceptClock, "clock", RejectReason.INVALID_CLOCK),
    ):
        for number in (SUM_MAX + 1, 0, -1, NEVER, -NEVER - 1):
            assert reason(venue.send(of, **{name: number})) == why
        (told,) = venue.send(of, **{name: SUM_MAX})
        assert getattr(told, name) == SUM_MAX
    assert reason(venue.send(m.Promote, epoch=SUM_MAX)) == RejectReason.INVALID_EPOCH
    venue.to.reload()
    venue.to.check()

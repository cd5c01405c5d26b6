"""Every arithmetic site of the market's rules at its bound, against the naive model's exact integers.

Prices and amounts of orders here; limits, exposures and positions in test_bounds_limits.py.
"""

import itertools

import pytest

from core import messages as m
from core.kinds import BASIS_POINTS, EXPOSURES, HIDDEN, MARKET_RESTS, PEG_SHIFT, Peg, Rounding
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.limits import BASIS_POINTS_MAX, FEE_SCALE, GROUP_MAX, NEVER, PRICE_MAX, QUANTITY_MAX, RATE_MAX, SUM_MAX
from core.reasons import CancelReason, RejectReason
from core.rows import pack_halves, rows
from tests.venue import BUY, BUYER, SELL, SELLER, Venue, reason

pytestmark = pytest.mark.both

PRICES = (1, 2, 2**20, 2**39 - 1, 2**39, PRICE_MAX - 1, PRICE_MAX)


def venue_of(bits=0, divisor=1, rules=None, **terms):
    """An instrument with rules and both accounts funded with all there can be."""
    venue = Venue()
    venue.instrument(divisor=divisor, **terms)
    venue.fund()
    if bits or rules:
        venue.rules(bits, **(rules or {}))
    return venue


def triggers(venue):
    """The trigger prices of all orders that wait, the engine's and the model's, which are the same."""
    state = rows(venue.to.machine.rows())
    found = {row.order_number: row.trigger_price for row in state if isinstance(row, m.TermsState) and row.waits}
    assert found == {o.number: o.trigger for o in venue.to.model.orders if o.waits}
    return [found[number] for number in sorted(found)]


@pytest.mark.parametrize("protection", [1, 2**39, PRICE_MAX])
def test_protection_ends_at_the_prices_of_the_instrument(protection):
    """The limit is the best price plus or less the protection, at most price_max and at least 1."""
    for best in PRICES:
        venue = venue_of(MARKET_RESTS, divisor=SUM_MAX, rules={"protection": protection})
        venue.enter(SELL, best, 1)
        (accepted, *_) = venue.enter(BUY, 0, 2)
        assert accepted.price == min(best + protection, PRICE_MAX)
        (accepted, *_) = venue.enter(SELL, 0, 2)
        assert accepted.price == max(accepted.price, 1) == max(min(best + protection, PRICE_MAX) - protection, 1)
        for side, tif in itertools.product((BUY, SELL), (Tif.IOC, Tif.FOK)):
            venue.enter(side, 0, 1, tif)
        venue.to.check()
    assert reason(venue.rules(protection=PRICE_MAX + 1)) == RejectReason.INVALID_DEFINITION


@pytest.mark.parametrize("collar", [1, 999_999, FEE_SCALE])
def test_collars_are_exact(collar):
    """A price off the last one by just the collar enters, one tick more does not."""
    for last in PRICES:
        venue = venue_of(rules={"collar": collar}, divisor=SUM_MAX)
        venue.trade(last)
        for base, of, columns in (
            (last, Type.LIMIT, {}),
            (PRICE_MAX, Type.STOP_LIMIT, {"trigger_price": PRICE_MAX}),
            (1, Type.LIMIT_IF_TOUCHED, {"trigger_price": 1}),
        ):
            width = base * collar // FEE_SCALE
            for side, price in ((BUY, base + width), (SELL, base - width)):
                sign = 1 if side == BUY else -1
                if 1 <= price <= PRICE_MAX:
                    assert isinstance(venue.enter(side, price, 1, of=of, **columns)[0], m.Accepted)
                if 1 <= price + sign <= PRICE_MAX:
                    assert reason(venue.enter(side, price + sign, 1, of=of, **columns)) == RejectReason.OUTSIDE_COLLAR
                venue.send(m.MassCancel)
        venue.to.check()


def test_trailing_offsets_at_their_bound():
    """Triggers follow by up to 2^40 - 1 ticks or 9,999 basis points, never back, never out of the instrument's prices."""
    offsets = [(1, 0), (PRICE_MAX, 0), (1, BASIS_POINTS), (BASIS_POINTS_MAX, BASIS_POINTS)]
    for (offset, bits), last in itertools.product(offsets, PRICES):
        venue = venue_of(divisor=SUM_MAX)
        for side, trigger in ((BUY, PRICE_MAX), (SELL, 1)):
            columns = {"of": Type.TRAILING_STOP, "bits": bits, "trigger_price": trigger, "offset": offset}
            assert isinstance(venue.enter(side, 0, 1, **columns)[0], m.Accepted)
        if 1 < last < PRICE_MAX:
            venue.trade(last)
            width = max(last * offset // 10_000, 1) if bits else offset
            assert triggers(venue) == [min(last + width, PRICE_MAX), max(last - width, 1)]
        else:
            assert venue.trade(last)[-1].KIND in {m.Triggered.KIND, m.Canceled.KIND, m.Settled.KIND}
        venue.to.reload()
        for price in (last // 2 or 1, PRICE_MAX, 1):
            venue.trade(price)
            triggers(venue)
        venue.to.check()
    for wrong, bits in ((0, 0), (PRICE_MAX + 1, 0), (10_000, BASIS_POINTS), (-1, 0), (NEVER, 0), (-NEVER - 1, 0)):
        columns = {"of": Type.TRAILING_STOP, "bits": bits, "trigger_price": 1, "offset": wrong}
        expected = RejectReason.INVALID_PRICE if wrong else {RejectReason.INVALID_PRICE, RejectReason.INVALID_QUANTITY}
        found = reason(venue.enter(SELL, 0, 1, **columns))
        assert found == expected or found in expected


def test_a_trailing_stop_goes_by_the_last_price_where_prices_were_lowered():
    """The last price may lie above a price_max that came later, which is for orders that enter from then on."""
    venue = venue_of()
    venue.enter(SELL, 900, 1)
    venue.enter(SELL, 0, 1, of=Type.TRAILING_STOP, trigger_price=100, offset=10)
    columns = {"instrument": 1, "symbol": "I1", "currencies": pack_halves(2, 1), "quantity_max": QUANTITY_MAX}
    venue.send(m.DefineInstrument, price_max=500, **columns)
    venue.enter(BUY, 0, 1, Tif.IOC)
    assert triggers(venue) == [890]
    venue.to.check()


@pytest.mark.parametrize("peg", Peg)
def test_pegs_at_the_far_ends_of_prices(peg):
    """Reference plus offset, the middle of the largest prices, and one tick short of the other side are exact."""
    for bid, ask in itertools.combinations(PRICES, 2):
        venue = venue_of(divisor=SUM_MAX)
        venue.enter(BUY, bid, 1)
        venue.enter(SELL, ask, 1)
        for side, offset, hidden in itertools.product((BUY, SELL), (-PRICE_MAX, -1, 0, 1, PRICE_MAX), (0, HIDDEN)):
            columns = {"of": Type.PEGGED, "bits": peg << PEG_SHIFT | hidden, "offset": offset}
            venue.enter(side, PRICE_MAX if side == BUY else 0, 1, **columns)
        venue.enter(BUY, 1, 2)
        venue.enter(SELL, PRICE_MAX, 2)
        venue.to.check()
        venue.to.reload()
    for wrong in (PRICE_MAX + 1, -PRICE_MAX - 1, NEVER, -NEVER - 1):
        columns = {"of": Type.PEGGED, "bits": peg << PEG_SHIFT, "offset": wrong}
        assert reason(venue.enter(BUY, 1, 1, **columns)) == RejectReason.INVALID_PRICE


def test_a_peg_whose_notional_would_pass_its_bound_is_parked():
    """The limit bounds the notional of a buy; a sell without one is parked where its price is too high for its size."""
    venue = venue_of()
    venue.enter(SELL, 2**22 + 1, 1)
    (accepted,) = venue.enter(SELL, 0, QUANTITY_MAX, of=Type.PEGGED)
    assert (accepted.price, accepted.flags >> 32 & 1) == (0, 0)
    (*_, restated) = venue.enter(SELL, 2**22, 1)
    assert (restated.KIND, restated.price) == (m.Restated.KIND, 2**22)
    assert reason(venue.enter(BUY, 2**22 + 1, QUANTITY_MAX, of=Type.PEGGED)) == RejectReason.INVALID_NOTIONAL
    venue.to.check()


@pytest.mark.parametrize("rounding", Rounding)
def test_bounds_of_the_notional_at_their_bound(rounding):
    """Notionals of 2^62 - 1 and around are compared with bounds of 2^62 - 1 and around."""
    for low, high in ((0, SUM_MAX), (SUM_MAX, SUM_MAX), (0, SUM_MAX - 1), (SUM_MAX - 1, SUM_MAX - 1), (1, 1)):
        for multiplier, price, quantity in ((SUM_MAX, 1, 1), (SUM_MAX - 1, 1, 1), (1, 3, SUM_MAX // 3), (1, 1, 1)):
            for divisor in (1, 2, SUM_MAX):
                venue = Venue()
                venue.instrument(multiplier, divisor, 1, rounding)
                venue.fund()
                venue.rules(notional_min=low, notional_max=high)
                for part in {min(quantity, QUANTITY_MAX), 1}:
                    venue.enter(BUY, price, part, Tif.IOC)
                    venue.enter(SELL, 0, part, of=Type.STOP, trigger_price=price)
                venue.to.check()
    for wrong in ({"notional_min": SUM_MAX + 1}, {"notional_max": SUM_MAX + 1}, {"quantity_min": QUANTITY_MAX + 1}):
        assert reason(venue.rules(**{"notional_min": 1, "notional_max": 1} | wrong)) == RejectReason.INVALID_DEFINITION


@pytest.mark.parametrize("fee", [0, 1, 999_999, FEE_SCALE])
@pytest.mark.parametrize("maker", [0, -1_000_000])
def test_budgets_to_their_bound(fee, maker):
    """A budget up to 2^62 - 1 buys as many lots as it pays with the fee, to the last unit."""
    for budget in (SUM_MAX, SUM_MAX - 1, 2**61 + 1, 2**61, PRICE_MAX, 1):
        for price, quantity in ((PRICE_MAX, SUM_MAX // PRICE_MAX), (1, QUANTITY_MAX), (2**22 - 1, QUANTITY_MAX)):
            venue = venue_of(fees=(max(maker, -fee), fee))
            venue.enter(SELL, price, quantity // 2)
            venue.enter(SELL, price, quantity - quantity // 2 - 1)
            told = venue.enter(BUY, 0, budget, Tif.IOC, of=Type.SPEND_AT_MOST)
            spent = sum(e.quote_amount + max(e.buyer_fee, 0) for e in told if isinstance(e, m.Settled))
            left = told[-1].quantity if isinstance(told[-1], m.Canceled) else 0
            assert spent + left == budget
            venue.to.check()
    for wrong in (SUM_MAX + 1, 0, -1, NEVER, -NEVER - 1):
        found = venue.enter(BUY, 0, wrong, Tif.IOC, of=Type.SPEND_AT_MOST)
        assert reason(found) == RejectReason.INVALID_QUANTITY


@pytest.mark.parametrize("display", [1, 2, 2**39, QUANTITY_MAX - 1, QUANTITY_MAX])
def test_icebergs_of_the_largest_quantity(display):
    """What is shown, and how many displays count, is exact for quantities to 2^40 - 1."""
    venue = venue_of(divisor=SUM_MAX)
    venue.enter(SELL, 1, QUANTITY_MAX, display_quantity=display)
    few = min(display, QUANTITY_MAX - 1) if display > 2 else 5
    venue.enter(BUY, 1, few, Tif.FOK)
    told = venue.enter(BUY, 1, QUANTITY_MAX - few, Tif.FOK)
    if display <= 2:
        assert told[-1].reason == CancelReason.FILL_OR_KILL
    else:
        assert told[-1].KIND == m.Settled.KIND
    assert reason(venue.enter(SELL, 1, 9, display_quantity=10)) == RejectReason.INVALID_QUANTITY
    for wrong in (-1, NEVER, -NEVER - 1):
        assert reason(venue.enter(SELL, 1, 9, display_quantity=wrong)) == RejectReason.INVALID_QUANTITY
        assert reason(venue.enter(SELL, 1, 9, minimum_quantity=wrong)) == RejectReason.INVALID_QUANTITY
    venue.to.check()


def test_values_of_operators_at_their_bound():
    """Limits, groups and rules go to their bounds and not beyond, also from the far ends of 64 bits."""
    venue = venue_of(EXPOSURES)
    most = {
        1: QUANTITY_MAX,
        2: SUM_MAX,
        3: RATE_MAX,
        4: SUM_MAX,
        5: QUANTITY_MAX,
        6: RATE_MAX,
        7: RATE_MAX,
        8: RATE_MAX,
    }
    for limit, largest in most.items():
        columns = {"account": BUYER, "limit": limit, "instrument": 1 if limit in {2, 4, 5} else 0}
        second = 1 if limit in {6, 7} else 0
        for value in (largest + 1, 0, -1, NEVER, -NEVER - 1):
            found = venue.send(m.SetLimit, value=value, second=second, **columns)
            assert reason(found) == RejectReason.INVALID_DEFINITION
        venue.send(m.SetLimit, value=largest, second=second, **columns)
        for value in (RATE_MAX + 1, -1, NEVER, -NEVER - 1):
            found = venue.send(m.SetLimit, value=1, second=value, **columns)
            assert reason(found) == RejectReason.INVALID_DEFINITION
        if second:
            venue.send(m.SetLimit, value=1, second=RATE_MAX, **columns)
    for until in (SUM_MAX + 1, 1, -1, NEVER, -NEVER - 1):
        found = venue.send(m.SetLimit, account=BUYER, limit=3, value=1, until=until)
        assert reason(found) == RejectReason.INVALID_EXPIRY
    venue.send(m.SetLimit, account=BUYER, limit=3, value=1, until=SUM_MAX)
    for group in (GROUP_MAX + 1, -1, NEVER, -NEVER - 1):
        assert reason(venue.send(m.SetAccount, account=SELLER, state=1, group=group)) == RejectReason.INVALID_DEFINITION
    venue.send(m.SetAccount, account=SELLER, state=1, group=GROUP_MAX)
    venue.to.reload()
    venue.to.check()

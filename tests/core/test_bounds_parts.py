"""Commands of several parts, quotes and links at their bounds, and what a refusal leaves behind."""

import pytest

from core import messages as m
from core.check import check
from core.kinds import EXPOSURES, MARKET_RESTS, QUOTE, REDUCE_ONLY, ROW_SIZE, Link
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.limits import (
    FOLLOWERS_MAX,
    MATCHES_MAX,
    PARTS_MAX,
    PRICE_MAX,
    QUANTITY_MAX,
    QUOTES_MAX,
    REDUCING_MAX,
    SUM_MAX,
)
from core.machine import Machine
from core.reasons import CancelReason, RejectReason
from core.rows import rows
from tests.streams import flags
from tests.venue import BUY, BUYER, SELL, SELLER, Engine, Venue

pytestmark = pytest.mark.both


class Parts(Venue):
    """A venue of the engine alone, whose invariants are checked at the end of every command of several parts."""

    def __init__(self):
        super().__init__(Engine())

    def detail(self, side, price, quantity, tif=Tif.GTC, of=None, bits=0, **columns):
        """The columns of a part; by its price a limit or a market order."""
        self.ids += 1
        order_type = of or (Type.LIMIT if price else Type.MARKET)
        columns = {"instrument": 1, "client_order_id": self.ids} | columns
        return columns | {"flags": flags(side, order_type, tif) | bits, "price": price, "quantity": quantity}

    def parts(self, head, parts, of=m.Detail, account=BUYER, **columns):
        """All events of a command of several parts."""
        found = self.send(head, account=account, parts=len(parts), **columns)
        for part in parts:
            found += self.send(of, **part)
        check(self.to.machine.engine)
        return found

    def batch(self, parts, account=BUYER):
        return self.parts(m.EnterBatch, parts, account=account)

    def link(self, kind, *parts, account=BUYER):
        return self.parts(m.LinkOrders, parts, account=account, flags=kind)

    def digest(self):
        """What of the state no refused command may change: all but the row that counts, its clock and the events."""
        state = rows(self.to.machine.rows())
        return [row for row in state if not isinstance(row, m.EngineState | m.FirmState) and 512 < row.KIND < 540]


def venue_of(bits=0, **terms):
    venue = Parts()
    venue.instrument(**terms)
    venue.fund()
    if bits:
        venue.rules(bits)
    return venue


def refusals(events):
    return [(event.part, RejectReason(event.reason)) for event in events if isinstance(event, m.Rejected)]


def canceled(events):
    return [(event.order_number, CancelReason(event.reason)) for event in events if isinstance(event, m.Canceled)]


@pytest.mark.parametrize(("count", "taken"), [(0, False), (1, True), (PARTS_MAX, True), (PARTS_MAX + 1, False)])
@pytest.mark.parametrize(("head", "part"), [(m.EnterBatch, m.Detail), (m.MassQuote, m.QuoteDetail)])
def test_a_command_has_1_to_64_parts(head, part, count, taken):
    venue = venue_of()
    events = venue.send(head, account=BUYER, parts=count)
    assert refusals(events) == ([] if taken else [(0, RejectReason.MALFORMED)])
    assert len(venue.to.machine.engine.staged) == taken
    if taken:
        for _ in range(count):
            events = venue.send(part, instrument=1)
        assert not venue.to.machine.engine.staged
        assert events


@pytest.mark.parametrize("kind", [-1, *range(5), SUM_MAX])
def test_a_link_has_the_parts_that_its_kind_says(kind):
    for count in (0, 1, 2, 3, 4, SUM_MAX):
        venue = venue_of()
        venue.send(m.LinkOrders, account=BUYER, flags=kind, parts=count)
        right = {Link.ONE_CANCELS_OTHER: 2, Link.ONE_TRIGGERS_OTHER: 2, Link.BRACKET: 3}.get(kind)
        assert bool(venue.to.machine.engine.staged) == (count == right)


@pytest.mark.parametrize(("number", "taken"), [(-1, False), (0, True), (SUM_MAX, True), (SUM_MAX + 1, False)])
@pytest.mark.parametrize("head", [("EnterBatch", "batch_id"), ("LinkOrders", "link_id"), ("MassQuote", "quote_id")])
def test_the_clients_number_is_within_bounds(head, number, taken):
    venue = venue_of()
    flag = {"flags": 1, "parts": 2} if head[0] == "LinkOrders" else {"parts": 1}
    venue.send(getattr(m, head[0]), account=BUYER, **flag, **{head[1]: number})
    assert bool(venue.to.machine.engine.staged) == taken


def test_a_command_can_be_cut_anywhere():
    """By a snapshot behind each of its rows: the same events, and the same state."""
    venue = venue_of()
    parts = [venue.row(m.EnterBatch, account=BUYER, parts=PARTS_MAX)]
    parts += [venue.row(m.Detail, **venue.detail(BUY, 100 + n, 1)) for n in range(PARTS_MAX)]
    whole = Machine.restore(venue.to.machine.rows())
    events = whole.apply(b"".join(parts), 0, len(parts) * ROW_SIZE)
    machine, told = venue.to.machine, b""
    for row in parts:
        machine = Machine.restore(machine.rows())
        check(machine.engine)
        told += machine.apply(row, 0, ROW_SIZE)
    assert told == events
    assert machine.rows() == whole.rows()


def test_a_refused_batch_leaves_nothing_behind():
    """Sixty-three orders of every kind are held, the last one is refused: the state is what it was."""
    venue = venue_of(EXPOSURES)
    venue.enter(SELL, 100, 10)
    venue.enter(BUY, 100, 10)
    venue.enter(SELL, 200, 5)
    venue.enter(BUY, 0, 1, of=Type.STOP, trigger_price=900)
    venue.send(m.AdvanceTime)
    parts = [venue.detail(BUY, 50 + n, 1) for n in range(20)]
    parts += [venue.detail(BUY, 0, 1, of=Type.STOP, trigger_price=300 + n) for n in range(10)]
    parts += [venue.detail(BUY, 0, 1, of=Type.TRAILING_STOP, trigger_price=400, offset=5) for _ in range(10)]
    parts += [venue.detail(BUY, 90, 1, of=Type.PEGGED) for _ in range(10)]
    parts += [venue.detail(SELL, 300, 1, bits=REDUCE_ONLY) for _ in range(5)]
    parts += [venue.detail(BUY, 30, 1, bits=QUOTE) for _ in range(5)]
    parts += [venue.detail(BUY, 30, 1, Tif.GTD, expires=SUM_MAX) for _ in range(3)]
    before, engine = venue.digest(), venue.to.machine.engine
    numbers, due = engine.order_numbers, engine.due()
    watch = (engine.instrument(1).watch, engine.instrument(1).special)
    events = venue.batch([*parts, venue.detail(BUY, PRICE_MAX + 1, 1)])
    assert refusals(events) == [(64, RejectReason.INVALID_PRICE)]
    assert venue.digest() == before
    assert (engine.order_numbers, engine.due()) == (numbers, due)
    assert (engine.instrument(1).watch, engine.instrument(1).special) == watch


def test_reservations_of_a_batch_end_at_what_the_account_holds():
    for missing in (0, 1):
        venue = Parts()
        venue.instrument()
        venue.fund(dollars=PARTS_MAX * QUANTITY_MAX - missing)
        events = venue.batch([venue.detail(BUY, 1, QUANTITY_MAX) for _ in range(PARTS_MAX)])
        assert refusals(events) == ([(PARTS_MAX, RejectReason.INSUFFICIENT_FUNDS)] if missing else [])


def test_orders_that_cancel_each_other_are_covered_by_one_holding():
    for missing in (0, 1):
        venue = Parts()
        venue.instrument()
        venue.fund(bitcoins=QUANTITY_MAX - missing)
        stop = venue.detail(SELL, 0, QUANTITY_MAX, of=Type.STOP, trigger_price=5)
        events = venue.link(Link.ONE_CANCELS_OTHER, venue.detail(SELL, 9, QUANTITY_MAX - missing), stop, account=SELLER)
        assert refusals(events) == ([(2, RejectReason.INSUFFICIENT_FUNDS)] if missing else [])


def test_orders_of_one_command_meet_so_many_orders_together():
    """What the first has left is for the others; the bound is whole again for the next row."""
    venue = venue_of()
    for _ in range(MATCHES_MAX + 2):
        venue.enter(SELL, 100, 1)
    parts = [venue.detail(BUY, 100, MATCHES_MAX - 1), venue.detail(BUY, 100, 1, Tif.FOK)]
    parts += [venue.detail(BUY, 100, 2), venue.detail(BUY, 100, 1), venue.detail(BUY, 99, 1)]
    events = venue.batch(parts)
    first = next(event.order_number for event in events if isinstance(event, m.Accepted))
    assert sum(isinstance(event, m.Settled) for event in events) == MATCHES_MAX
    assert canceled(events) == [
        (first + 1, CancelReason.FILL_OR_KILL),
        (first + 2, CancelReason.MATCH_LIMIT),
        (first + 3, CancelReason.MATCH_LIMIT),
    ]
    assert sum(isinstance(event, m.Settled) for event in venue.enter(BUY, 100, 2, Tif.FOK)) == 2


def test_held_orders_count_among_those_that_follow():
    for of, columns in ((Type.TRAILING_STOP, {"trigger_price": 5, "offset": 1}), (Type.PEGGED, {"offset": 0})):
        price = 9 if of == Type.PEGGED else 0
        venue = venue_of()
        for _ in range(FOLLOWERS_MAX - 2):
            venue.enter(SELL, price, 1, of=of, **columns)
        follower = venue.detail(BUY, price, 1, of=of, **columns)
        assert not refusals(venue.link(Link.ONE_TRIGGERS_OTHER, venue.detail(BUY, 5, 1), follower))
        more = [venue.detail(BUY, price, 1, of=of, **columns) for _ in range(2)]
        assert refusals(venue.batch(more)) == [(2, RejectReason.FOLLOWERS_FULL)]
        assert not refusals(venue.batch(more[:1]))
        assert refusals(venue.enter(BUY, price, 1, of=of, **columns)) == [(0, RejectReason.FOLLOWERS_FULL)]
        check(venue.to.machine.engine)


def test_64_quotes_live_at_most():
    venue = venue_of()
    quotes = [
        {"bid_client_order_id": 1_000 + n, "bid_price": 1 + n, "bid_quantity": 1, "instrument": 1}
        for n in range(PARTS_MAX)
    ]
    assert not refusals(venue.parts(m.MassQuote, quotes, m.QuoteDetail))
    more = {"ask_client_order_id": 5, "ask_price": 200, "ask_quantity": 1, "instrument": 1}
    assert refusals(venue.parts(m.MassQuote, [more], m.QuoteDetail)) == [(1, RejectReason.FOLLOWERS_FULL)]
    assert refusals(venue.enter(BUY, 1, 1, bits=QUOTE)) == [(0, RejectReason.FOLLOWERS_FULL)]
    assert len(venue.to.machine.engine.account(BUYER).quoting(1).quotes) == QUOTES_MAX


def test_the_65th_reduce_only_order_has_no_room_when_it_is_activated():
    venue = venue_of(EXPOSURES)
    venue.enter(SELL, 100, 200)
    venue.enter(BUY, 100, 100)
    held = venue.detail(SELL, 300, 1, bits=REDUCE_ONLY)
    assert not refusals(venue.link(Link.ONE_TRIGGERS_OTHER, venue.detail(BUY, 99, 1), held))
    for _ in range(REDUCING_MAX):
        venue.enter(SELL, 200, 1, account=BUYER, bits=REDUCE_ONLY)
    parent = venue.to.machine.engine.order_numbers - REDUCING_MAX - 1
    events = venue.enter(SELL, 99, 1)
    assert canceled(events) == [(parent + 1, CancelReason.NO_ROOM)]
    check(venue.to.machine.engine)


def test_a_held_order_gets_no_price_whose_notional_passes_the_bound():
    """A market order that may stand has its limit by the book at its activation."""
    venue = venue_of(0, multiplier=2**30)
    venue.rules(MARKET_RESTS, protection=PRICE_MAX)
    held = venue.detail(BUY, 0, QUANTITY_MAX, Tif.GTC, of=Type.MARKET)
    assert refusals(venue.link(Link.ONE_TRIGGERS_OTHER, venue.detail(BUY, 1, 2**20), held)) == []
    venue.enter(SELL, 2**31, 1)
    events = venue.enter(SELL, 1, 2**20)
    assert [event.price for event in events if isinstance(event, m.Activated)] == [PRICE_MAX]
    assert CancelReason.NO_ROOM in {reason for _, reason in canceled(events)}
    check(venue.to.machine.engine)


def test_quantities_of_quotes_at_their_bounds():
    for quantity, reason in ((-1, "INVALID_QUANTITY"), (QUANTITY_MAX, None), (QUANTITY_MAX + 1, "INVALID_QUANTITY")):
        venue = venue_of()
        quote = {"bid_client_order_id": 1, "bid_price": 1, "bid_quantity": quantity, "instrument": 1}
        expected = [(1, RejectReason[reason])] if reason else []
        assert refusals(venue.parts(m.MassQuote, [quote], m.QuoteDetail)) == expected


@pytest.mark.parametrize("number", [-SUM_MAX - 1, -SUM_MAX, SUM_MAX, SUM_MAX + 1])
def test_client_order_ids_of_quotes_are_within_bounds(number):
    venue = venue_of()
    for column in ("bid", "ask"):
        quote = {f"{column}_client_order_id": number, "instrument": 1}
        expected = [] if abs(number) <= SUM_MAX else [(1, RejectReason.MALFORMED)]
        assert refusals(venue.parts(m.MassQuote, [quote], m.QuoteDetail)) == expected

"""How much work one row is, on books from a hundred orders to a million: as docs/performance.md (Work of a row) says.

Counted are lines of core that run, not seconds; `make test` goes to ten thousand orders, the night to a million.
"""

import re

import pytest

from core import limits
from core import messages as m
from core.kinds import ALL_OR_NONE, EXPOSURES, HIDDEN, REDUCE_ONLY, SLIDE
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from tests.growth import ACCOUNTS, EXPIRY, MIDDLE, PLAIN, RULED, Book
from tests.paths import HERE
from tests.streams import flags
from tests.venue import BUY, SELL
from tools.build import build

pytestmark = pytest.mark.skipif(build() == "compiled", reason="lines of a compiled engine cannot be counted")

BOTH = (PLAIN, RULED)
ME = 3
"""The account that enters what is measured."""
A_TENFOLD = 90
"""Lines that a book ten times as large may add: four more halvings in each of a few searches."""
BRANCHES = 40
"""Lines by which rows may differ that do the same on another book."""
ROW = 1_000
"""Lines of a row beside those of its units of work."""
PROBES = {}


def probe(row):
    """Measures a row of the table; gives lines and units of work, once or several times."""

    def put(function):
        PROBES.setdefault(row, []).append(function)
        return function

    return put


def enter(book, side, price, quantity=1, tif=Tif.GTC, of=Type.LIMIT, bits=0, **columns):
    book.ids += 1
    columns = {"instrument": PLAIN, "account": ME, "client_order_id": book.ids} | columns
    return book.measure(m.EnterOrder, flags=flags(side, of, tif) | bits, price=price, quantity=quantity, **columns)


def matches(events):
    return len({event.match_number for event in events if isinstance(event, m.Settled)})


@probe("what operators say, and what is refused")
def of_operators(book):
    commands = [
        m.SetAccount(account=ME, state=1), m.SetLimit(account=ME, limit=1, value=2**39), m.Promote(epoch=2**30),
        m.SetRules(instrument=RULED, flags=EXPOSURES), m.SetTradingState(instrument=RULED, state=1),
        m.SetTradingState(account=ME, state=1), m.Deposit(account=ME, currency=1, amount=1),
        m.Withdraw(account=ME, currency=1, amount=1), m.OpenAccount(account=ME, firm=4, name=""),
        m.GrantSession(account=ME, grantee=1, role=1), m.DefineCurrency(currency=1, symbol="USD"),
        m.SetCredential(grantee=1, cost=10), m.AcceptClock(clock=1), m.Upgrade(version=2), m.Quarantine(named=1),
        m.Kill(account=ME, act=2), m.EndOfDay(day=0), m.MassCancel(account=4_000),
        m.CancelOrder(instrument=1, account=ME, client_order_id=2**50),
        m.EnterOrder(instrument=1, account=ME, client_order_id=2**50, flags=flags(BUY), price=0, quantity=1),
        m.DefineInstrument(instrument=9, symbol="A B"),
    ]  # fmt: skip
    for command in commands:
        columns = {name: getattr(command, name) for name in command.__struct_fields__}
        yield book.measure(type(command), **columns | {"sequence": book.sequence + 1, "time": book.time + 1})[0], 1
    book.send(m.AdvanceTime)


@probe("EnterOrder and ReplaceOrder of what stands or waits then, ReduceOrder, CancelOrder")
def one_order(book):
    """An order enters, is replaced, reduced and canceled: at a price that stands, at a new one, and far from the middle."""
    types = [
        ({}, BOTH), ({"bits": HIDDEN}, (RULED,)), ({"display_quantity": 2}, (RULED,)), ({"bits": SLIDE}, BOTH),
        ({"tif": Tif.GTD, "expires": EXPIRY * 2}, BOTH), ({"of": Type.STOP, "trigger_price": 2**30}, (RULED,)),
        ({"of": Type.STOP_LIMIT, "trigger_price": 2**30}, (RULED,)),
        ({"of": Type.MARKET_IF_TOUCHED, "trigger_price": 2**10}, (RULED,)),
        ({"of": Type.LIMIT_IF_TOUCHED, "trigger_price": 2**10}, (RULED,)),
        ({"of": Type.TRAILING_STOP, "trigger_price": 2**30, "offset": 9}, (RULED,)),
    ]  # fmt: skip
    for columns, instruments in types:
        priced = columns.get("of", Type.LIMIT) in {Type.LIMIT, Type.STOP_LIMIT, Type.LIMIT_IF_TOUCHED}
        for instrument in instruments:
            for price in (MIDDLE, MIDDLE - 1, MIDDLE - book.levels, 5) if priced else (0,):
                yield enter(book, BUY, price, 9, instrument=instrument, **columns)[0], 1
                names = {"instrument": instrument, "account": ME, "client_order_id": book.ids}
                again = names | {"original_client_order_id": book.ids, "price": price}
                for change in ({"quantity": 8}, {"quantity": 12}, {"price": price - priced, "quantity": 8}):
                    yield book.measure(m.ReplaceOrder, **again | change)[0], 1
                yield book.measure(m.ReduceOrder, quantity=1, **names)[0], 1
                yield book.measure(m.CancelOrder, **names)[0], 1


@probe("EnterOrder and ReplaceOrder of what trades: each order or display that it meets")
def trades(book):
    for instrument in BOTH:
        for quantity in (1, 15, 35):
            for columns in ({"of": Type.MARKET, "tif": Tif.IOC}, {}):
                price = 0 if "of" in columns else MIDDLE + 20
                lines, events = enter(book, BUY, price, quantity, instrument=instrument, **columns)
                yield lines, matches(events)
        for of in (Type.MARKET_TO_LIMIT, Type.SPEND_AT_MOST):
            quantity = 3 if of == Type.MARKET_TO_LIMIT else 3 * MIDDLE
            lines, events = enter(book, BUY, 0, quantity, Tif.IOC, of, instrument=instrument)
            yield lines, max(matches(events), 1)
        enter(book, SELL, MIDDLE + book.levels, 1, instrument=instrument)
        names = {"instrument": instrument, "account": ME, "client_order_id": book.ids}
        again = names | {"original_client_order_id": book.ids, "price": MIDDLE - 5, "quantity": 25}
        lines, events = book.measure(m.ReplaceOrder, **again)
        yield lines, matches(events)


@probe("FOK, all-or-none, minimum_quantity: each order in reach")
def at_once(book):
    """What looks at all orders of a side, and does not get enough."""
    for instrument in BOTH:
        too_many = 10 * book.per_side + 1
        for columns in ({"tif": Tif.FOK}, {"bits": ALL_OR_NONE}, {"minimum_quantity": too_many}):
            lines, events = enter(book, BUY, 2**21, too_many, instrument=instrument, **columns)
            assert isinstance(events[-1], m.Canceled)
            yield lines, min(book.per_side, limits.MATCHES_MAX)


@probe("a match where reduce-only orders stand: each of both accounts")
def positions(book):
    buyer, seller = ({"account": ACCOUNTS + more, "instrument": RULED} for more in (1, 2))
    book.enter(SELL, MIDDLE, 200, **seller)
    book.enter(BUY, MIDDLE, 200, **buyer)
    for at in range(limits.REDUCING_MAX):
        book.enter(SELL, MIDDLE + 9, 200 - at, bits=REDUCE_ONLY, **buyer)
    book.enter(SELL, MIDDLE, 190, **buyer)
    lines, events = enter(book, BUY, MIDDLE, 190, **seller)
    yield lines, 2 * limits.REDUCING_MAX
    assert sum(isinstance(event, m.Reduced) for event in events) == limits.REDUCING_MAX
    book.send(m.MassCancel, account=ACCOUNTS + 1)
    book.to.machine.engine.todos.clear()


def trade_above(book):
    """The last price is above the middle, where stops to sell wait for it."""
    assert matches(enter(book, BUY, 0, 1, Tif.IOC, Type.MARKET, instrument=RULED)[1]) == 1


@probe("triggers: each order that is triggered, or that it meets")
def triggers(book):
    trade_above(book)
    for _ in range(100):
        book.enter(SELL, 0, 1, of=Type.STOP, trigger_price=MIDDLE, instrument=RULED, account=ME)
    book.enter(SELL, MIDDLE, 1, instrument=RULED)
    lines, events = enter(book, BUY, MIDDLE, instrument=RULED)
    assert sum(isinstance(event, m.Triggered) for event in events) == 100
    yield lines, 200


@probe("trailing stops: each of the instrument, after each trigger")
def trails(book):
    trade_above(book)
    for at in range(30):
        columns = {"of": Type.TRAILING_STOP, "trigger_price": MIDDLE - 20_000 - at, "offset": 2**19}
        book.enter(SELL, 0, 1, instrument=RULED, account=ME, **columns)
    for _ in range(10):
        book.enter(SELL, 0, 1, of=Type.STOP, trigger_price=MIDDLE, instrument=RULED, account=ME)
    book.enter(SELL, MIDDLE, 1, instrument=RULED)
    lines, events = enter(book, BUY, MIDDLE, instrument=RULED)
    assert sum(isinstance(event, m.Triggered) for event in events) == 10
    yield lines, 30 * 11
    clear(book, Type.TRAILING_STOP)


@probe("pegged orders: each of the instrument, past each of the others")
def pegs(book):
    """The worst there is: all of them stand before the order that they are pegged to."""
    for _ in range(20):
        book.enter(BUY, MIDDLE + 9, 1, of=Type.PEGGED, offset=1, instrument=RULED, account=ME)
    lines, events = enter(book, BUY, MIDDLE, instrument=RULED)
    assert sum(isinstance(event, m.Restated) for event in events) in {0, 20}
    yield lines, 20 * 20
    clear(book, Type.PEGGED)
    yield book.measure(m.CancelOrder, instrument=RULED, account=ME, client_order_id=book.ids)[0], 1


def clear(book, of):
    """Cancel the followers of the measured account."""
    engine = book.to.machine.engine
    for order in [o for o in engine.account(ME).orders.values() if o.flags >> 1 & 15 == of]:
        names = {"instrument": RULED, "account": ME, "client_order_id": order.client_order_id}
        book.send(m.CancelOrder, **names)


def details(book, orders, head=m.EnterBatch, **columns):
    """The lines of the last row of a command of several parts, and its events."""
    book.send(head, account=ME, parts=len(orders), **columns)
    for at, (side, price, quantity, more) in enumerate(orders, start=1):
        book.ids += 1
        of, bits = more.get("of", Type.LIMIT), more.get("bits", 0)
        one = {"client_order_id": book.ids, "price": price, "quantity": quantity, "instrument": PLAIN}
        one |= {name: value for name, value in more.items() if name not in {"of", "bits"}}
        work = book.measure if at == len(orders) else book.send
        done = work(m.Detail, flags=flags(side, of, Tif.GTC) | bits, **one)
    return done


@probe("EnterBatch and LinkOrders: each order, and each order or display that it meets")
def batches(book):
    """All enter and stand; they trade; and the last one is refused, so that all others are let go."""
    standing = [(BUY, MIDDLE - 1 - at, 1, {}) for at in range(limits.PARTS_MAX)]
    yield details(book, standing)[0], limits.PARTS_MAX
    lines, events = details(book, [(BUY, MIDDLE + 20, 5, {}) for _ in range(4)])
    yield lines, 4 + matches(events)
    lines, events = details(book, [*standing[:-1], (BUY, 0, 1, {})])
    assert isinstance(events[-1], m.Rejected)
    yield lines, limits.PARTS_MAX
    stop = (SELL, 0, 1, {"of": Type.STOP, "trigger_price": MIDDLE - 2**19})
    bracket = [(BUY, MIDDLE - 1, 1, {}), (SELL, MIDDLE + 2**19, 1, {}), stop]
    for at in range(2):
        yield details(book, bracket, m.LinkOrders, flags=3)[0], 3
        names = {"instrument": PLAIN, "account": ME, "client_order_id": book.ids - 2 * at}
        # Canceling one of three cancels the others.
        yield book.measure(m.CancelOrder, **names)[0], 3


@probe("MassQuote: each quote that goes, stays or comes")
def mass_quotes(book):
    """Quotes come, are cut, and are replaced."""
    for change in (0, 1, 2):
        parts = limits.PARTS_MAX // 2
        book.send(m.MassQuote, account=ME, parts=parts, flags=1)
        for at in range(parts):
            quote = {"instrument": RULED, "bid_client_order_id": 2**40 + at, "ask_client_order_id": 2**41 + at}
            quote |= {"bid_price": MIDDLE // 2 - at - (change == 2), "bid_quantity": 3 - (change > 0)}
            quote |= {"ask_price": MIDDLE * 2 + at + (change == 2), "ask_quantity": 3 - (change > 0)}
            done = (book.measure if at == parts - 1 else book.send)(m.QuoteDetail, **quote)
        lines, _ = done
        yield lines, 2 * parts * (2 if change == 2 else 1)
    book.send(m.MassQuote, account=ME, parts=1, flags=1)
    yield book.measure(m.QuoteDetail, instrument=RULED)[0], 2 * parts


@probe("SetTradingState of the venue, and AdvanceTime after it: each instrument number")
def venue_opens(book):
    for of, columns in ((m.SetTradingState, {"state": 1}), (m.AdvanceTime, {})):
        yield book.measure(of, **columns)[0], 2


@probe("AdvanceTime: each expiry")
def expiries(book):
    book.time = EXPIRY + book.per_side
    lines, events = book.measure(m.AdvanceTime)
    yield lines, sum(isinstance(event, m.Expired) for event in events)


@probe("MassCancel, Kill, EndOfDay and AdvanceTime: each order or account number")
def mass(book):
    engine = book.to.machine.engine
    for of, columns in (
        (m.MassCancel, {"instrument": PLAIN, "flags": 1}), (m.Kill, {"firm": 3, "act": 1}), (m.EndOfDay, {"day": 5}),
    ):  # fmt: skip
        for row in ((of, columns), (m.AdvanceTime, {})):
            steps = sum(account.open for account in engine.accounts if account) + len(engine.accounts)
            lines, _ = book.measure(row[0], **row[1])
            yield lines, min(steps, limits.STEPS_MAX)
        while engine.todos:
            engine.drop_todo()


@probe("a new number: each number up to it")
def new_numbers(book):
    yield book.measure(m.OpenAccount, account=5_000, firm=1, name="")[0], 5_000
    yield book.measure(m.GrantSession, account=ME, grantee=6_000, role=1)[0], 6_000


def table():
    """The rows of the table in the document: what they grow with, the most units of work of a row, and lines for one."""
    text = (HERE / "docs" / "performance.md").read_text().split("\n## Work of a row\n")[1].split("\n## ")[0]
    found = re.findall(r"^\| ([^|]+?) \| ([a-z]+?) \| ([\d,]*?) ?\| ([\d,]*?) ?\|$", text, re.MULTILINE)
    return {row: (grows, number(most), number(lines)) for row, grows, most, lines in found}


def number(text):
    return int(text.replace(",", "")) if text else 0


def grown(sizes, wide):
    """Every probe on a book of each size: {(row, index of the measurement): [(size, lines, units), ...]}."""
    found = {}
    for size in sizes:
        book = Book(size, wide)
        for row, probes in PROBES.items():
            measured = [one for function in probes for one in function(book)]
            for at, (lines, units) in enumerate(measured):
                found.setdefault((row, at), []).append((size, lines, units))
    return found


def faults(found):
    """What grows otherwise than the table says."""
    rows = table()
    for (row, at), measured in found.items():
        grows, most, each = rows[row]
        for decade, (size, lines, units) in enumerate(measured):
            allowed = measured[0][1] + BRANCHES if not each else ROW + each * units
            if lines > allowed + A_TENFOLD * decade * (grows != "constant") or units > most > 0:
                yield f"{row} [{at}], {size} orders: {lines} lines for {units} units; {allowed} are allowed"
    for row, (_, _, each) in rows.items():
        worst = [
            lines / units for key, measured in found.items() if key[0] == row for _, lines, units in measured if units
        ]
        if each and max(worst) < each / 3:
            yield f"{row}: {max(worst)} lines for one, and {each} are granted"


def test_the_table_names_what_is_measured():
    """Each row of the table is measured, and its bounds are those of core."""
    rows = table()
    assert [*rows] == [*PROBES]
    assert {grows for grows, _, _ in rows.values()} == {"constant", "logarithm", "linear"}
    assert all((grows == "linear") == bool(most) == bool(each) for grows, most, each in rows.values())
    known = {value for value in vars(limits).values() if isinstance(value, int)}
    assert {most for _, most, _ in rows.values() if most} <= known | {
        2 * limits.REDUCING_MAX, limits.FOLLOWERS_MAX * (limits.STEPS_MAX + 1), limits.FOLLOWERS_MAX**2,
        limits.STEPS_MAX + limits.MATCHES_MAX, limits.PARTS_MAX + limits.MATCHES_MAX,
        limits.PARTS_MAX * (limits.QUOTES_MAX + 2),
    }  # fmt: skip


@pytest.mark.parametrize("wide", [True, False], ids=["wide", "tall"])
def test_work_of_a_row_on_books_to_ten_thousand_orders(wide):
    """Lines grow as the table says, on many levels and on one."""
    assert [*faults(grown((100, 1_000, 10_000), wide))] == []


@pytest.mark.night
@pytest.mark.parametrize("wide", [True, False], ids=["wide", "tall"])
def test_work_of_a_row_on_books_to_a_million_orders(wide):
    """The same for a hundred thousand and a million orders."""
    assert [*faults(grown((100, 10_000, 100_000, 1_000_000), wide))] == []


def test_at_once_looks_at_no_more_orders_than_it_may_meet():
    """On one level of any length a fill-or-kill order stops at the 65,537th, whatever the way of matching."""
    found = []
    for orders in (limits.MATCHES_MAX + 10, 2 * limits.MATCHES_MAX):
        venue = Book(0, wide=False)
        columns = {"flags": flags(SELL), "instrument": RULED, "account": ME, "price": 5, "quantity": 1}
        batch = b"".join(venue.row(m.EnterOrder, client_order_id=at + 1, **columns) for at in range(orders))
        venue.to.machine.engine.apply(batch, 0, len(batch))
        lines, events = enter(venue, BUY, 5, orders, Tif.FOK, instrument=RULED)
        assert isinstance(events[-1], m.Canceled)
        found.append(lines)
    assert found[0] == found[1]

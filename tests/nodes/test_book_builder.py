"""The client's book is the engine's after every command, and a row that cannot be is refused."""

import pytest
from msgspec.structs import replace

from core import messages as m
from core.kinds import KEPT_PLACE, RESTING, ROW_SIZE, EventKind, OrderType, Side, Step, TimeInForce, TradingState
from core.machine import Machine
from core.rows import pack_halves, to_row
from core.rows import rows as structs
from journal.errors import Gap
from replicas.book_builder import Best, BookBuilder, Impossible, Level, Resting
from replicas.market_rows import PUBLIC, public_rows
from tests.determinism.stream import stamped_rows
from tests.nodes.market import engine_orders
from tests.pair import seeds, stream
from tests.special import special_rows

SELL = Side.SELL | RESTING


def levels(orders):
    """What a by-price feed says of these orders."""
    prices = list(dict.fromkeys(order.price for order in orders))
    return [Level(p, sum(o.leaves for o in orders if o.price == p), sum(o.price == p for o in orders)) for p in prices]


def compare(books, engine, where):
    """Every book is the engine's: orders in queue order, levels, best prices, state and number."""
    for number, book in books.items():
        sides = [engine_orders(engine, number, side) for side in Side]
        assert [list(book.orders(side)) for side in Side] == sides, f"instrument {number} {where}"
        assert [book.depth(side) for side in Side] == [levels(orders) for orders in sides], where
        assert book.best() == Best(*(levels(orders)[0] if orders else None for orders in sides)), where
        instrument = engine.instrument(number)
        assert (book.number, book.state, len(book)) == (instrument.market_data, instrument.state, sum(map(len, sides)))


def take(books, told):
    """Give the market data rows among these events to the book of their instrument."""
    for instrument, number, row in public_rows(told):
        book = books.setdefault(instrument, BookBuilder(instrument))
        book.apply(row)
        assert book.number == number


def follow(log, seed, restart_at=-1):
    """Compare after each command; from one command on with books that begin with a snapshot of the others."""
    machine, books = Machine(), {}
    for at, (row, quarantine, _) in enumerate(log):
        told = machine.apply_quarantined(row, 0, quarantine, 0) if quarantine else machine.apply(row, 0, len(row))
        take(books, told)
        compare(books, machine.engine, f"after row {at + 1} of stream {seed}")
        if at == restart_at:
            books = {number: copy(book) for number, book in books.items()}
    return books


def copy(book):
    """A book that begins with a snapshot of another."""
    other = BookBuilder(book.instrument)
    other.restore([order for side in Side for order in book.orders(side)], book.number, book.state)
    return other


@pytest.mark.parametrize("seed", seeds(6))
def test_the_book_is_the_engines_after_every_command_of_a_stream_that_looks(seed):
    books = follow(stream(seed, 250).log, seed, restart_at=150)
    assert sum(book.number for book in books.values()) > 20


@pytest.mark.parametrize("seed", seeds(6))
def test_the_book_is_the_engines_after_every_command_of_a_blind_stream(seed):
    rows = stamped_rows(seed, 1_200)
    log = [(rows[at : at + ROW_SIZE], None, b"") for at in range(0, len(rows), ROW_SIZE)]
    books = follow(log, seed, restart_at=700)
    assert sum(len(book.trades) for book in books.values()) > 20


@pytest.mark.parametrize("seed", seeds(8))
def test_the_book_is_what_the_engine_shows_with_orders_that_hide_wait_and_follow(seed):
    log = [(row, None, b"") for row in special_rows(seed, 500)]
    books = follow(log, seed, restart_at=250)
    assert sum(len(book.trades) for book in books.values()) > 20


def test_the_special_stream_tells_market_data_of_every_kind():
    machine, kinds, hidden = Machine(), set(), 0
    for seed in range(3):
        machine = Machine()
        for row in special_rows(seed, 500):
            for public in public_rows(machine.apply(row, 0, len(row))):
                (event,) = structs(public.row)
                kinds.add(event.KIND)
                hidden += event.KIND == EventKind.TRADED and event.order_number == 0
    assert kinds >= PUBLIC
    assert hidden > 10


def rested(number, order, price=100, leaves=5, flags=SELL, instrument=1):
    return to_row(m.Rested(
        flags=flags, instrument=instrument, price=price, quantity=leaves, order_number=order, leaves=leaves,
        market_data=number,
    ))  # fmt: skip


def executed(number, order, quantity, leaves, price=100):
    return to_row(m.Executed(
        time=77, flags=Side.SELL, instrument=1, price=price, quantity=quantity, order_number=order, leaves=leaves,
        match_number=9, market_data=number,
    ))  # fmt: skip


def replaced(number, order, price, leaves, flags):
    return to_row(m.Replaced(
        flags=Side.SELL | flags, instrument=1, price=price, quantity=leaves, order_number=order, leaves=leaves,
        market_data=number,
    ))  # fmt: skip


PEGGED = Side.SELL | OrderType.PEGGED << 1


def traded(number, order, quantity, leaves, price=100):
    return to_row(m.Traded(
        time=77, flags=Side.SELL, instrument=1, price=price, quantity=quantity, order_number=order, leaves=leaves,
        match_number=9, market_data=number,
    ))  # fmt: skip


def displayed(number, order, leaves, price=100):
    return to_row(m.DisplayChanged(
        flags=Side.SELL, instrument=1, price=price, order_number=order, leaves=leaves, market_data=number
    ))  # fmt: skip


def restated(number, order, price, leaves, flags):
    return to_row(m.Restated(
        flags=flags, instrument=1, price=price, quantity=leaves, order_number=order, leaves=leaves, market_data=number
    ))  # fmt: skip


@pytest.fixture
def book():
    """Orders 1 and 2 for sale at 100, five lots each."""
    book = BookBuilder(1)
    book.apply(rested(1, 1))
    book.apply(rested(2, 2))
    return book


def shown(book):
    return [(order.order_number, order.price, order.leaves) for order in book.orders(Side.SELL)]


@pytest.mark.parametrize("number", [0, 1, 2, 4, 1_000])
def test_a_number_that_is_not_the_next_is_a_gap_and_changes_nothing(book, number):
    with pytest.raises(Gap, match="the next number is 3"):
        book.apply(rested(number, 3))
    assert (shown(book), book.number) == ([(1, 100, 5), (2, 100, 5)], 2)


@pytest.mark.parametrize(
    "row",
    [
        rested(3, 3, instrument=2),
        rested(3, 1),
        rested(3, 3, flags=Side.SELL),
        rested(3, 3, leaves=0),
        executed(3, 2, 1, 4, price=101),
        executed(3, 1, 1, 4, price=101),
        executed(3, 1, 1, 3),
        executed(3, 2, 1, 3),
        executed(3, 1, 0, 5),
        executed(3, 1, 6, -1),
        executed(3, 9, 1, 0),
        replaced(3, 1, 100, 6, KEPT_PLACE),
        replaced(3, 1, 101, 5, KEPT_PLACE),
        replaced(3, 1, 101, 0, RESTING),
        replaced(3, 9, 101, 1, RESTING),
        to_row(m.Reduced(instrument=1, price=100, order_number=1, leaves=0, market_data=3)),
        to_row(m.Canceled(instrument=1, price=100, order_number=3, market_data=3)),
        traded(3, 1, 1, 4, price=101),
        traded(3, 1, 1, 3),
        traded(3, 2, 0, 5),
        traded(3, 9, 1, 0),
        traded(3, 0, 0, 0),
        traded(3, 0, 1, 1),
        displayed(3, 9, 1),
        displayed(3, 1, 6),
        displayed(3, 1, 3, price=101),
        displayed(3, 1, 0, price=101),
        restated(3, 1, 101, 0, PEGGED | RESTING),
        restated(3, 9, 0, 5, PEGGED),
        restated(3, 9, 101, 5, SELL),
        restated(3, 1, 101, 5, OrderType.PEGGED << 1 | RESTING),
        to_row(m.Rejected(instrument=1))[:120] + (3).to_bytes(8, "little"),
    ],
    ids=lambda row: "-".join(map(str, (row[0], row[88], row[96]))),
)
def test_a_row_that_does_not_fit_is_refused_and_changes_nothing(book, row):
    with pytest.raises(Impossible):
        book.apply(row)
    assert (shown(book), book.number, list(book.trades)) == ([(1, 100, 5), (2, 100, 5)], 2, [])


def test_a_match_is_a_trade_of_the_incoming_side(book):
    book.apply(executed(3, 1, 2, 3))
    book.apply(executed(4, 1, 3, 0))
    assert [tuple(trade) for trade in book.trades] == [(3, 77, 9, Side.BUY, 100, 2), (4, 77, 9, Side.BUY, 100, 3)]
    assert (shown(book), book.depth(Side.SELL)) == ([(2, 100, 5)], [Level(100, 5, 1)])


def test_a_level_that_is_shared_by_steps_trades_beside_its_first_order(book):
    """Which order trades is the engine's to say: market data does not tell the steps."""
    book.apply(executed(3, 2, 2, 3))
    assert shown(book) == [(1, 100, 5), (2, 100, 3)]
    book.apply(traded(4, 2, 3, 0))
    assert (shown(book), book.depth(Side.SELL)) == ([(1, 100, 5)], [Level(100, 5, 1)])
    assert [(trade.quantity, trade.side) for trade in book.trades] == [(2, Side.BUY), (3, Side.BUY)]


SHARED = (
    m.DefineCurrency(currency=1, symbol="USD"),
    m.DefineCurrency(currency=2, symbol="BTC"),
    m.DefineInstrument(
        instrument=1, symbol="BTC/USD", currencies=pack_halves(2, 1), price_max=1_000, quantity_max=1_000
    ),
    m.SetAllocation(instrument=1, step_1=Step.LARGEST),
    m.OpenAccount(account=1, firm=1),
    *(m.Deposit(account=1, currency=c, amount=10**6) for c in (1, 2)),
    *(
        m.EnterOrder(
            flags=side | OrderType.LIMIT << 1 | TimeInForce.GTC << 5, instrument=1, account=1, client_order_id=client,
            price=100, quantity=quantity,
        )
        for client, (side, quantity) in enumerate([(1, 2), (1, 3), (1, 9), (0, 5), (0, 7), (1, 4), (0, 6)], start=1)
    ),
)  # fmt: skip
"""Commands of a market in which the largest order trades first."""


def test_the_book_is_the_engines_where_levels_are_shared():
    machine, books, beside = Machine(), {}, 0
    for at, command in enumerate(SHARED, start=1):
        row = to_row(replace(command, sequence=at, time=at))
        told = machine.apply(row, 0, len(row))
        for event in structs(told):
            first = next(books[1].orders(event.flags & 1), None) if isinstance(event, m.Executed) else None
            beside += first is not None and event.market_data != 0 and event.order_number != first.order_number
        take(books, told)
        compare(books, machine.engine, f"after row {at}")
    assert beside >= 1


def test_as_many_trades_are_kept_as_were_asked_for():
    book = BookBuilder(1, trades_kept=2)
    book.apply(rested(1, 1))
    for number, leaves in ((2, 4), (3, 3), (4, 2)):
        book.apply(executed(number, 1, 1, leaves))
    assert [trade.market_data for trade in book.trades] == [3, 4]


def test_a_replaced_order_keeps_its_place_or_goes_to_the_back(book):
    book.apply(replaced(3, 1, 100, 4, KEPT_PLACE))
    assert shown(book) == [(1, 100, 4), (2, 100, 5)]
    book.apply(replaced(4, 1, 100, 4, RESTING))
    assert shown(book) == [(2, 100, 5), (1, 100, 4)]
    book.apply(replaced(5, 2, 99, 1, 0))
    assert shown(book) == [(1, 100, 4)]


def test_an_iceberg_shows_its_next_display_at_the_back(book):
    book.apply(traded(3, 1, 5, 0))
    book.apply(rested(4, 1, leaves=3))
    assert shown(book) == [(2, 100, 5), (1, 100, 3)]
    book.apply(displayed(5, 1, 2))
    assert shown(book) == [(2, 100, 5), (1, 100, 2)]
    book.apply(displayed(6, 1, 0))
    assert shown(book) == [(2, 100, 5)]


def test_a_hidden_order_is_seen_on_the_tape_alone(book):
    book.apply(traded(3, 0, 4, 0, price=99))
    assert [tuple(trade) for trade in book.trades] == [(3, 77, 9, Side.BUY, 99, 4)]
    assert shown(book) == [(1, 100, 5), (2, 100, 5)]


def test_a_pegged_order_follows_is_parked_and_comes_back(book):
    book.apply(restated(3, 3, 101, 4, PEGGED | RESTING))
    book.apply(restated(4, 3, 100, 4, PEGGED | RESTING))
    assert shown(book) == [(1, 100, 5), (2, 100, 5), (3, 100, 4)]
    book.apply(restated(5, 3, 0, 4, PEGGED))
    assert shown(book) == [(1, 100, 5), (2, 100, 5)]
    book.apply(replaced(6, 3, 102, 6, RESTING | OrderType.PEGGED << 1))
    assert shown(book) == [(1, 100, 5), (2, 100, 5), (3, 102, 6)]


def test_the_depth_is_as_many_levels_as_were_asked_for(book):
    book.apply(rested(3, 3, price=90, leaves=1))
    book.apply(rested(4, 4, price=110, leaves=2))
    assert book.depth(Side.SELL, 2) == [Level(90, 1, 1), Level(100, 10, 2)]
    assert book.best() == Best(None, Level(90, 1, 1))


def test_the_trading_state_is_followed(book):
    book.apply(to_row(m.TradingStateChanged(instrument=1, state=TradingState.HALTED, market_data=3)))
    assert (book.state, book.number) == (TradingState.HALTED, 3)


def test_a_snapshot_takes_the_place_of_what_was_there(book):
    book.restore([Resting(8, Side.BUY, 99, 3), Resting(7, Side.BUY, 99, 1)], 40, TradingState.CANCEL_ONLY)
    assert [order.order_number for order in book.orders(Side.BUY)] == [8, 7]
    assert (shown(book), book.number, book.state) == ([], 40, TradingState.CANCEL_ONLY)
    book.apply(rested(41, 9))
    assert shown(book) == [(9, 100, 5)]

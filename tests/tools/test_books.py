"""A book followed through events is the book that the engine's state holds, after every row."""

import pytest

from core import messages as m
from core.kinds import HIDDEN, Link, OrderType, Side, TimeInForce
from core.machine import Machine
from core.rows import rows
from replicas.replay import replay
from tests.streams import flags
from tests.tools.conftest import FIRST, ROWS, ask
from tests.venue import BTC, BUY, BUYER, SELL, Venue
from tools.books import Book
from tools.event_rows import event_rows
from tools.reading import opened


def content(book):
    return [(level, [*level.orders]) for side in Side for level in book.levels(side)]


@pytest.mark.both
def test_events_and_state_give_the_same_book(venue):
    with opened(venue) as journal:
        machine, book = Machine.restore(journal.state()), Book(1)
        for sequence in range(1, ROWS + 1):
            for batch in replay(journal, machine, to=sequence):
                for event in event_rows(batch.events):
                    book.apply(event)
            assert content(book) == content(Book.of_state(machine.rows(), 1)), sequence


def test_events_and_state_give_the_same_books_of_a_whole_day(tmp_path):
    """The day of the demo: several instruments, expiries, halts, mass cancels."""
    ask("demo", "--journal", tmp_path / "venue", "--commands", 3_000)
    books = {}
    with opened(tmp_path / "venue") as journal:
        machine = Machine.restore(journal.state())
        for batch in replay(journal, machine):
            for event in event_rows(batch.events):
                books.setdefault(event.instrument, Book(event.instrument)).apply(event)
        rows = machine.rows()
    assert sum(map(len, books.values())) > 0
    for number, book in books.items():
        assert content(book) == content(Book.of_state(rows, number))


def test_place_in_the_queue(venue):
    with opened(venue) as journal:
        machine, book = Machine.restore(journal.state()), Book(1)
        for batch in replay(journal, machine, to=FIRST + 2):
            for event in event_rows(batch.events):
                book.apply(event)
    assert [book.ahead(number) for number in (1, 2, 3, 4)] == [(0, 0), (1, 30), (0, 0), None]


class Follower:
    """An engine, and the book of its instrument 1 by events, held to the one by state after every row."""

    def __init__(self):
        self.machine, self.book, self.stood = Machine(), Book(1), []

    def apply(self, row):
        events = self.machine.apply(row, 0, len(row))
        for event in event_rows(events):
            self.book.apply(event)
        held = Book.of_state(self.machine.rows(), 1)
        assert all(self.book.levels(side) == held.levels(side) for side in Side)
        self.stood.append([order.order_number for side in Side for one in held.levels(side) for order in one.orders])
        return list(rows(events))


@pytest.mark.parametrize("bits", [0, HIDDEN], ids=["shown", "hidden"])
@pytest.mark.parametrize(("kind", "price"), [(OrderType.LIMIT, 110), (OrderType.PEGGED, 90)], ids=["limit", "pegged"])
def test_a_held_order_stands_once_it_is_activated(bits, kind, price):
    venue = Venue(Follower())
    venue.instrument()
    venue.fund()
    venue.send(m.Deposit, account=BUYER, currency=BTC, amount=100)
    venue.enter(SELL, 120, 5)
    orders = (BUY, OrderType.LIMIT, 100, 0), (SELL, kind, price, bits)
    venue.send(m.LinkOrders, flags=Link.ONE_TRIGGERS_OTHER, account=BUYER, parts=2)
    for number, (side, of, at, more) in enumerate(orders, start=7):
        told = flags(side, of, TimeInForce.GTC) | more
        venue.send(m.Detail, instrument=1, client_order_id=number, flags=told, price=at, quantity=5)
    assert venue.to.stood[-1] == [2, 1]
    venue.enter(SELL, 100, 5)
    assert sorted(venue.to.stood[-1]) == [1, 3]

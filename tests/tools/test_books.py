"""A book followed through events is the book that the engine's state holds, after every row."""

import pytest

from core.kinds import Side
from core.machine import Machine
from replicas.replay import replay
from tests.tools.conftest import FIRST, ROWS, ask
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

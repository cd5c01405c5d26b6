"""`lockstep order`: the life of one order, command by command."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from core.kinds import ROW_SIZE, EventKind
from core.messages import Row
from core.rows import from_row
from journal.directory import JournalDirectory
from replicas.replay import Applied
from tools.books import Book, instruments
from tools.dump import row_json, row_text
from tools.event_rows import BOOK_EVENTS, EventRow, event_rows, other_side
from tools.failures import Misuse
from tools.moments import clock_text
from tools.options import Journal, Json
from tools.output import print_json
from tools.reading import applied, begin, opened

_STANDS = frozenset({EventKind.ACCEPTED, EventKind.RESTED, EventKind.REPLACED, EventKind.RESTATED})


def order(
    journal: Journal,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="The order number that Accepted gave.", min=1)],
    as_json: Json = False,
) -> None:
    """Tell the life of an order: each command that touched it, its events, and its place in the queue when it came to rest.

    Example: lockstep order venue 17
    """
    with opened(journal) as source:
        steps = list(life(source, number))
    if not steps:
        raise Misuse(f"no order {number} in {journal}")
    if as_json:
        print_json({"order_number": number, "life": steps})
        return
    for step in steps:
        _print_step(step)


def _print_step(step: dict[str, Any]) -> None:
    print(f"{clock_text(step['time'])} {step['text']}")
    for event in step["events"]:
        print(event["text"])
        if "ahead" in event:
            print(f"      behind {event['ahead']['count']} orders with {event['ahead']['quantity']} at its price")
        if "against" in event:
            print(f"      against order {event['against']}")


def life(journal: JournalDirectory, number: int) -> Iterator[dict[str, Any]]:
    """Each command that touched the order, with the events about it."""
    head = journal.head().sequence
    machine = begin(journal, head, from_zero=True).machine
    rows = machine.rows()
    books = (Book.of_state(rows, row.instrument) for row in instruments(rows).values())
    follower = _Follower(number, {book.instrument: book for book in books})
    for batch in applied(journal, machine, head):
        yield from follower.steps(batch)


class _Follower:
    """Follows the order through events, and the book around it."""

    def __init__(self, number: int, books: dict[int, Book]) -> None:
        self._number = number
        self._books = books

    def steps(self, batch: Applied) -> Iterator[dict[str, Any]]:
        """The commands of a batch that touched the order."""
        told: dict[int, list[dict[str, Any]]] = {}
        events = list(event_rows(batch.events))
        for at, event in enumerate(events):
            if event.kind in BOOK_EVENTS:
                book = self._books.setdefault(event.instrument, Book(event.instrument))
                book.apply(event)
                if event.order_number == self._number:
                    row = from_row(batch.events, at * ROW_SIZE)
                    told.setdefault(event.sequence, []).append(_told(row, event, events, at, book))
        for sequence, rows in told.items():
            at = batch.begin + (sequence - batch.header.first) * ROW_SIZE
            yield _step(from_row(batch.value, at), rows)


def _step(command: Row, events: list[dict[str, Any]]) -> dict[str, Any]:
    named = row_json(command)
    return {
        "sequence": named["sequence"],
        "time": named["time"],
        "text": row_text(command),
        "command": named,
        "events": events,
    }


def _told(row: Row, event: EventRow, events: list[EventRow], at: int, book: Book) -> dict[str, Any]:
    told: dict[str, Any] = {"text": row_text(row), "event": row_json(row)}
    if event.kind in _STANDS and (ahead := book.ahead(event.order_number)):
        told["ahead"] = {"count": ahead[0], "quantity": ahead[1]}
    if event.kind == EventKind.EXECUTED:
        other = other_side(events, at)
        assert other is not None
        told["against"] = events[other].order_number
    return told

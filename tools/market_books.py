"""The order books of all instruments, rebuilt from state rows and batches of events; the engine is not asked.

`Books` is what the library calls an aggregate, its version a sequence number of commands; `VenueState` is its snapshot.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import StoredEvent
from eventsourcing.utils import register_topic

from core.kinds import EventKind, StateKind
from core.messages import InstrumentState
from journal.errors import Gap
from journal.event_batch import ORIGINATOR, EventBatch
from tools.books import Book, standing, state_rows
from tools.event_rows import BOOK_EVENTS, event_rows


@dataclass(frozen=True, slots=True)
class VenueState:
    """The state rows after command `originator_version`: the library's snapshot."""

    TOPIC: ClassVar[str] = "market-state"

    originator_id: str
    originator_version: int
    rows: bytes

    @classmethod
    def of(cls, stored: StoredEvent) -> "VenueState":
        """The state that a stored snapshot holds."""
        return cls(str(stored.originator_id), stored.originator_version, stored.state)


register_topic(VenueState.TOPIC, VenueState)


@dataclass(slots=True)
class Books:
    """The books of all instruments after command `version`, by instrument number."""

    version: int = 0
    books: dict[int, Book] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The originator's id."""
        return ORIGINATOR

    def book(self, instrument: int) -> Book:
        """The book of an instrument; an empty one where it is not defined yet."""
        return self.books.setdefault(instrument, Book(instrument))

    @staticmethod
    def of(state: VenueState) -> "Books":
        """The books in state rows."""
        books = Books(state.originator_version)
        for row in state_rows(state.rows, StateKind.INSTRUMENT):
            if isinstance(row, InstrumentState):
                books.book(row.instrument)
        for number, book in books.books.items():
            for order in standing(state.rows, number):
                book.stand(order)
        return books

    def apply(self, batch: EventBatch) -> None:
        """Go on by a batch of events. Gap if it is not the next one."""
        if batch.first != self.version + 1:
            raise Gap(f"events {batch.first}-{batch.last}", f"those of command {self.version + 1} are missing")
        for event in event_rows(batch.rows):
            if event.kind in BOOK_EVENTS:
                self.book(event.instrument).apply(event)
            elif event.kind == EventKind.INSTRUMENT_DEFINED:
                self.book(event.instrument)
        self.version = batch.last


def project(books: Books | None, events: Iterable[DomainEventProtocol[str]]) -> Books | None:
    """The library's projector function: a state first, if there is one, then batches of events in order. Gap."""
    for event in events:
        if isinstance(event, VenueState):
            books = Books.of(event)
        elif isinstance(event, EventBatch):
            books = books or Books()
            books.apply(event)
    return books

"""Rows under dense numbers, 1, 2, 3, ...: what an instrument's market data and a firm's drop copy have in common.

A series knows which of its rows lie where in the event store, so that any number of them is told again.
"""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, Protocol

from journal.errors import Gap
from journal.event_store import Events
from journal.journal import Head

INDEXED: Final = 256
"""Of every so many numbers of a series, the place of one is kept,"""
COMMANDS: Final = 65_536
"""and of the first one after so many commands: with the two, no search reads more than that in vain."""


class Source(Protocol):
    """The events that the rows of a series are among."""

    sequence: int
    """The last command whose events have been taken."""

    def events(self, sequence: int) -> Iterator[Events]:
        """The batches of events from the one on that holds the command's. CorruptEvents."""

    def head(self) -> Head:
        """The end of the journal that the events taken are part of. CorruptBatch, Gap."""


class Series(ABC):
    """The rows of one instrument or one firm, up to the last one taken. Two series are never equal."""

    def __init__(self, source: Source, name: str, title: str, *, last: int = 0, before: int = 0) -> None:
        """Begin after the number `last`; the source holds none up to the number `before`."""
        self.name: Final = name
        """What 'A' names as the session."""
        self.last = last
        self._source = source
        self._title = title
        self._before = before
        # Where some of the rows lie: by number, a command whose events are in the same batch of the store.
        self._numbers: list[int] = []
        self._sequences: list[int] = []

    @abstractmethod
    def rows_in(self, events: bytes) -> Iterator[tuple[int, bytes]]:
        """The rows of the series among event rows, as they are told, each with its number; in order of the numbers."""

    @abstractmethod
    def notices(self) -> bytes:
        """The packets behind 'A', and behind the rows of each batch in the same write. JournalError."""

    @abstractmethod
    def answer(self, payload: bytes) -> bytes | None:
        """What an unsequenced packet is answered with at once; None: with a snapshot, in its turn. FormError."""

    def snapshot(self) -> bytes:
        """The packets of a snapshot; none where there is nothing but rows."""
        return b""

    def holds(self, number: int) -> bool:
        """Whether one may begin with this number: the source holds it, or it is the next one, which 0 means as well."""
        return number == 0 or self._before < number <= self.last + 1

    def add(self, number: int, sequence: int) -> None:
        """The next row has come, in the batch of the store with this command. Gap if it is not the next."""
        if number != self.last + 1:
            raise Gap(f"row {number} of the {self._title}", f"it follows {self.last}")
        self.last = number
        known = bool(self._numbers)
        if not known or number >= self._numbers[-1] + INDEXED or sequence >= self._sequences[-1] + COMMANDS:
            self._numbers.append(number)
            self._sequences.append(sequence)

    def rows_from(self, number: int) -> Iterator[list[bytes]]:
        """The rows from a number on, up to the last one taken: a list, often empty, for each batch of events read.

        At the end nothing that has been taken is missing, as long as no row is added in between. Gap, CorruptEvents.
        """
        batches = self._source.events(self._place(number))
        while number <= self.last:
            events = next(batches, None)
            if events is None or events.first > self._source.sequence:
                raise Gap(f"row {number} of the {self._title}", "the event store does not hold it")
            rows = []
            for found, row in self.rows_in(events.rows):
                if found > number:
                    raise Gap(f"row {found} of the {self._title}", f"{number} comes before it")
                if found == number:
                    rows.append(row)
                    number += 1
            yield rows

    def _place(self, number: int) -> int:
        """A command from which on the row is found; 1 for what was told before the following began."""
        at = bisect_right(self._numbers, number)
        return self._sequences[at - 1] if at else 1

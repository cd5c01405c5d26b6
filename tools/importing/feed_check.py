"""Holding an import against what its venue published: books or checksums, each compared with the engine's own book then."""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from core.kinds import ROW_SIZE, Side
from tools.books import Book
from tools.event_rows import event_rows
from tools.importing.bitstamp import Published
from tools.importing.kraken import TOP, Checksum, crc

Ladder = list[tuple[int, int]]
"""Price in ticks and quantity in lots of each level, best first."""

DEPTHS: Final = (1, 5, 10, 20)
"""How many levels a side are compared with a published book."""


class Books:
    """The books of all instruments, rebuilt from the events of an import as they come."""

    def __init__(self, marks: list[int]) -> None:
        """`marks`: after which steps a book is wanted, in rising order."""
        self._marks = marks
        self._books: dict[int, Book] = {}
        self._done = 0
        self._first = 0

    def ladders(self, instrument: int, depth: int) -> tuple[Ladder, Ladder]:
        """Asks and bids."""
        book = self._books.setdefault(instrument, Book(instrument))
        asks, bids = (
            [(level.price, level.quantity) for level in book.levels(side, depth)] for side in (Side.SELL, Side.BUY)
        )
        return asks, bids

    def feed(self, first: int, rows: bytes, events: bytes) -> Iterator[int]:
        """Take a batch; yields the index of each mark as soon as the books are those behind it."""
        self._first = self._first or first
        told = {sequence: list(each) for sequence, each in groupby(event_rows(events), lambda event: event.sequence)}
        for sequence in range(first, first + len(rows) // ROW_SIZE):
            yield from self._reached(sequence - self._first)
            for event in told.get(sequence, ()):
                self._books.setdefault(event.instrument, Book(event.instrument)).apply(event)
        yield from self._reached(first + len(rows) // ROW_SIZE - self._first)

    def _reached(self, steps: int) -> Iterator[int]:
        while self._done < len(self._marks) and self._marks[self._done] <= steps:
            yield self._done
            self._done += 1


class BookCheck:
    """Listens to an import of books: how many of those published are equal, to each depth, in all and in the second half."""

    def __init__(self, published: list[Published]) -> None:
        self._published = published
        self._books = Books([book.steps for book in published])
        self._equal: list[list[bool]] = []

    def feed(self, first: int, rows: bytes, events: bytes) -> None:
        """Take a batch of the flow."""
        for mark in self._books.feed(first, rows, events):
            book = self._published[mark]
            asks, bids = self._books.ladders(1, max(DEPTHS))
            self._equal.append([asks[:n] == book.asks[:n] and bids[:n] == book.bids[:n] for n in DEPTHS])

    def counts(self) -> dict[str, int]:
        """What agreed, by name."""
        later = self._equal[len(self._equal) // 2 :]
        found = {"published books": len(self._equal), "of them in the second half": len(later)}
        for at, depth in enumerate(DEPTHS):
            found[f"equal to {depth} in the second half"] = sum(equal[at] for equal in later)
        return found


class ChecksumCheck:
    """Listens to an import of checksums: how many are those of our books."""

    def __init__(self, checksums: list[Checksum]) -> None:
        self._checksums = checksums
        self._books = Books([checksum.steps for checksum in checksums])
        self._seen = self._equal = 0

    def feed(self, first: int, rows: bytes, events: bytes) -> None:
        """Take a batch of the flow."""
        for mark in self._books.feed(first, rows, events):
            checksum = self._checksums[mark]
            self._seen += 1
            self._equal += crc(*self._books.ladders(checksum.instrument, TOP)) == checksum.crc

    def counts(self) -> dict[str, int]:
        """What agreed, by name."""
        return {"checksums": self._seen, "equal": self._equal}

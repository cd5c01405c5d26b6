"""The stored events, cut where the journal's batches of commands end: the same pieces on every replica.

A node that was stopped by a row keeps the batch and the quarantine behind it as one entry of its event store; a store that is
made again from the journal has them apart. The journal's batches are the same everywhere, so they alone number the pieces.
Where a journal begins later than its event store (a standby that joined late and was given the events before), the entries of
the store stand in for batches that are not there.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from core.kinds import COLUMNS, ROW_SIZE
from core.limits import SUM_MAX
from journal.batch import BatchKind, name_of, read_header
from journal.check import columns
from journal.directory import JournalDirectory
from journal.errors import Gap
from journal.event_store import Events, EventStore, seal_events


class Slice(NamedTuple):
    """The events of one batch of commands, as the event store would seal them."""

    first: int
    last: int
    sealed: bytes


class EventSlices:
    """Event store and journal of one directory, both open for reading; neither is closed here.

    A piece is shown when the journal holds its batch and the store all its events. A store that ran ahead of its journal, as
    a crash of the machine may leave it, shows nothing that is not durable.
    """

    def __init__(self, journal: JournalDirectory, store: EventStore) -> None:
        self._journal = journal
        self._store = store

    def forward(self, sequence: int = 1, upto: int = SUM_MAX) -> Iterator[Slice]:
        """The pieces from the one that holds the command on, or from the first whole one, that end at `upto` or before.

        Damaged, Gap; nothing behind `upto` is looked at.
        """
        stored = next(self._store.read(sequence), None)
        if stored is None:
            return
        cut: _Cut | None = None
        for first, last in self._bounds(max(sequence, stored.first)):
            if last > upto:
                return
            if cut is None:
                if first < stored.first and not self._holds(first):
                    continue  # the store begins within this batch
                cut = _Cut(self._store, first)
            value = cut.take(first, last)
            if value is None:
                return
            yield Slice(first, last, value)
            if last == upto:
                return

    def backward(self, sequence: int = SUM_MAX) -> Iterator[Slice]:
        """The whole pieces up to the command, the last one first. Damaged, Gap."""
        at = sequence if next(self._store.read(sequence), None) else self._store.head()
        if at > 0 and next(self._bounds(at), None) is None:
            at = self._journal.head().sequence
        while at > 0:
            first, last = next(self._bounds(at), (0, 0))
            if 0 < last <= at:
                value = _Cut(self._store, first).take(first, last)
                if value is None:
                    return
                yield Slice(first, last, value)
            at = first - 1

    def _holds(self, sequence: int) -> bool:
        """Whether the store has the events of the command."""
        stored = next(self._store.read(sequence), None)
        return stored is not None and stored.first <= sequence

    def first(self) -> int:
        """First command of the first piece; 0 if there is none."""
        return next((piece.first for piece in self.forward()), 0)

    def last(self) -> int:
        """Last command of the last piece; 0 if there is none."""
        return next((piece.last for piece in self.backward()), 0)

    def _bounds(self, sequence: int) -> Iterator[tuple[int, int]]:
        """First and last commands of the batches, from the one that holds the command on."""
        origin = self._journal.segments()[0]
        if sequence < origin:
            for events in self._store.read(sequence):
                if events.first >= origin:
                    break
                yield events.first, min(events.last, origin - 1)
        yield from self._batches(max(sequence, origin))

    def _batches(self, sequence: int) -> Iterator[tuple[int, int]]:
        following = 0
        for value in self._journal.batches(sequence):
            header = read_header(value)
            if header.kind != BatchKind.COMMANDS:
                continue
            if (
                header.first != (following or header.first)
                or not header.first <= max(sequence, following) <= header.last
            ):
                raise Gap(name_of(header), f"it should hold command {following or sequence}")
            following = header.last + 1
            yield header.first, header.last


class _Cut:
    """The rows of the store, taken piece by piece in order; no entry is looked at before it is needed."""

    def __init__(self, store: EventStore, sequence: int) -> None:
        """Begin at the entry that holds the command, or at the first one after it."""
        self._entries = store.sealed(sequence)
        self._entry: tuple[Events, bytes] | None = None

    def take(self, first: int, last: int) -> bytes | None:
        """The events of these commands, sealed; None if they are not all there."""
        parts: list[bytes] = []
        at = first
        while (entry := self._entry or next(self._entries, None)) is not None:
            events, value = entry
            self._entry = entry if events.last > last else None
            if (events.first, events.last) == (first, last):
                return value
            if events.first > at:
                return None
            parts.append(rows_between(events, first, last))
            at = events.last + 1
            if at > last:
                return seal_events(first, last, b"".join(parts))
        return None


def rows_between(events: Events, first: int, last: int) -> bytes:
    """The event rows of the commands from `first` to `last`."""
    numbers = columns(events.rows)[1::COLUMNS]
    return events.rows[bisect_left(numbers, first) * ROW_SIZE : bisect_right(numbers, last) * ROW_SIZE]

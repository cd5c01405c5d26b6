"""Event rows fed to the event digest, step by step with the journal whose batches carry its values."""

from bisect import bisect_right
from collections.abc import Callable, Iterator

from core.digest import EventDigest
from core.kinds import COLUMNS, ROW_SIZE
from journal.batch import Header, name_of
from journal.check import columns
from journal.errors import CorruptEvents
from journal.event_store import Events, EventStore
from journal.report import Count


class EventWalk:
    """One pass over an event store. Every batch of it is checked, whether its digest can be compared or not."""

    def __init__(self, store: EventStore, count: Count) -> None:
        """Begin at the first stored batch."""
        self._batches = self._count(store.read(), count)
        self._batch = next(self._batches, None)
        self._digest: EventDigest | None = None
        self._at = 0
        self.first = self._batch.first if self._batch else 0
        """First command whose events are stored; 0 for an empty store."""

    @staticmethod
    def _count(batches: Iterator[Events], count: Count) -> Iterator[Events]:
        for events in batches:
            count.add(len(events.rows) // ROW_SIZE, len(events.rows))
            yield events

    def start(self, digest: EventDigest, at: int) -> None:
        """Follow the digest from its value after command `at`; the events up to there are passed over."""
        self._advance(at)
        self._digest = digest
        self._at = at

    def compare(self, header: Header) -> None:
        """CorruptEvents unless the events up to `header.applied` give the digest that the batch carries."""
        self._advance(header.applied)
        if self._digest is None or self._at != header.applied or self._digest.value() == header.digest:
            return
        raise CorruptEvents(f"events up to {header.applied}", f"their digest is not the one in {name_of(header)}")

    def finish(self, end: int, end_now: Callable[[], int]) -> None:
        """Check what is left of the store. CorruptEvents if it holds events after the journal's last command.

        `end` is where the journal ended when it was read; a writer may have gone on since, so `end_now` has the last word.
        """
        self._digest = None
        while self._batch is not None:
            last, self._batch = self._batch.last, next(self._batches, None)
            if last > end:
                end = end_now()
            if last > end:
                raise CorruptEvents(f"events ending at {last}", f"the journal ends at {end}")

    def _advance(self, to: int) -> None:
        while self._batch is not None and self._at < to:
            first, last, rows = self._batch
            if first > to:
                return
            if last > to:
                # A quarantine makes `applied` fall inside a batch: only the rows of commands up to it count.
                size = ROW_SIZE * bisect_right(columns(rows)[1::COLUMNS], to)
                self._feed(rows[:size], to)
                self._batch = Events(to + 1, last, rows[size:])
                return
            self._feed(rows, last)
            self._batch = next(self._batches, None)

    def _feed(self, rows: bytes, last: int) -> None:
        if self._digest is not None:
            self._digest.feed(rows)
        self._at = last

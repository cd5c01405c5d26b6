"""Journal and event store of one directory, kept open for reading, and opened again where they were moved or made anew."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import NamedTuple

from journal.directory import EVENTS, SEGMENTS, JournalDirectory, segment_firsts
from journal.errors import Closed, CorruptBatch, CorruptEvents, DiskError, NotAJournal
from journal.event_slices import EventSlices
from journal.event_store import EventStore


class EventsAbsent(CorruptEvents):
    """The journal has no event store beside it: none was kept, or it is just being made again."""


class Opened(NamedTuple):
    """What stood in the directory when it was opened; `place` names the files whatever they are called."""

    place: tuple[int, ...]
    journal: JournalDirectory
    store: EventStore
    slices: EventSlices

    def close(self) -> None:
        """Give both back."""
        self.store.close()
        self.journal.close()


class LogSource:
    """Hands out what stands in the directory now, to one thread at a time."""

    def __init__(self, path: Path, events: Path | None = None) -> None:
        """Open for reading; `events` is where the event store is, if not in the directory.

        NotAJournal, EventsAbsent, AlreadyOpen, Damaged, DiskError.
        """
        self.path = path
        self.openings = 0
        """How often it was opened: another number than before means that something else may stand there."""
        self._events = events or path / EVENTS
        self._lock = RLock()
        self._opened: Opened | None = None
        self._closed = False
        with self.reading():
            pass

    @contextmanager
    def reading(self) -> Iterator[Opened]:
        """Journal and events for one short piece of work. Closed, DiskError, and what the constructor raises."""
        with self._lock:
            if self._closed:
                raise Closed(f"{self.path}: not open")
            try:
                yield self._present()
            except OSError as error:
                raise DiskError(f"{self.path}: {error}") from error

    def _present(self) -> Opened:
        if self._opened is not None and self.in_place():
            return self._opened
        self._drop()
        opened = self._open()
        self._opened = opened
        self.openings += 1
        if not self.in_place():
            # It was replaced while it was opened: journal and events may not belong together.
            self._drop()
            raise _absent(self._events)
        return opened

    def _open(self) -> Opened:
        place = _place(self.path, self._events)
        journal = _journal(self.path)
        try:
            store = _store(self._events)
        except BaseException:
            journal.close()
            raise
        return Opened(place, journal, store, EventSlices(journal, store))

    def in_place(self) -> bool:
        """Whether what is open is what stands there. NotAJournal, EventsAbsent."""
        return self._opened is not None and self._opened.place == _place(self.path, self._events)

    def _drop(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def close(self) -> None:
        """Give everything back; harmless when done twice."""
        with self._lock:
            self._closed = True
            self._drop()


def _place(path: Path, events: Path) -> tuple[int, ...]:
    try:
        segments = (path / SEGMENTS).stat()
    except OSError:
        raise NotAJournal(f"{path}: no journal here") from None
    try:
        data = (events / "data.mdb").stat()
    except OSError:
        raise _absent(events) from None
    return segments.st_dev, segments.st_ino, data.st_dev, data.st_ino


def _journal(path: Path) -> JournalDirectory:
    try:
        return JournalDirectory(path)
    except NotAJournal as error:
        if not segment_firsts(path):
            raise
        # The directory of a segment is there, and no sound file in it: that is damage.
        where, _, reason = str(error).partition(": ")
        raise CorruptBatch(where, reason) from None


def _store(events: Path) -> EventStore:
    try:
        return EventStore(events)
    except NotAJournal:
        raise _absent(events) from None


def _absent(events: Path) -> EventsAbsent:
    return EventsAbsent(str(events), "no event store here; a node that is started makes it from the journal")

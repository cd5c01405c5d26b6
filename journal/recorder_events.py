"""Stored events in LMDB: those of an aggregate by version, those of an application by notification id, and new ones.

Two databases hold them. The log has the records under their ids, dense from 1, in the order in which they were
committed; the index has the id of each event under originator and version. Every read transaction is short: it takes
a page, and the pages fit together because nothing is ever changed or removed.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, takewhile
from typing import Any, Final, NamedTuple
from urllib.parse import quote
from uuid import UUID

import lmdb
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    DataError,
    IntegrityError,
    Notification,
    Recorder,
    StoredEvent,
    Subscription,
)

from journal.errors import CorruptRecord
from journal.recorder_record import (
    NUMBER_MAX,
    Prepared,
    event_key,
    event_of,
    number_key,
    prepare,
    read_record,
    seal,
    text_key,
)
from journal.recorder_store import Share

PAGE: Final = 500
"""Events of one read transaction."""

POLL_SECONDS: Final = 0.02
"""How long a write of another process may stay unseen; one of this process wakes whoever waits."""


class LmdbRecorder(Recorder):
    """What all recorders of a path have in common: the environment, and databases named after the application."""

    def __init__(self, share: Share, application: str = "", purpose: str = "events") -> None:
        """Open the databases of an application, and make those that are missing; JournalError."""
        self.share = share
        self._application = application
        self._purpose = purpose
        self._open_databases()

    def _open_databases(self) -> None:
        """Open what the class needs; a class calls the one above it as well."""

    @contextmanager
    def reading(self) -> Iterator["lmdb.Transaction[bytes]"]:
        """A short read transaction; Closed, Forked, CorruptRecord, or the error that was final."""
        with self.share.store.reading() as txn:
            yield txn

    @contextmanager
    def writing(self) -> Iterator["lmdb.Transaction[bytes]"]:
        """A write transaction, durable when the block ends and undone when it raises; JournalFull, DiskError."""
        with self.share.store.writing() as txn:
            yield txn

    def database(self, *name: str) -> "lmdb._Database":
        """A database of this application alone, made if it is missing; JournalError."""
        parts = (quote(part, safe="") for part in (self._application, *name))
        return self.share.store.database("/".join(parts).encode())


class LmdbAggregateRecorder(LmdbRecorder, AggregateRecorder):
    """Events by originator and version, for one purpose of one application: its events or its snapshots."""

    def _open_databases(self) -> None:
        super()._open_databases()
        self._log = self.database(self._purpose, "log")
        self._index = self.database(self._purpose, "index")

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Store all of the events or none, durably.

        IntegrityError if an originator has an event of this version, DataError for what cannot be stored.
        """
        self._insert(stored_events, **kwargs)
        return None

    def _insert(self, events: Sequence[StoredEvent], **_: Any) -> list[int]:
        prepared = [prepare(event) for event in events]
        if not prepared:
            return []
        with self.writing() as txn:
            return self._write(txn, prepared)

    def _write(self, txn: "lmdb.Transaction[bytes]", prepared: list[Prepared]) -> list[int]:
        first = self._last_id(txn) + 1
        for number, event in enumerate(prepared, first):
            key = number_key(number)
            if not txn.put(event.key, key, overwrite=False, db=self._index):
                raise IntegrityError(f"{event.key[2:-8].decode()} has version {event.version} already")
            if not txn.put(key, seal(number, event), append=True, db=self._log):
                raise CorruptRecord(f"record {number}", "it does not stand behind all others")
        return list(range(first, first + len(prepared)))

    def _last_id(self, txn: "lmdb.Transaction[bytes]") -> int:
        cursor = txn.cursor(self._log)
        return int.from_bytes(cursor.key(), "big") if cursor.last() else 0

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Events of an originator by version, above `gt` and not above `lte`; CorruptRecord."""
        try:
            originator = text_key(str(originator_id))
        except DataError:
            return []
        low = 0 if gt is None else max(gt + 1, 0)
        high = NUMBER_MAX if lte is None else min(lte, NUMBER_MAX)
        wanted = sys.maxsize if limit is None else limit
        selected: list[StoredEvent] = []
        while low <= high and len(selected) < wanted:
            count = min(PAGE, wanted - len(selected))
            page = self._page(Range(originator, low, high, desc=desc), count)
            selected += page
            if len(page) < count:
                break
            low, high = (low, page[-1].originator_version - 1) if desc else (page[-1].originator_version + 1, high)
        return selected

    def _page(self, wanted: "Range", count: int) -> list[StoredEvent]:
        with self.reading() as txn:
            found = [
                (key, int.from_bytes(number, "big"), txn.get(number, db=self._log))
                for key, number in islice(wanted.entries(txn.cursor(self._index)), count)
            ]
        return [_indexed(key, read_record(number, value)) for key, number, value in found]


class Range(NamedTuple):
    """Versions of an originator, both ends included, in this order or backwards."""

    originator: bytes
    low: int
    high: int
    desc: bool

    def entries(self, cursor: "lmdb.Cursor[bytes]") -> Iterator[tuple[bytes, bytes]]:
        """The entries of the index in this range."""
        low, high = self.originator + number_key(self.low), self.originator + number_key(self.high)
        if self.desc:
            there = (cursor.key() == high or cursor.prev()) if cursor.set_range(high) else cursor.last()
            return takewhile(lambda entry: entry[0] >= low, cursor.iterprev()) if there else iter(())
        return takewhile(lambda entry: entry[0] <= high, cursor.iternext()) if cursor.set_range(low) else iter(())


def _indexed(key: bytes, record: Notification) -> StoredEvent:
    event = event_of(record)
    if event_key(event) != key:
        raise CorruptRecord(f"record {record.id}", "it is not the event that the index names")
    return event


class LmdbApplicationRecorder(LmdbAggregateRecorder, ApplicationRecorder):
    """The events of an application, in the order in which they were committed, for whoever follows it."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Store all of the events or none, durably; their notification ids, dense and rising.

        IntegrityError if an originator has an event of this version, DataError for what cannot be stored.
        """
        return self._insert(stored_events, **kwargs)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Events from the id `start` to `stop`, at most `limit` of these topics; CorruptRecord."""
        after = 0 if start is None else max(start - inclusive_of_start, 0)
        end = NUMBER_MAX if stop is None else stop
        selected: list[Notification] = []
        while len(selected) < limit and after < end:
            count = PAGE if topics else min(PAGE, limit - len(selected))
            page = self.read_after(after, min(count, end - after))
            selected += [record for record in page if not topics or record.topic in topics]
            after = page[-1].id if page else end
        return selected[:limit]

    def read_after(self, number: int, count: int = PAGE) -> list[Notification]:
        """At most `count` events behind an id, from one read transaction; CorruptRecord."""
        if number >= NUMBER_MAX:
            return []
        with self.reading() as txn:
            cursor = txn.cursor(self._log)
            found = list(islice(cursor.iternext(), count)) if cursor.set_range(number_key(number + 1)) else []
        return [read_record(expected, value) for expected, (_, value) in enumerate(found, number + 1)]

    def max_notification_id(self) -> int | None:
        """The id of the last event, None before the first."""
        with self.reading() as txn:
            return self._last_id(txn) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """The events behind an id, those of today and those to come, as an iterator that waits."""
        return LmdbSubscription(self, gt, topics)


class LmdbSubscription(Subscription[LmdbApplicationRecorder]):
    """Reads a page when it is asked for one, in the thread that asks: no thread of its own has to be stopped."""

    def __init__(self, recorder: LmdbApplicationRecorder, gt: int | None = None, topics: Sequence[str] = ()) -> None:
        """Begin behind the id `gt`; nothing is read before the first event is asked for."""
        super().__init__(recorder, gt, topics)
        self._position = max(gt or 0, 0)
        self._page: Iterator[Notification] = iter(())
        self._woken = recorder.share.store.listen()

    def stop(self) -> None:
        """End the iteration, from any thread; harmless when done twice."""
        super().stop()
        self._woken.set()

    def __next__(self) -> Notification:
        """The next event, as soon as there is one. StopIteration when stopped; the errors of reading."""
        while not self._has_been_stopped:
            for record in self._page:
                return record
            self._page = self._pull()
        raise StopIteration

    def _pull(self) -> Iterator[Notification]:
        # Cleared before it is read: a write or a stop behind the reading ends the waiting at once.
        self._woken.clear()
        page = self._recorder.read_after(self._position)
        if page:
            self._position = page[-1].id
        elif not self._has_been_stopped:
            self._woken.wait(POLL_SECONDS)
        return iter([record for record in page if not self._topics or record.topic in self._topics])

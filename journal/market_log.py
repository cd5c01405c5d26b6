"""The journal's events as a read-only `ApplicationRecorder` of the `eventsourcing` library: one notification per batch.

**Identity.** The id of a notification is the last sequence number of its batch of commands, and its state are the events of that
batch as the event store seals them. Both follow from the journal, so they are equal on every replica, after a failover, and after
an event store was made again: a position that a projection has tracked on one node is good on the others. Ids rise, with gaps.

**What is told.** A batch is told when the journal holds it and the event store holds all its events. A writer commits a batch to the
synced journal before it applies it, and stores events after it has applied; so in a directory that is written, no event is stored
before its command is durable, and what is stored is final: where a row was quarantined, the events are those of the
quarantine, and a standby stores none of a batch that may still be. The store is not synced. A crash of the machine may leave it
behind the journal, in pieces, or (where the disk broke its promise) ahead: pieces are CorruptEvents, and what runs ahead of the journal
is not told. The next start of the node mends the store.

**Beside a writer.** Every read is a short transaction, and nothing here touches writer or doorbell: a subscription looks again
every `poll` seconds. A store or journal that was moved away or made anew is opened again, and must go on where the old one was.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Final, Self
from uuid import UUID

from eventsourcing.persistence import (
    ApplicationRecorder,
    ListenNotifySubscription,
    Notification,
    NotSupportedError,
    ShutDown,
    StoredEvent,
    Subscription,
)

from core.limits import SUM_MAX
from journal.directory import JournalDirectory
from journal.errors import NotAJournal
from journal.event_batch import ORIGINATOR, EventBatch
from journal.event_slices import Slice
from journal.log_pages import Position, between, hash_at, next_page
from journal.log_source import EventsAbsent, LogSource

POLL_SECONDS: Final = 0.02
"""Pause between two looks of a subscription at a log that has nothing new."""
PATIENCE_SECONDS: Final = 10.0
"""How long a subscription waits for a journal or event store that is not there: it may be being made anew."""


class MarketLog(ApplicationRecorder):
    """The log of one data directory. Any thread may use it; a process has one for a directory.

    Every method that reads raises Damaged (CorruptEvents for the event store) rather than return what is wrong, and Closed
    after `close`.
    """

    def __init__(
        self,
        path: Path,
        *,
        events: Path | None = None,
        poll: float = POLL_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Open journal and event store for reading; `events` is where the store is, if not in the directory itself.

        NotAJournal, EventsAbsent, AlreadyOpen, Damaged. `poll` and `patience` are seconds, for subscriptions.
        """
        self._source = LogSource(path, events)
        self.poll = poll
        self.patience = patience

    @property
    def path(self) -> Path:
        """The data directory."""
        return self._source.path

    @property
    def journal(self) -> JournalDirectory:
        """The journal as it is open now, for reading in one thread; this log closes it."""
        with self._source.reading() as opened:
            return opened.journal

    def first(self) -> int:
        """First command whose events are held; 0 if there are none. A later one than 1: older events cannot be had here."""
        with self._source.reading() as opened:
            return opened.slices.first()

    # ---- what the library asks

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """NotSupportedError: the sequencer alone writes, and what it writes are commands."""
        del stored_events, kwargs
        raise NotSupportedError("the market log is read-only: its events follow from the journal's commands")

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The batches that end after command `gt` and at `lte` or before; none for another originator."""
        if originator_id != ORIGINATOR:
            return []
        with self._source.reading() as opened:
            pieces = between(opened.slices, (gt or 0) + 1, SUM_MAX if lte is None else lte, desc=desc)
            return [
                _stored(piece) for piece in islice(pieces, None if limit is None else min(max(0, limit), sys.maxsize))
            ]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """At most `limit` notifications with ids from `start` on (or greater ones only) up to `stop`."""
        if not _wanted(topics):
            return []
        begin = 1 if start is None else start + (not inclusive_of_start)
        with self._source.reading() as opened:
            pieces = between(opened.slices, begin, SUM_MAX if stop is None else stop)
            return [_notification(piece) for piece in islice(pieces, min(max(0, limit), sys.maxsize))]

    def max_notification_id(self) -> int | None:
        """Id of the last batch that may be told now; None if there is none."""
        with self._source.reading() as opened:
            return opened.slices.last() or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """What follows `gt`, and then whatever comes, until it is stopped; use it in a `with` statement.

        Its `next` raises Gap where events behind `gt` are missing, Diverged where `gt` is a position in another journal, and
        EventsAbsent or NotAJournal where there was nothing to be read for longer than `patience`.
        """
        return MarketSubscription(self, gt, topics)

    # ---- what the library has no word for

    def read(self, gt: int = 0, *, upto: int | None = None) -> Iterator[EventBatch]:
        """The batches behind `gt`, up to the present end, or to the last one that ends at `upto` or before.

        Gap where events behind `gt` are missing, Diverged where no batch ends at `gt`.
        """
        position = Position(gt)
        while page := self.page(position, SUM_MAX if upto is None else upto):
            for piece in page:
                yield EventBatch(ORIGINATOR, piece.last, piece.sealed)

    def page(self, position: Position, upto: int = SUM_MAX) -> list[Slice]:
        """The next pieces behind a position, which moves on; none where there is nothing yet. Gap, Diverged."""
        return next_page(self._source, position, upto)

    def hash_at(self, notification_id: int) -> bytes | None:
        """Hash of the journal's batch that ends at an id: it names the journal, and all of it up to there, on every replica.

        At 0, that of the state that a venue begins with. None where this journal holds no such batch: it ends before, it
        begins later, or it is another one.
        """
        with self._source.reading() as opened:
            return hash_at(opened, notification_id)

    def close(self) -> None:
        """Give journal and event store back; harmless when done twice."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MarketSubscription(ListenNotifySubscription[MarketLog]):
    """A thread that reads ahead, page by page, and looks again when it has found nothing for a while."""

    def __init__(self, recorder: MarketLog, gt: int | None, topics: Sequence[str]) -> None:
        """Begin to read at once."""
        self._position = Position(max(0, gt or 0))
        self._absent_since: float | None = None
        super().__init__(recorder, gt, topics)

    def _loop_on_pull(self) -> None:
        try:
            while not self._has_been_stopped:
                self._pull()
                self._has_been_notified.wait(self._recorder.poll)
        except ShutDown:
            pass  # stopped while a page waited for room
        except BaseException as error:  # noqa: BLE001 - it is raised where the notifications are taken
            self._thread_error = error
            self.stop()

    def _pull(self) -> None:
        while not self._has_been_stopped and (page := self._page()):
            self._notifications_queue.put([_notification(piece) for piece in page])

    def _page(self) -> list[Slice]:
        if not _wanted(self._topics):
            return []
        try:
            page = self._recorder.page(self._position)
        except (EventsAbsent, NotAJournal):
            self._absent_since = self._absent_since or monotonic()
            if monotonic() - self._absent_since > self._recorder.patience:
                raise
            return []
        self._absent_since = None
        return page


def _wanted(topics: Sequence[str]) -> bool:
    return not topics or EventBatch.TOPIC in topics


def _stored(piece: Slice) -> StoredEvent:
    return StoredEvent(ORIGINATOR, piece.last, EventBatch.TOPIC, piece.sealed)


def _notification(piece: Slice) -> Notification:
    return Notification(ORIGINATOR, piece.last, EventBatch.TOPIC, piece.sealed, piece.last)

"""What a journal and its event store hold of one batch, right before a view is moved there."""

from collections.abc import Sequence
from time import monotonic, sleep
from typing import NamedTuple, Protocol

from eventsourcing.persistence import StoredEvent

from journal.directory import JournalDirectory
from journal.errors import Gap, NotAJournal
from journal.event_batch import ORIGINATOR
from journal.log_source import EventsAbsent


class Log(Protocol):
    """What a projection needs of the market log but its notifications."""

    poll: float
    patience: float

    @property
    def journal(self) -> JournalDirectory:
        """The journal, open for reading."""

    def max_notification_id(self) -> int | None:
        """The last row whose events are there."""

    def hash_at(self, notification_id: int) -> bytes | None:
        """Hash of the journal's batch that ends at a row."""

    def select_events(self, originator_id: str, *, gt: int, lte: int) -> Sequence[StoredEvent]:
        """The batches that end after row `gt` and not after row `lte`, as they are stored."""


class Held(NamedTuple):
    """The batch that ends at a row: its hash in the journal, and its events as they are stored."""

    hash: bytes
    events: bytes


def held(log: Log, sequence: int) -> Held:
    """The batch that ends at a row. Gap if it is not there, nor comes; EventsAbsent, NotAJournal.

    Its events were there, so where they are not any more, the store is being made anew: that is waited for as long as it
    grows, and for the log's patience when it does not. A row that the journal does not hold is not waited for.
    """
    seen, end = None, monotonic() + log.patience
    while True:
        absent: EventsAbsent | NotAJournal | None = None
        try:
            known, grown = log.hash_at(sequence), log.max_notification_id()
            stored = log.select_events(ORIGINATOR, gt=sequence - 1, lte=sequence) if known is not None else []
            if known is not None and stored:
                return Held(known, stored[0].state)
        except (EventsAbsent, NotAJournal) as error:
            known, grown, absent = b"", None, error
        if grown != seen:
            seen, end = grown, monotonic() + log.patience
        if known is None or monotonic() >= end:
            raise absent or Gap(f"batch ending at {sequence}", "the journal does not hold it any more")
        sleep(log.poll)

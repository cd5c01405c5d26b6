"""A fold as the library's `Projection`: the market log's batches in, rows and position out, several batches at a time.

While there is more to read, batches are gathered; at the end of what is there, everything is written. So a projection that
is behind writes few large transactions, and one that follows writes each batch as it comes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import Tracking
from eventsourcing.projection import ApplicationSubscription, Projection

from core.kinds import ROW_SIZE
from journal.batch import HEADER_SIZE
from journal.check import check
from journal.directory import JournalDirectory
from journal.errors import Diverged, Gap, NotAJournal
from journal.event_batch import EventBatch
from journal.log_source import EventsAbsent
from journal.market_log import MarketLog
from tools.failures import Failure
from tools.market_application import Market
from tools.projections.database import Database
from tools.projections.held import Log, held
from tools.projections.tables import Batch, Fold
from tools.projections.view import View

GATHERED_ROWS: Final = 65_536
"""Event rows that are gathered before they are written, at most; those of the batch that passes it come with them."""

Watch = Callable[[int], None]
"""Told the last row that was taken."""


class MarketProjection(Projection[View]):
    """Follows the market log into a view."""

    topics = (EventBatch.TOPIC,)

    def __init__(self, view: View, fold: Fold, log: Log, *, gathered_rows: int = GATHERED_ROWS) -> None:
        """Go on where the view stands."""
        super().__init__(view)
        self._fold = fold
        self._log = log
        self._gathered_max = gathered_rows
        self._gathered = 0
        self._known_end = 0
        self._pending: Tracking | None = None
        self._sealed = b""
        self.events = 0
        """Event rows taken since the start."""

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Take one notification. JournalError; Failure of the database."""
        raise TypeError(f"no notification of a market log: {type(domain_event).__name__} at {tracking.notification_id}")

    @process_event.register
    def _(self, domain_event: EventBatch, tracking: Tracking) -> None:
        first, last, rows = domain_event.first, domain_event.last, domain_event.rows
        self._fold.take(Batch(first, last, rows, lambda: command_rows_of(self._log.journal, first, last)))
        self._pending, self._sealed = tracking, domain_event.sealed
        self.events += len(rows) // ROW_SIZE
        # A batch without events is gathered as one row, so that these do not gather for ever.
        self._gathered += max(1, len(rows) // ROW_SIZE)
        if self._gathered >= self._gathered_max or not self._more_after(last):
            self.write()

    def _more_after(self, sequence: int) -> bool:
        """Whether another batch is there already, so that the next one will come without waiting."""
        if sequence >= self._known_end:
            try:
                self._known_end = self._log.max_notification_id() or 0
            except (EventsAbsent, NotAJournal):
                # It is being made anew: more will come, or the subscription raises what it is.
                return True
        return sequence < self._known_end

    def write(self) -> None:
        """Write what was gathered, with its position, in one transaction.

        An event store that is being made anew is waited for. Gap if the journal does not hold the batch, Diverged if another
        journal has taken the place of the one it came from.
        """
        if self._pending is None:
            return
        last = self._pending.notification_id
        there = held(self._log, last)
        # Asked twice: the journal may be another one since its events were looked at.
        if there.events != self._sealed or held(self._log, last).hash != there.hash:
            raise Diverged(f"batch ending at {last}", "another journal stands where the events were read")
        self.view.write(self._fold.changes(), self._pending, there.hash.hex())
        self._pending, self._gathered = None, 0


def command_rows_of(journal: JournalDirectory, first: int, last: int) -> bytes:
    """The rows of the commands from `first` to `last`, of batches that are checked. Gap, CorruptBatch."""
    parts = []
    for value in journal.batches(first):
        header = check(value)
        begin = HEADER_SIZE + (first - header.first) * ROW_SIZE
        end = HEADER_SIZE + (min(last, header.last) + 1 - header.first) * ROW_SIZE
        parts.append(value[begin:end] if header.rows else b"")
        first = max(first, header.last + 1)
        if first > last:
            return b"".join(parts)
    raise Gap(f"command {first}", "the journal does not hold it")


def refuse_other(log: Log, view: View, path: Path) -> None:
    """Failure if a view has been made from another journal, or from more of it than there is."""
    if view.reached is None:
        return
    sequence, known = view.reached
    found = log.hash_at(sequence)
    if found is not None and found.hex() == known:
        return
    head = log.journal.head().sequence
    if head < sequence:
        raise Failure(f"{path}: ends at row {head}; {view.database.title} knows of row {sequence} already")
    raise Failure(
        f"{path}: not the journal that {view.database.title} was made from, or it begins after row {sequence}"
    )


class Projector:
    """Drives one projection of a journal into a database."""

    def __init__(self, app: Market, path: Path, database: Database, fold: Fold) -> None:
        """Find out where the view stands. Failure if it was made from another journal."""
        self._app = app
        self.log = cast("MarketLog", app.recorder)
        self.view = View(database, fold, app.name)
        refuse_other(self.log, self.view, path)
        self.projection = MarketProjection(self.view, fold, self.log)

    @property
    def reached(self) -> int:
        """The last row that the view knows of; 0 at first."""
        return self.view.reached.sequence if self.view.reached else 0

    def run(self, upto: int | None, watch: Watch = lambda _: None) -> None:
        """Follow up to row `upto`, the last one of a batch; without it, for ever. What was not written is not lost.

        JournalError; Failure of the database. Gap if older events than the store's are needed.
        """
        if upto is not None and upto <= self.reached:
            return
        with ApplicationSubscription(self._app, gt=self.reached, topics=self.projection.topics) as subscription:
            for domain_event, tracking in subscription:
                self.projection.process_event(domain_event, tracking)
                watch(tracking.notification_id)
                if upto is not None and tracking.notification_id >= upto:
                    break
        self.projection.write()

"""The order books of a venue as of any sequence number, by the `Repository` of the `eventsourcing` library.

The library asks for a snapshot, and gets the newest sound one of the journal, or the state that the segment begins with; then
for the events behind it, and gets those of the market log, the last batch cut where the moment falls inside it. `books_at`
is the short form of it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, overload
from uuid import UUID

from eventsourcing.application import Repository
from eventsourcing.persistence import AggregateRecorder, EventStore, JSONTranscoder, NotSupportedError, StoredEvent

from core.limits import SUM_MAX
from core.state import SEMANTICS
from journal import snapshots
from journal.directory import JournalDirectory
from journal.errors import Gap, JournalError, WrongSemantics
from journal.event_batch import ORIGINATOR, EventBatch, EventBatchMapper
from journal.event_slices import rows_between
from journal.event_store import Events, seal_events
from journal.market_log import MarketLog
from tools.market_books import Books, VenueState, project


def venue_repository(log: MarketLog) -> Repository[str]:
    """The repository of one venue: `get("market", version=n, projector_func=project)` are its books after row n.

    Without a version, after the last row whose events are stored. Gap for a row before the journal, JournalError for one that it
    does not reach, WrongSemantics for one of another release, Damaged.
    """
    mapper = EventBatchMapper(JSONTranscoder())
    return Repository(EventStore(mapper, MomentRecorder(log)), snapshot_store=EventStore(mapper, StateRecorder(log)))


def books_at(log: MarketLog, version: int | None = None) -> Books:
    """The books of all instruments after a row, or after the last one. What `venue_repository` says."""
    return venue_repository(log).get(ORIGINATOR, version=version, projector_func=project)


def state_before(journal: JournalDirectory, upto: int) -> VenueState:
    """The newest state at hand that is not after row `upto`: a sound snapshot, or what the segment begins with.

    Gap for a row before the journal; WrongSemantics; Damaged.
    """
    firsts = [first for first in journal.segments() if first - 1 <= upto]
    if not firsts:
        raise Gap(f"row {upto}", f"the journal begins at row {journal.segments()[0]}")
    segment = journal.segment(firsts[-1])
    if segment.semantics != SEMANTICS:
        raise WrongSemantics(
            f"segment {segment.first}", f"semantics {segment.semantics}; this release applies {SEMANTICS}"
        )
    found = snapshots.newest(journal.snapshots, upto, journal)
    if found is not None and found.semantics == SEMANTICS and found.sequence >= segment.first - 1:
        return VenueState(ORIGINATOR, found.sequence, found.rows)
    return VenueState(ORIGINATOR, segment.first - 1, segment.state())


class _ReadOnly(AggregateRecorder):
    """A recorder over the market log."""

    def __init__(self, log: MarketLog) -> None:
        self._log = log

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> NoReturn:
        """NotSupportedError: events and snapshots follow from the journal's commands."""
        del stored_events, kwargs
        raise NotSupportedError("the venue is read-only: what changes it is a command in its journal")


class StateRecorder(_ReadOnly):
    """The journal's snapshots and segment states, as the library asks for snapshots: the last one up to a version."""

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The newest state up to row `lte`, or up to the last row that is told; NotSupportedError for more than that."""
        if not desc or limit != 1:
            raise NotSupportedError("only the newest state is at hand: desc=True, limit=1")
        if originator_id != ORIGINATOR:
            return []
        upto = self._log.max_notification_id() if lte is None else lte
        if upto is None:
            upto = self._log.journal.segments()[0] - 1
        state = state_before(self._log.journal, upto)
        if gt is not None and state.originator_version <= gt:
            return []
        return [StoredEvent(ORIGINATOR, state.originator_version, VenueState.TOPIC, state.rows)]


class MomentRecorder(_ReadOnly):
    """The batches of the log, in which every row is a moment: the last batch is cut behind the row that is asked for."""

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The events of the commands behind `gt`, where a batch ends, up to `lte`; each batch is read when it is asked for.

        NotSupportedError for any other order or number of them.
        """
        if desc or limit is not None:
            raise NotSupportedError("a moment takes all events up to it, in order")
        return _Behind(self._log, gt or 0, lte) if originator_id == ORIGINATOR else ()


class _Behind(Sequence[StoredEvent]):
    """What stands behind a row; read from the log whenever it is gone through, so that a long history takes no memory."""

    def __init__(self, log: MarketLog, after: int, upto: int | None) -> None:
        self._log = log
        self._after = after
        self._upto = upto

    def __iter__(self) -> Iterator[StoredEvent]:
        """Gap, JournalError where the events do not reach so far, Damaged."""
        upto = SUM_MAX if self._upto is None else self._upto
        reached = self._after
        for batch in self._log.read(self._after):
            if batch.first > upto:
                return
            reached = min(batch.last, upto)
            yield StoredEvent(ORIGINATOR, reached, EventBatch.TOPIC, _up_to(batch, upto))
            if reached == upto:
                return
        if self._upto is not None and reached < self._upto:
            raise JournalError(f"{self._log.path}: the events end at row {reached}, before row {self._upto}")

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> StoredEvent: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[StoredEvent]: ...
    def __getitem__(self, index: int | slice) -> StoredEvent | Sequence[StoredEvent]:
        return list(self)[index]


def _up_to(batch: EventBatch, upto: int) -> bytes:
    """The sealed events of a batch, without those of the rows behind `upto`."""
    if batch.last <= upto:
        return batch.sealed
    return seal_events(batch.first, upto, rows_between(Events(batch.first, batch.last, batch.rows), batch.first, upto))

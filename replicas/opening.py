"""Opening a venue for writing: a new journal, or one that a writer left, cleanly or not."""

from pathlib import Path
from typing import cast

from core.limits import SUM_MAX
from core.machine import Machine
from core.state import SEMANTICS
from journal.batch import BatchKind, name_of, read_header
from journal.directory import JournalDirectory
from journal.errors import Damaged, JournalError, NotAJournal, WrongSemantics
from journal.event_store import EventStore
from journal.journal import RollingJournal
from replicas.attempts import ATTEMPTS, Attempts, Narrowing
from replicas.counterfactual import refuse_counterfactual
from replicas.errors import EventsDiffer
from replicas.replay import Watch, is_quarantine, quarantines, recover, replay, start
from replicas.sequencer import Sequencer


def create(path: Path) -> tuple[JournalDirectory, Sequencer]:
    """A new venue with an empty state. Exists, NotAJournal, DiskError."""
    machine = Machine()
    directory = JournalDirectory.create(path, machine.rows(), semantics=SEMANTICS)
    events = EventStore(directory.events, write=True)
    return directory, Sequencer(directory, machine, events=events, snapshots_folder=directory.snapshots)


def resume(path: Path, watch: Watch | None = None) -> tuple[JournalDirectory, Sequencer]:
    """The venue as its journal says, ready to go on. NotAJournal, Locked, Damaged, EventsDiffer, DiskError, Counterfactual.

    A row of the last batch that killed two earlier starts is quarantined by this one, unless its events are stored.
    """
    directory = JournalDirectory(path, write=True)
    sequencer = None
    try:
        refuse_counterfactual(directory.flags, path)
        attempts = Attempts(path / ATTEMPTS, applied=_stored(directory.events))
        sequencer = take_over(directory, directory.snapshots, attempts, watch)
        sequencer.events = mend_events(directory)
        sequencer.roll_if_upgraded()
    except BaseException:
        if sequencer is not None and sequencer.events is not None:
            sequencer.events.close()
        directory.close()
        raise
    return directory, sequencer


def _stored(path: Path) -> int:
    """Last row whose events are stored; 0 if nothing can be read there."""
    try:
        store = EventStore(path)
    except JournalError:
        return 0
    try:
        return store.head()
    finally:
        store.close()


def take_over(
    journal: RollingJournal,
    folder: Path | None = None,
    attempts: Attempts | None = None,
    watch: Watch | None = None,
) -> Sequencer:
    """The writer of a journal that another one left: whatever it committed is applied, or quarantined if it cannot be.

    A writer that died between a batch and the quarantine of one of its rows leaves the batch at the end.
    """
    if journal.semantics != SEMANTICS:
        raise WrongSemantics("the last segment", f"semantics {journal.semantics}; this release applies {SEMANTICS}")
    machine = start(journal, folder)
    if machine.engine.sequence == journal.head().sequence:
        compare_closing(journal, machine)
        return Sequencer(journal, machine, snapshots_folder=folder)
    values = tail(journal)
    before = read_header(values[0]).first - 1
    sequencer = Sequencer(journal, recover(journal, folder, upto=before, watch=watch), snapshots_folder=folder)
    finish(sequencer, values, attempts)
    compare_closing(journal, sequencer.machine)
    return sequencer


def tail(journal: RollingJournal) -> list[bytes]:
    """The last batch of commands that does not begin with a Quarantine row, and the Quarantine batches behind it.

    The journal must hold a batch of commands.
    """
    values = journal.batches(_last_batch(journal))
    return [value for value in values if read_header(value).kind == BatchKind.COMMANDS]


def finish(sequencer: Sequencer, values: list[bytes], attempts: Attempts | None = None) -> bytes:
    """Apply the last batches of a journal, under attempt marks; returns the events. See `Sequencer.finish`.

    After a death in these rows they are applied one by one, and the row that killed twice is quarantined.
    """
    if attempts is None:
        return sequencer.finish(values)
    first, last = read_header(values[0]).first, read_header(values[-1]).last
    machine = sequencer.machine
    if attempts.died_in(first, last):
        blamed = attempts.blamed()
        fresh = None if blamed in quarantines(values[1:]) else blamed
        sequencer.machine = cast("Machine", Narrowing(machine, attempts, last, fresh))
    else:
        attempts.begin(first, last)
    events = sequencer.finish(values)
    attempts.done()
    if isinstance(sequencer.machine, Narrowing):
        # No row raised, so that the engine is still the one that was given; marks are for recovery alone.
        sequencer.machine = machine
    return events


def compare_closing(journal: RollingJournal, machine: Machine) -> None:
    """EventsDiffer if a closing batch at the end of the journal carries another event digest than the machine's."""
    for value in journal.batches(max(1, journal.head().sequence)):
        header = read_header(value)
        closes = header.kind == BatchKind.CLOSING and header.applied == machine.engine.sequence
        if closes and header.digest != machine.digest.value():
            raise EventsDiffer(header.applied, name_of(header))


def _last_batch(journal: RollingJournal) -> int:
    """First row of the last batch that does not begin with a Quarantine row."""
    first = journal.head().sequence
    while True:
        value = next(journal.batches(first))
        first = read_header(value).first
        if not is_quarantine(value):
            return first
        first -= 1


def mend_events(directory: JournalDirectory, to: int = SUM_MAX) -> EventStore:
    """The event store, cut back to row `to` or the journal's head and brought up to it; made anew where it is damaged.

    It is not synced: a crash may leave it behind the journal, ahead of it, or in pieces. Nothing is lost with it. `to` is
    the last row of a batch.
    """
    store = _sound(directory.events)
    store.cut_back(min(to, directory.head().sequence))
    _bring_up(directory, store, to)
    return store


def _sound(path: Path) -> EventStore:
    """The store if every batch in it is sound, otherwise an empty one."""
    try:
        store = EventStore(path, write=True)
    except (Damaged, NotAJournal):
        EventStore.remove(path)
        return EventStore(path, write=True)
    try:
        for _ in store.read():
            pass
    except Damaged:
        store.clear()
    return store


def _bring_up(directory: JournalDirectory, store: EventStore, to: int) -> None:
    """Append what the store lacks; events of older semantics versions cannot be made again and are left out."""
    oldest = _oldest_applied(directory)
    if store.head() < oldest - 1:
        store.clear()
    head = max(store.head(), oldest - 1)
    for applied in replay(directory, start(directory, directory.snapshots, upto=head), to=to):
        if applied.header.first > head:
            store.append(applied.header.first, applied.header.last, applied.events)


def _oldest_applied(directory: JournalDirectory) -> int:
    """First row of the oldest of the last segments that this release applies."""
    oldest = directory.first
    for first in reversed(directory.segments()):
        if directory.segment(first).semantics != SEMANTICS:
            break
        oldest = first
    return oldest

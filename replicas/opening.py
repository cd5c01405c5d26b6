"""Opening a venue for writing: a new journal, or one that a writer left, cleanly or not."""

from pathlib import Path

from core.machine import Machine
from core.state import SEMANTICS
from journal.batch import BatchKind, name_of, read_header
from journal.directory import JournalDirectory
from journal.errors import Damaged, NotAJournal, WrongSemantics
from journal.event_store import EventStore
from journal.journal import RollingJournal
from replicas.errors import EventsDiffer
from replicas.replay import is_quarantine, recover, replay, start
from replicas.sequencer import Sequencer


def create(path: Path) -> tuple[JournalDirectory, Sequencer]:
    """A new venue with an empty state. Exists, NotAJournal, DiskError."""
    machine = Machine()
    directory = JournalDirectory.create(path, machine.rows(), semantics=SEMANTICS)
    events = EventStore(directory.events, write=True)
    return directory, Sequencer(directory, machine, events=events, snapshots_folder=directory.snapshots)


def resume(path: Path) -> tuple[JournalDirectory, Sequencer]:
    """The venue as its journal says, ready to go on. NotAJournal, Locked, Damaged, EventsDiffer, DiskError."""
    directory = JournalDirectory(path, write=True)
    sequencer = None
    try:
        sequencer = take_over(directory, directory.snapshots)
        sequencer.events = mend_events(directory)
        sequencer.roll_if_upgraded()
    except BaseException:
        if sequencer is not None and sequencer.events is not None:
            sequencer.events.close()
        directory.close()
        raise
    return directory, sequencer


def take_over(journal: RollingJournal, folder: Path | None = None) -> Sequencer:
    """The writer of a journal that another one left: whatever it committed is applied, or quarantined if it cannot be.

    A writer that died between a batch and the quarantine of one of its rows leaves the batch at the end.
    """
    if journal.semantics != SEMANTICS:
        raise WrongSemantics("the last segment", f"semantics {journal.semantics}; this release applies {SEMANTICS}")
    machine = start(journal, folder)
    if machine.engine.sequence == journal.head().sequence:
        _compare_closing(journal, machine)
        return Sequencer(journal, machine, snapshots_folder=folder)
    first = _last_batch(journal)
    sequencer = Sequencer(journal, recover(journal, folder, upto=first - 1), snapshots_folder=folder)
    values = [value for value in journal.batches(first) if read_header(value).kind == BatchKind.COMMANDS]
    sequencer.finish(values)
    _compare_closing(journal, sequencer.machine)
    return sequencer


def _compare_closing(journal: RollingJournal, machine: Machine) -> None:
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


def mend_events(directory: JournalDirectory) -> EventStore:
    """The event store, cut back to the journal's head and brought up to it; made anew where it is damaged.

    It is not synced: a crash may leave it behind the journal, ahead of it, or in pieces. Nothing is lost with it.
    """
    store = _sound(directory.events)
    store.cut_back(directory.head().sequence)
    _bring_up(directory, store)
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


def _bring_up(directory: JournalDirectory, store: EventStore) -> None:
    """Append what the store lacks; events of older semantics versions cannot be made again and are left out."""
    oldest = _oldest_applied(directory)
    if store.head() < oldest - 1:
        store.clear()
    head = max(store.head(), oldest - 1)
    for applied in replay(directory, start(directory, directory.snapshots, upto=head)):
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

"""Opening a venue for writing: a new journal, or one that a writer left, cleanly or not."""

from pathlib import Path

from core.limits import SUM_MAX
from core.machine import Machine
from core.state import SEMANTICS
from journal.directory import JournalDirectory
from journal.errors import Damaged
from journal.event_store import EventStore
from replicas.replay import recover, replay, start
from replicas.sequencer import Sequencer


def create(path: Path) -> tuple[JournalDirectory, Sequencer]:
    """A new venue with an empty state. Exists, NotAJournal, DiskError."""
    machine = Machine()
    directory = JournalDirectory.create(path, machine.rows(), semantics=SEMANTICS)
    return directory, Sequencer(directory, machine, events=EventStore(directory.events, write=True))


def resume(path: Path) -> tuple[JournalDirectory, Sequencer]:
    """The venue as its journal says, ready to go on. NotAJournal, Locked, Damaged, EventsDiffer, DiskError."""
    directory = JournalDirectory(path, write=True)
    try:
        machine = recover(directory, directory.snapshots)
        return directory, Sequencer(directory, machine, events=mend_events(directory))
    except BaseException:
        directory.close()
        raise


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
    except Damaged:
        EventStore.remove(path)
        return EventStore(path, write=True)
    try:
        for _ in store.read():
            pass
    except Damaged:
        store.clear()
    return store


def _bring_up(directory: JournalDirectory, store: EventStore) -> None:
    head = store.head()
    machine = start(directory, directory.snapshots, upto=min(head, SUM_MAX))
    for applied in replay(directory, machine):
        if applied.header.first > head:
            store.append(applied.header.first, applied.header.last, applied.events)

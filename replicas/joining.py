"""How a data directory becomes the standby of another node: begun anew, or a former primary's that comes back."""

import shutil
from pathlib import Path
from typing import Final

from journal.batch import name_of, read_header
from journal.directory import EVENTS, SEGMENTS, SNAPSHOTS, JournalDirectory, segment_firsts
from journal.errors import Damaged, DiskError, Diverged, Exists, Gap, NotAJournal, NotInOrder, WrongSemantics
from journal.event_store import EventStore
from journal.files import WriterLock, make_directory, move_durably, sync_directory
from journal.journal import Head
from replicas.counterfactual import refuse_counterfactual
from replicas.feed import Feed

_ADOPTING: Final = ".adopting"
_PARTS: Final = (EVENTS, SNAPSHOTS, SEGMENTS)
"""What a journal consists of; the segments move last, for a directory with segments is a journal."""


def adopt(directory: Path, feed: Feed, *, semantics: int) -> None:
    """Begin a journal with the state that the followed journal's current segment begins with, byte for byte.

    It is built beside and moved, so that an interrupted adoption leaves no journal, and other files of the node may stand
    in the directory already. Exists if a journal does; WrongSemantics if the segment is of another semantics version;
    CorruptBatch, JournalFull, DiskError.
    """
    if segment_firsts(directory):
        raise Exists(f"{directory}: holds a journal")
    values = feed.state_batches()
    header = read_header(values[0])
    refuse_counterfactual(header.flags, "the journal to follow")
    if header.semantics != semantics:
        raise WrongSemantics(name_of(header), f"semantics {header.semantics}; this release applies {semantics}")
    building = directory / _ADOPTING
    try:
        make_directory(directory)
        lock = WriterLock(directory)
        try:
            shutil.rmtree(building, ignore_errors=True)
            # Derived from another journal, if they are there at all; snapshots name the batch that they belong to.
            EventStore.remove(directory / EVENTS)
            _copy_events(directory / EVENTS, feed, header.first)
            JournalDirectory.adopt(building, values).close()
            if (directory / SEGMENTS).is_dir():
                (directory / SEGMENTS).rmdir()
            move_durably(building / SEGMENTS, directory / SEGMENTS)
            sync_directory(directory)
            shutil.rmtree(building)
            for name in (EVENTS, SNAPSHOTS):
                make_directory(directory / name)
        finally:
            lock.release()
    except OSError as error:
        raise DiskError(f"{directory}: {error}") from error


def _copy_events(path: Path, feed: Feed, first: int) -> None:
    """Keep what was told before this journal begins, for sessions that ask for it after a failover; nothing if some lacks."""
    store = EventStore(path, write=True)
    try:
        for events in feed.events_before(first):
            store.append(events.first, events.last, events.rows)
        if store.head() != first - 1:
            store.clear()
    except (Damaged, NotAJournal, NotInOrder):
        store.clear()
    finally:
        store.close()


def rejoin(directory: Path, feed: Feed) -> Path | None:
    """Make a former primary's directory fit to follow the feed: a journal that the feed does not continue moves aside.

    Returns where it stands now, `DIR/aside-<epoch>-<sequence>`, to be told to the operator; None if the feed continues the
    journal, or there was none. Nothing is deleted, and nothing appended. Diverged or Gap, and nothing moves, if the feed is
    not of a higher epoch than the journal: then it is not known which of the two the venue went on with.
    """
    if not segment_firsts(directory):
        return None
    journal = JournalDirectory(directory, write=True)
    try:
        refuse_counterfactual(journal.flags, directory)
        head = journal.head()
    finally:
        journal.close()
    try:
        feed.after(head)
    except (Diverged, Gap):
        if feed.head().epoch <= head.epoch:
            raise
        refuse_counterfactual(read_header(feed.state_batches()[0]).flags, "the journal to follow")
        return _move_aside(directory, head)
    return None


def _move_aside(directory: Path, head: Head) -> Path:
    try:
        lock = WriterLock(directory)
        try:
            aside = _free(directory / f"aside-{head.epoch}-{head.sequence}")
            make_directory(aside)
            for name in _PARTS:
                if (directory / name).exists():
                    (directory / name).rename(aside / name)
                    sync_directory(aside)
            sync_directory(directory)
        finally:
            lock.release()
    except OSError as error:
        raise DiskError(f"{directory}: {error}") from error
    return aside


def _free(aside: Path) -> Path:
    """The folder, or one with a number behind its name if a journal stands in it already."""
    found, number = aside, 1
    while (found / SEGMENTS).exists():
        number += 1
        found = aside.with_name(f"{aside.name}-{number}")
    return found

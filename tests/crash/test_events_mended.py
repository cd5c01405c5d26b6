"""The event store is derived: whatever a crash left of it, the venue opens, and every event can be told again."""

import pytest

from core.messages import DefineCurrency
from core.rows import to_row
from journal.directory import JournalDirectory
from journal.event_store import EventStore
from replicas.opening import create, resume

NOW = 1_700_000_000_000_000_000


def define(number):
    return to_row(DefineCurrency(currency=number, symbol=f"C{number}"))


def two_segments(path, to):
    """A venue of rows 1, 2-3, 4 in one segment and 5 in the next; the event store ends at `to`. Returns all events."""
    directory, sequencer = create(path)
    events = [sequencer.submit(batch, NOW) for batch in (define(1), define(2) + define(3), define(4))]
    sequencer.roll()
    events.append(sequencer.submit(define(5), NOW))
    sequencer.events.cut_back(to)
    sequencer.events.close()
    directory.close()
    return b"".join(events)


@pytest.mark.parametrize(
    "to",
    [0, 1, 3, 4, 5],
)
def test_behind_by_a_segment(tmp_path, to):
    """A store that ends in an older segment is filled from there on."""
    events = two_segments(tmp_path / "venue", to)
    directory, sequencer = resume(tmp_path / "venue")
    try:
        assert b"".join(found.rows for found in sequencer.events.read()) == events
    finally:
        sequencer.events.close()
        directory.close()


def test_killed_while_the_store_was_first_made(tmp_path):
    """An environment without its database, as it stands between two lines of its making, is made anew."""
    import lmdb

    directory, sequencer = create(tmp_path / "venue")
    sequencer.events.close()
    directory.close()
    EventStore.remove(directory.events)
    directory.events.mkdir()
    lmdb.open(str(directory.events), max_dbs=1).close()
    try:
        directory, sequencer = resume(tmp_path / "venue")
    finally:
        directory.close()
    sequencer.events.close()


def test_the_journal_is_open_to_the_next_one_after_a_refusal(tmp_path):
    """A start that fails gives back what it held, so that the next one may try."""
    two_segments(tmp_path / "venue", 5)
    directory, sequencer = resume(tmp_path / "venue")
    sequencer.events.close()
    directory.close()
    again = JournalDirectory(tmp_path / "venue", write=True)
    assert again.head().sequence == 5
    again.close()

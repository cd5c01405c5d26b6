"""How a directory becomes a standby's: begun anew, or a former primary's that comes back."""

import pytest

from core.state import SEMANTICS
from journal.directory import JournalDirectory
from journal.errors import Diverged, Exists, Gap
from journal.event_store import EventStore
from journal.verify import verify
from replicas.feed import DirectoryFeed, MemoryFeed
from replicas.joining import adopt, rejoin
from replicas.opening import create, resume
from replicas.replay import recover, replay, start
from replicas.sequencer import Sequencer
from replicas.standby import Standby
from tests.nodes.standbys import LATER, Followed, filled, following, promoted, stored_events
from tests.replicas.venue import NOW, define


@pytest.fixture
def path(tmp_path):
    return tmp_path / "standby"


def former(path, extra):
    """A former primary's directory, with batches that the venue went on without; the journal that it went on in."""
    journal, _ = filled(3)
    with following(path, journal) as standby:
        standby.step()
    directory, sequencer = resume(path)
    for n in range(extra):
        sequencer.submit(define(60 + n), NOW)
    sequencer.events.close()
    head = directory.head()
    directory.close()
    ours = Sequencer(journal, recover(journal))
    ours.promote(2, LATER)
    for n in range(4):
        ours.submit(define(40 + n), LATER)
    return journal, ours, head


@pytest.mark.parametrize("extra", [1, 3, 9])
def test_a_differing_tail_moves_aside_and_is_kept(path, extra):
    """Whether it is shorter than the venue's or longer: nothing is appended to it, and the node begins anew."""
    journal, sequencer, head = former(path, extra)
    with following(path, journal) as standby, pytest.raises((Diverged, Gap)):
        standby.step()
    aside = rejoin(path, MemoryFeed(journal))
    assert aside == path / f"aside-1-{head.sequence}"
    assert rejoin(path, MemoryFeed(journal)) is None
    kept = JournalDirectory(aside)
    assert kept.head() == head
    kept.close()
    assert verify(aside).good
    with following(path, journal) as standby:
        standby.step()
        assert standby.journal.head() == journal.head()
    with promoted(path, journal, epoch=3) as (directory, _):
        assert recover(directory, upto=journal.head().sequence).rows() == sequencer.machine.rows()


def test_a_former_primary_that_has_nothing_else_goes_on(path):
    journal, _, _ = former(path, 0)
    assert rejoin(path, MemoryFeed(journal)) is None
    with following(path, journal) as standby:
        standby.step()
        assert standby.journal.head() == journal.head()
        assert standby.journal.head().epoch == 2


def test_a_journal_is_not_set_aside_for_an_older_one(path):
    """A feed of the same epoch or a lower one is not what the venue went on with: nothing moves."""
    journal, _, head = former(path, 2)
    older = Followed(journal)
    older.show(2)
    for feed in (older.journal, filled(9)[0]):
        with pytest.raises((Diverged, Gap)):
            rejoin(path, MemoryFeed(feed))
    directory = JournalDirectory(path)
    assert directory.head() == head
    directory.close()


def test_a_second_journal_of_the_same_head_is_kept_too(path):
    journal, _, head = former(path, 2)
    (path / f"aside-1-{head.sequence}" / "segments").mkdir(parents=True)
    assert rejoin(path, MemoryFeed(journal)) == path / f"aside-1-{head.sequence}-2"


def test_events_of_another_journal_are_not_kept(path):
    """A store that was left behind without its journal says nothing of the new one."""
    journal, _ = filled()
    store = EventStore(path / "events", write=True)
    store.append(1, 3, b"")
    store.close()
    adopt(path, MemoryFeed(journal), semantics=SEMANTICS)
    with pytest.raises(Exists):
        adopt(path, MemoryFeed(journal), semantics=SEMANTICS)
    with promoted(path, journal) as (directory, ours):
        events = b"".join(applied.events for applied in replay(directory, start(directory)))
        assert stored_events(ours.events) == events


@pytest.mark.parametrize("damaged", [False, True])
def test_a_late_standby_has_what_was_told_before_it_joined(path, tmp_path, damaged):
    """Its journal begins with the second segment, and its own engine cannot make the events of the first again."""
    followed = tmp_path / "followed"
    directory, sequencer = create(followed)
    told = b"".join(sequencer.submit(define(n), NOW) for n in range(1, 9))
    sequencer.roll()
    told += sequencer.submit(define(9), NOW)
    sequencer.events.close()
    directory.close()
    if damaged:
        EventStore.remove(followed / "events")
    feed = DirectoryFeed(followed)
    standby = Standby(path, feed)
    standby.step()
    journal, ours = standby.promote(2, LATER)
    assert len(journal.segments()) == 1
    found = stored_events(ours.events)
    ours.events.close()
    journal.close()
    assert found.startswith(told) != damaged

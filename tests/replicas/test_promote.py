"""A promotion: one row, alone in the first batch of its epoch; from nobody outside, and never to an epoch that was."""

import pytest

from core import messages as m
from core.limits import SUM_MAX
from core.machine import Machine
from core.rows import rows, to_row
from core.state import SEMANTICS
from journal.batch import HEADER_SIZE, BatchKind, read_header
from journal.chain import Chain
from journal.errors import DiskError, NotInOrder
from journal.event_store import EventStore
from replicas.errors import BadRows, Stopped
from replicas.replay import recover
from replicas.sequencer import TIME_MAX, Sequencer
from tests.replicas.venue import NOW, FailingJournal, define, opened


def batches(journal):
    """Kind, epoch and commands of every batch of a sound journal."""
    chain = Chain()
    headers = [(chain.feed(value), value) for value in journal.batches()]
    return [(h.kind, h.epoch, [type(row) for row in rows(value[HEADER_SIZE:])]) for h, value in headers]


@pytest.mark.both
def test_the_row_is_alone_in_the_first_batch_of_its_epoch():
    """What comes before has the old epoch, the row and all that follows the new one; the digest goes up to the row."""
    journal, sequencer = opened()
    sequencer.submit(define(1) + define(2), NOW)
    digest = sequencer.machine.digest.value()
    (told,) = rows(sequencer.promote(2, NOW))
    sequencer.submit(define(3), NOW)
    sequencer.close_batch()
    assert told == m.Promoted(sequence=3, time=NOW + 2, epoch=2)
    assert batches(journal) == [
        (BatchKind.COMMANDS, 1, [m.DefineCurrency, m.DefineCurrency]),
        (BatchKind.COMMANDS, 2, [m.Promote]),
        (BatchKind.COMMANDS, 2, [m.DefineCurrency]),
        (BatchKind.CLOSING, 2, []),
    ]
    header = read_header(list(journal.batches())[1])
    assert (header.applied, header.digest) == (2, digest)


@pytest.mark.both
def test_a_recovered_node_knows_the_epoch():
    """State and sequencer of a node that starts from the journal have the epoch of the last promotion; a roll keeps it."""
    journal, sequencer = opened()
    sequencer.promote(2, NOW)
    sequencer.promote(7, NOW)
    sequencer.roll()
    sequencer = Sequencer(journal, recover(journal))
    sequencer.submit(define(), NOW)
    assert (sequencer.epoch, sequencer.machine.engine.epoch) == (7, 7)
    assert batches(journal)[-1] == (BatchKind.COMMANDS, 7, [m.DefineCurrency])


def test_the_events_are_stored(tmp_path):
    """The event store has the answer like that of any other row."""
    store = EventStore(tmp_path / "events", write=True)
    _, sequencer = opened(events=store)
    sequencer.submit(define(), NOW)
    sequencer.promote(2, NOW)
    assert store.head() == 2
    store.close()


def test_an_older_writer_is_fenced_off():
    """After a promotion nothing of the epoch before is taken into the journal any more."""
    journal, older = opened()
    newer = Sequencer(journal, recover(journal))
    newer.promote(2, NOW)
    with pytest.raises(NotInOrder, match="fenced"):
        older.submit(define(), NOW)
    newer.submit(define(), NOW)
    assert journal.head().sequence == 2


@pytest.mark.parametrize("epoch", [5, 4, 0, -1, SUM_MAX + 1, 2**64])
def test_an_epoch_that_does_not_follow(epoch):
    """It is refused before anything is sealed, and the sequencer goes on under its own."""
    journal, sequencer = opened()
    sequencer.promote(5, NOW)
    with pytest.raises(BadRows, match="epoch"):
        sequencer.promote(epoch, NOW)
    sequencer.submit(define(), NOW)
    assert (sequencer.epoch, sequencer.machine.engine.epoch, journal.head().epoch) == (5, 5, 5)
    assert journal.head().sequence == 2


def test_an_epoch_of_the_journal_without_a_row():
    """The epoch of the last batch counts as well, whoever raised it."""
    journal, sequencer = opened(epoch=4)
    sequencer.submit(define(), NOW)
    with pytest.raises(BadRows, match="epoch 4 does not follow epoch 4"):
        sequencer.promote(4, NOW)
    sequencer.promote(5, NOW)
    assert recover(journal).engine.epoch == 5


def test_a_time_without_room_behind_it():
    """A clock beyond all bounds is refused before anything is sealed."""
    journal, sequencer = opened()
    with pytest.raises(BadRows, match="time"):
        sequencer.promote(2, TIME_MAX + 1)
    assert (sequencer.epoch, journal.head().sequence) == (1, 0)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("sender", [{}, {"session": 44, "inbound": 1}])
def test_a_promotion_from_outside(place, sender):
    """A Promote row that somebody sends is refused with its whole batch, and the epoch stays."""
    journal, sequencer = opened()
    batch = [define(2), define(3)]
    batch.insert(place, to_row(m.Promote(epoch=2, **sender)))
    with pytest.raises(BadRows, match="Promote"):
        sequencer.submit(b"".join(batch), NOW)
    assert journal.head().sequence == 0
    sequencer.submit(define(), NOW)
    assert (journal.head().epoch, sequencer.machine.engine.epoch) == (1, 1)


@pytest.mark.parametrize("stores", [False, True])
def test_a_failing_disk(stores):
    """A promotion that the journal does not take is not answered, and the sequencer is dead; recovery is sound."""
    journal = FailingJournal.create(Machine().rows(), semantics=SEMANTICS)
    _, sequencer = opened(journal)
    journal.fails_in, journal.stores = 1, stores
    with pytest.raises(DiskError):
        sequencer.promote(2, NOW)
    with pytest.raises(Stopped):
        sequencer.promote(3, NOW)
    with pytest.raises(Stopped):
        sequencer.submit(define(), NOW)
    journal._open = True
    assert recover(journal).engine.epoch == 1 + stores
    assert journal.head().epoch == 1 + stores

"""The sequencer: what it stamps, what it seals, and that nothing is answered before it is durable."""

import signal

import pytest

from core import messages as m
from core.kinds import TradingState
from core.machine import Machine
from core.rows import rows, to_row
from core.state import SEMANTICS
from journal.batch import HEADER_SIZE, BatchKind, read_header
from journal.chain import Chain
from journal.directory import JournalDirectory
from journal.errors import DiskError, JournalError
from journal.event_store import EventStore
from journal.snapshots import stored
from replicas.errors import Stopped
from replicas.replay import recover
from replicas.sequencer import Sequencer
from tests.replicas.venue import NOW, FailingJournal, define, opened

HANGS = 2


@pytest.fixture(autouse=True)
def _bounded():
    """A sequencer that goes round for ever fails its test instead of stopping the run."""

    def alarm(*_):
        raise TimeoutError("it does not come to an end")

    before = signal.signal(signal.SIGALRM, alarm)
    signal.alarm(HANGS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def stamps(journal):
    """(sequence number, time) of every row in the journal."""
    values = [value for value in journal.batches() if read_header(value).kind == BatchKind.COMMANDS]
    return [(row.sequence, row.time) for value in values for row in rows(value[HEADER_SIZE:])]


# ---- stamping


@pytest.mark.both
@pytest.mark.parametrize(
    ("own", "stamped"),
    [
        ([0, 0, 0], [NOW, NOW + 1, NOW + 2]),
        ([NOW + 5, 0, 0], [NOW + 5, NOW + 6, NOW + 7]),
        ([NOW + 5, NOW + 5, NOW + 9], [NOW + 5, NOW + 6, NOW + 9]),
        ([NOW + 9, NOW + 5, NOW + 11], [NOW + 9, NOW + 10, NOW + 11]),
        ([5, 6, 6], [5, 6, 7]),
        ([-7, 0, 1], [1, NOW, NOW + 1]),
        ([0, NOW + 2, 0], [NOW, NOW + 2, NOW + 3]),
    ],
)
def test_times_of_a_batch(own, stamped):
    """A row keeps its own time, is given one where it has none, and is raised to one more than the row before."""
    journal, sequencer = opened()
    sequencer.submit(b"".join(define(time=time) for time in own), NOW)
    assert stamps(journal) == [(n + 1, time) for n, time in enumerate(stamped)]


def test_times_never_go_back_between_batches():
    """A clock that goes back, stands or jumps gives rising times all the same, across a restart and a roll too."""
    journal, sequencer = opened()
    for now in (NOW, NOW, NOW - 10**12, 0, NOW + 3, NOW + 3):
        sequencer.submit(define() * 2, now)
    sequencer.close_batch()
    sequencer = Sequencer(journal, recover(journal))
    sequencer.submit(define(), NOW - 5)
    sequencer.roll()
    sequencer.submit(define(), NOW - 5)
    found = [time for _, time in stamps(journal)]
    assert found == sorted(set(found))
    assert found[0] == NOW
    assert found[-1] < NOW + 20


def test_only_number_and_time_are_stamped():
    """Every other column of a wire row is journaled as it came, and a number that it brought is replaced."""
    journal, sequencer = opened()
    row = to_row(m.EnterOrder(99, 0, 3, 4, 5, 6, 7, -8, 9, 10, 2**63 - 1))
    sequencer.submit(define() + row, NOW)
    (value,) = journal.batches()
    found = value[HEADER_SIZE + 128 :]
    assert (found[:8], found[24:]) == (row[:8], row[24:])
    assert found[8:16] == (2).to_bytes(8, "little")


def test_nothing_is_nothing():
    """No rows make no batch."""
    journal, sequencer = opened()
    before = journal.head()
    assert sequencer.submit(b"", NOW) == b""
    assert journal.head() == before


# ---- sealing


@pytest.mark.both
def test_headers_tell_how_far_the_events_go():
    """Each batch carries the number and the event digest of what was applied when it was sealed."""
    journal, sequencer = opened()
    digests = {0: sequencer.machine.digest.value()}
    for size in (1, 3, 2):
        sequencer.submit(define() * size, NOW)
        digests[sequencer.machine.engine.sequence] = sequencer.machine.digest.value()
    sequencer.close_batch()
    headers = [read_header(value) for value in journal.batches()]
    assert [(h.kind, h.first, h.last, h.applied) for h in headers] == [
        (1, 1, 1, 0),
        (1, 2, 4, 1),
        (1, 5, 6, 4),
        (3, 7, 6, 6),
    ]
    assert [h.digest for h in headers] == [digests[h.applied] for h in headers]
    assert {h.semantics for h in headers} == {SEMANTICS}
    assert headers[-1].base_time == headers[-2].base_time + 1


def test_the_chain_holds():
    """Whatever the sequencer seals, a chain that verifies everything takes."""
    journal, sequencer = opened(epoch=5)
    chain = Chain()
    for size in (1, 2, 70):
        sequencer.submit(define() * size, NOW)
    sequencer.roll()
    sequencer.submit(define(), NOW)
    sequencer.close_batch()
    for value in journal._values:
        chain.feed(value)
    assert chain.head == journal.head()
    assert journal.head().epoch == 5


def test_closing_twice_changes_nothing():
    """A clean stop is told once, however often it is asked for, and work goes on behind it."""
    journal, sequencer = opened()
    sequencer.submit(define(), NOW)
    sequencer.close_batch()
    head = journal.head()
    sequencer.close_batch()
    assert journal.head() == head
    sequencer.submit(define(2), NOW)
    assert not journal.closed()
    sequencer.close_batch()
    assert [read_header(value).kind for value in journal.batches()] == [1, 3, 1, 3]
    assert recover(journal).rows() == sequencer.machine.rows()


def test_closing_an_empty_journal():
    """A venue that has seen no command stops cleanly too."""
    journal, sequencer = opened()
    sequencer.close_batch()
    assert journal.closed()
    assert recover(journal).rows() == sequencer.machine.rows()


def test_a_roll_keeps_digests_and_numbers():
    """The next segment begins with the state, the event digest and the numbers of the one before."""
    journal, sequencer = opened()
    sequencer.submit(define() * 3, NOW)
    before = sequencer.machine.rows()
    sequencer.roll()
    assert (journal.first, journal.state()) == (4, before)
    sequencer.submit(define(2), NOW)
    _, other = opened()
    other.submit(define() * 3, NOW)
    other.submit(define(2), NOW)
    assert other.machine.rows() == sequencer.machine.rows() == recover(journal).rows()


def test_an_upgrade_ends_batch_and_segment():
    """What came with an Upgrade of the same version goes on; a higher version begins the next segment."""
    journal, sequencer = opened()
    events = sequencer.submit(define() + to_row(m.Upgrade(version=SEMANTICS)) + define(2), NOW)
    assert [type(row).__name__ for row in rows(events)] == ["CurrencyDefined", "Upgraded", "CurrencyDefined"]
    assert [read_header(value).rows for value in journal.batches()] == [2, 1]
    sequencer.submit(to_row(m.Upgrade(version=SEMANTICS + 1)), NOW)
    assert journal.semantics == SEMANTICS + 1
    with pytest.raises(JournalError):
        sequencer.submit(define(3), NOW)


def test_snapshots_are_taken_where_batches_end(tmp_path):
    """A snapshot names the last row, recovery from it gives the state, and old ones are dropped."""
    directory = JournalDirectory.create(tmp_path / "venue", Machine().rows(), semantics=SEMANTICS)
    sequencer = Sequencer(directory, recover(directory))
    taken = []
    for size in (3, 1, 4, 1, 5):
        sequencer.submit(define() * size, NOW)
        sequencer.snapshot(directory)
        taken.append(sequencer.machine.engine.sequence)
    assert taken[-len(stored(directory.snapshots)) :] == stored(directory.snapshots)
    for upto in range(taken[-1] + 1):
        assert recover(directory, directory.snapshots, upto=upto).rows() == recover(directory, upto=upto).rows()
    directory.close()


def test_events_are_stored_as_they_were_answered(tmp_path):
    """With an event store, it holds what submit returned, batch by batch, quiet rows included."""
    store = EventStore(tmp_path / "events", write=True)
    _, sequencer = opened(events=store)
    answers = [
        sequencer.submit(batch, NOW)
        for batch in (define(), to_row(m.AdvanceTime()), define(2) + to_row(m.AdvanceTime()))
    ]
    assert [tuple(found) for found in store.read()] == [(1, 1, answers[0]), (2, 2, b""), (3, 4, answers[2])]
    store.close()


# ---- nothing is answered that is not durable


@pytest.mark.parametrize("stores", [False, True])
@pytest.mark.parametrize("fails_in", [1, 2, 3])
def test_a_failing_disk(stores, fails_in, tmp_path):
    """When the journal raises, nothing is returned, stored or applied, and the sequencer is dead; recovery is sound."""
    journal = FailingJournal.create(Machine().rows(), semantics=SEMANTICS)
    store = EventStore(tmp_path / "events", write=True)
    _, sequencer = opened(journal, events=store)
    journal.fails_in, journal.stores = fails_in, stores
    answered = [sequencer.submit(define(n + 1), NOW) for n in range(fails_in - 1)]
    state = sequencer.machine.rows()
    with pytest.raises(DiskError):
        sequencer.submit(define(fails_in), NOW)
    assert sequencer.machine.rows() == state
    assert store.head() == len(answered)
    for _ in range(3):
        with pytest.raises(Stopped):
            sequencer.submit(define(), NOW)
    assert sequencer.machine.rows() == state
    journal._open = True
    recovered = recover(journal)
    assert recovered.engine.sequence == len(answered) + stores
    assert sum(currency is not None for currency in recovered.engine.currencies) == len(answered) + stores
    store.close()


def test_it_is_durable_before_it_is_applied():
    """When a row is applied, its batch is in the journal already."""
    journal, sequencer = opened()
    seen = []
    machine = sequencer.machine

    class Watching:
        engine, digest = machine.engine, machine.digest

        def apply(self, value, begin, end):
            seen.append((journal.head().sequence, self.engine.sequence))
            return machine.apply(value, begin, end)

    sequencer.machine = Watching()
    sequencer.submit(define() * 3, NOW)
    sequencer.submit(define() * 2, NOW)
    assert seen == [(3, 0), (5, 3)]


# ---- what no client may send


def agrees(journal, sequencer):
    """A recovered venue is the one that ran."""
    assert recover(journal).rows() == sequencer.machine.rows()
    assert sequencer.machine.engine.state == TradingState.OPEN


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("sender", [{}, {"session": 44, "inbound": 1}])
def test_a_quarantine_from_outside(place, sender):
    """A Quarantine row that somebody sends is refused somewhere, and the journal stays one that can be replayed."""
    journal, sequencer = opened()
    sequencer.submit(define(), NOW)
    batch = [define(2), define(3)]
    batch.insert(place, to_row(m.Quarantine(named=1, **sender)))
    try:
        sequencer.submit(b"".join(batch), NOW)
    except ValueError:
        assert journal.head().sequence == 1
    agrees(journal, sequencer)


@pytest.mark.parametrize("time", [2**62, 2**63 - 1])
def test_a_time_out_of_bounds(time):
    """A row that brings a time no engine accepts is refused before it is sealed, and the venue goes on."""
    journal, sequencer = opened()
    sequencer.submit(define(), NOW)
    with pytest.raises(ValueError, match="time"):
        sequencer.submit(define(2, time=time), NOW)
    assert journal.head().sequence == 1
    sequencer.submit(define(3), NOW)
    agrees(journal, sequencer)


def test_rows_that_are_not_whole():
    """Half a row is refused before anything is sealed."""
    journal, sequencer = opened()
    for rest in (8, 64, 5):
        with pytest.raises(Exception, match=r".+"):
            sequencer.submit(define() + define()[:rest], NOW)
    assert journal.head().sequence == 0

"""Replay and recovery: what they verify, what they refuse, and where they stop."""

import pytest

from core.machine import Machine
from core.stamp import stamp
from core.state import SEMANTICS
from journal.batch import HEADER_SIZE, read_header, seal
from journal.directory import JournalDirectory
from journal.errors import CorruptBatch, JournalError, WrongSemantics
from journal.memory import MemoryJournal
from journal.snapshots import snapshot_path
from replicas.errors import EventsDiffer
from replicas.replay import recover, replay, start
from replicas.sequencer import Sequencer
from tests.replicas.venue import NOW, define, opened


def filled(batches=6):
    """A journal of some batches of rising size, with its sequencer."""
    journal, sequencer = opened()
    for size in range(1, batches + 1):
        sequencer.submit(b"".join(define(size * 10 + n) for n in range(size)), NOW)
    return journal, sequencer


def sealed_again(value, previous, **changes):
    """A batch with other fields and a right hash."""
    header = read_header(value)
    names = ("kind", "semantics", "epoch", "first", "base_time", "applied", "digest")
    fields = {name: getattr(header, name) for name in names} | {"previous": previous} | changes
    return seal(value[HEADER_SIZE:], **fields)


def rewritten(journal, number, **changes):
    """A copy of the journal in which the batch of this index has other fields, and all hashes after it are right."""
    values = list(journal._values)
    copy = MemoryJournal(values[:1])
    previous = read_header(values[0]).hash
    for at, value in enumerate(values[1:], start=1):
        made = sealed_again(value, previous, **(changes if at == number else {}))
        previous = read_header(made).hash
        copy._values.append(made)
        copy._headers.append(read_header(made))
    return copy


@pytest.mark.both
@pytest.mark.parametrize("number", range(2, 7))
def test_a_differing_event_digest(number):
    """A batch whose digest is not that of our events stops the replay there, and names the row."""
    journal, _ = filled()
    wrong = rewritten(journal, number, digest=bytes(31) + b"\1")
    machine = start(wrong)
    with pytest.raises(EventsDiffer) as found:
        list(replay(wrong, machine))
    applied = read_header(wrong._values[number]).applied
    assert found.value.sequence == applied
    assert machine.engine.sequence == applied
    assert isinstance(found.value, JournalError)


def test_a_differing_digest_in_the_closing_batch():
    """The events of the last rows are compared with the closing batch."""
    journal, sequencer = filled()
    sequencer.close_batch()
    wrong = rewritten(journal, 7, digest=bytes(32))
    with pytest.raises(EventsDiffer):
        recover(wrong)


def test_a_differing_digest_where_a_snapshot_begins():
    """A machine whose events up to its row were others is found out by the first batch."""
    journal, _ = filled()
    machine = recover(journal, upto=3)
    machine.digest.feed(bytes(128))
    with pytest.raises(EventsDiffer):
        list(replay(journal, machine))


def test_other_semantics_are_refused():
    """A batch of other rules is not applied."""
    journal, sequencer = filled(2)
    sequencer.roll(SEMANTICS + 1)
    machine = start(journal)
    before = machine.rows()
    fields = {"first": 4, "applied": 3, "base_time": 2 * NOW, "digest": machine.digest.value()}
    value = seal(
        stamp(define(9), 3, machine.engine.now, 2 * NOW),
        semantics=SEMANTICS + 1,
        epoch=1,
        previous=journal.head().hash,
        **fields,
    )
    journal._values.append(value)
    journal._headers.append(read_header(value))
    with pytest.raises(WrongSemantics, match=f"this release applies {SEMANTICS}"):
        list(replay(journal, machine))
    assert machine.rows() == before


def test_a_corrupt_batch_is_not_applied():
    """A flipped bit stops the replay before the batch."""
    journal, _ = filled()
    value = journal._values[4]
    journal._values[4] = value[:-3] + bytes([value[-3] ^ 1]) + value[-2:]
    machine = start(journal)
    with pytest.raises(CorruptBatch):
        list(replay(journal, machine))
    assert machine.engine.sequence == read_header(value).first - 1


def test_what_is_yielded():
    """Each batch is yielded once with the offsets that were applied, state and closing batches never."""
    journal, sequencer = filled(3)
    sequencer.roll()
    sequencer.submit(define(77), NOW)
    sequencer.close_batch()
    machine = Machine()
    found = [(one.header.first, one.begin, one.end) for one in replay(journal, machine)]
    assert found == [(1, 152, 280), (2, 152, 408), (4, 152, 536), (7, 152, 280)]
    assert machine.rows() == sequencer.machine.rows()


def test_stopping_within_a_batch_and_going_on():
    """The same batch is yielded again with the rows that were left."""
    journal, _ = filled(3)
    machine = Machine()
    assert [(one.begin, one.end) for one in replay(journal, machine, to=5)][-1] == (152, 408)
    assert [(one.begin, one.end) for one in replay(journal, machine)] == [(408, 536)]


def test_nothing_left_to_do():
    """Behind the last row, before the first time and up to row 0 there is nothing."""
    journal, sequencer = filled(3)
    assert list(replay(journal, recover(journal))) == []
    assert list(replay(journal, Machine(), to=0)) == []
    assert list(replay(journal, Machine(), until=NOW - 1)) == []
    assert recover(journal, upto=10**6).rows() == sequencer.machine.rows()


def test_a_replay_follows_the_writer():
    """A replay that is being read goes on with what is written meanwhile; an exhausted one does not begin again."""
    journal, sequencer = filled(2)
    machine = Machine()
    going = replay(journal, machine)
    next(going)
    sequencer.submit(define(90), NOW)
    assert [one.header.first for one in going] == [2, 4]
    sequencer.submit(define(91), NOW)
    assert list(going) == []
    list(replay(journal, machine))
    assert machine.rows() == sequencer.machine.rows()


@pytest.mark.parametrize("damage", ["none", "newest", "all", "gone"])
def test_snapshots_only_save_time(tmp_path, damage):
    """With snapshots whole, damaged or gone, the same state is recovered."""
    directory = JournalDirectory.create(tmp_path / "venue", Machine().rows(), semantics=SEMANTICS)
    sequencer = Sequencer(directory, recover(directory))
    for number in range(1, 5):
        sequencer.submit(define(number), NOW)
        sequencer.snapshot(directory)
    sequencer.submit(define(9), NOW)
    paths = [snapshot_path(directory.snapshots, number) for number in (2, 3, 4)]
    for path in {"none": [], "newest": paths[-1:], "all": paths, "gone": paths}[damage]:
        data = path.read_bytes()
        path.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])
        if damage == "gone":
            path.unlink()
    begins = {"none": 4, "newest": 3}.get(damage, 0)
    assert start(directory, directory.snapshots).engine.sequence == begins
    assert recover(directory, directory.snapshots).rows() == sequencer.machine.rows()
    directory.close()


@pytest.mark.parametrize("upto", [0, 1, 2, 3])
def test_a_row_of_an_older_segment(tmp_path, upto):
    """The venue as it stood at a row before the current segment, or a refusal; never a later state."""
    directory = JournalDirectory.create(tmp_path / "venue", Machine().rows(), semantics=SEMANTICS)
    sequencer = Sequencer(directory, recover(directory))
    for number in range(1, 5):
        sequencer.submit(define(number), NOW)
    sequencer.roll()
    sequencer.submit(define(5), NOW)
    try:
        assert recover(directory, upto=upto).engine.sequence == upto
    finally:
        directory.close()
